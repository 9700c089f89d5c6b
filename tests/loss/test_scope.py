"""Two processes with half the batch each learn what one learns from all of it; or each from its own."""

import itertools

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from cromss.loss import Objective
from cromss.loss.objective import SEGMENTATION
from cromss.selection import CrossModalSelection
from cromss.smoothing import smooth_labels

CLASSES, SIZE = 4, 12
BRANCHES = ("s1", "s2", "common")
LOSSES = ["_".join(parts) for n in (1, 2, 3) for parts in itertools.combinations(SEGMENTATION, n)]
OPTIONS = [(loss, "ce", False) for loss in LOSSES]
OPTIONS += [("ce_dice_focal", consistency, True) for consistency in ("ce", "kl", "mse", "none")]


def make_batches():
    """Name -> logits and labels of four samples, of which a process gets every second one."""
    generator = torch.Generator().manual_seed(0)

    def batch(samples=4):
        shape = (samples, CLASSES, SIZE, SIZE)
        logits = {name: torch.randn(shape, generator=generator) for name in BRANCHES}
        for branch in logits.values():
            branch[1::2] *= 0.2  # alone, the second process would have very different thresholds
        return logits, torch.randint(0, CLASSES, (samples, SIZE, SIZE), generator=generator)

    batches = {name: batch() for name in ("usual", "hardly labelled", "unlabelled", "a class apart")}
    batches["hardly labelled"][1][1::2, 1:] = 255
    batches["unlabelled"][1][1::2] = 255
    labels = batches["a class apart"][1]
    labels[1::2][labels[1::2] == 2] = 0
    return batches | {"of odd size": batch(3), "all unlabelled": (batch()[0], torch.full((4, SIZE, SIZE), 255))}


def share_of(batch, rank):
    logits, labels = batch
    return {name: branch[rank::2] for name, branch in logits.items()}, labels[rank::2]


def learn(batch, scope, loss, consistency, soft):
    """Loss, terms and gradients to the logits."""
    logits, labels = batch
    logits = {name: branch.detach().clone().requires_grad_() for name, branch in logits.items()}
    select = CrossModalSelection(0.5, "exp", 80, "entropy", entangle=True, class_balanced=True, scope=scope)
    objective = Objective(loss, consistency, 0.7, CLASSES, scope)
    target = smooth_labels(labels, None, (0.1,), CLASSES) if soft else labels
    found = objective(logits, target, select(logits, labels, epoch=40))
    found.total.backward()
    return found.total.detach(), found.terms, {name: branch.grad for name, branch in logits.items()}


def everything(batches, scope):
    cases = itertools.product(batches, OPTIONS)
    return {(name, *options): learn(batches[name], scope, *options) for name, options in cases}


def learn_weights(batch, scope, wrap):
    """Gradient of a network's weights, through what joins the processes."""
    logits, labels = batch
    net = nn.Conv2d(CLASSES, CLASSES, 1)
    nn.init.dirac_(net.weight)
    nn.init.zeros_(net.bias)
    images = torch.cat([logits["s1"], logits["s2"]])
    wrapped = wrap(net)
    s1, s2 = wrapped(images).chunk(2)
    Objective("ce_dice_focal", "ce", 0.7, CLASSES, scope)({"s1": s1, "s2": s2}, labels).total.backward()
    return net.weight.grad


def _learn_half(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    shares = {name: share_of(batch, rank) for name, batch in make_batches().items()}
    exchanges, all_reduce = [], dist.all_reduce
    dist.all_reduce = lambda tensor: (exchanges.append(tensor.dtype), all_reduce(tensor))
    found = {}
    for scope in ("batch", "global"):
        found[scope] = everything(shares, scope)
        found[scope, "exchanges"] = exchanges.copy()
        exchanges.clear()
    found["weights"] = learn_weights(shares["hardly labelled"], "global", DistributedDataParallel)
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    mp.spawn(_learn_half, (folder,), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def assert_same(one, other, case):
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-8, msg=lambda text: f"{case}: {text}")


def test_globally_two_halves_are_the_whole(found):
    for case, (total, terms, grads) in everything(make_batches(), "global").items():
        for rank, half in enumerate(found):
            own_total, own_terms, own_grads = half["global"][case]
            assert abs(own_total - total) <= 1e-6 * max(1, total), case
            assert own_terms.keys() == terms.keys()
            for name, term in terms.items():
                assert abs(own_terms[name] - term) <= 1e-6 * max(1, term), (case, name)
            for name, grad in grads.items():
                # Halved, as the processes will take the mean.
                assert_same(own_grads[name] / 2, grad[rank::2], (case, name))
                assert (own_grads[name] / 2 - grad[rank::2]).abs().max() <= 1e-6


def test_globally_the_weights_of_a_network_get_the_gradient_of_the_whole_batch(found):
    whole = learn_weights(make_batches()["hardly labelled"], "batch", lambda net: net)
    for half in found:
        assert_same(half["weights"], whole, "weights")


def test_by_batch_each_process_learns_from_its_own(found):
    batches = make_batches()
    for rank, half in enumerate(found):
        alone = everything({name: share_of(batch, rank) for name, batch in batches.items()}, "global")
        for case, expected in alone.items():
            assert_same(half["batch"][case], expected, case)
        assert half["batch", "exchanges"] == []


def test_the_scopes_differ_where_the_halves_do(found):
    case = ("usual", "ce_dice", "ce", False)
    assert abs(found[0]["batch"][case][0] - found[0]["global"][case][0]) > 1e-3


def test_a_loss_is_one_exchange(found):
    for half in found:
        exchanges = half["global", "exchanges"]
        # Beside the two histograms of each modality.
        assert exchanges.count(torch.float32) == len(half["global"])
        assert exchanges.count(torch.int32) == 4 * len(half["global"])
