"""Selection, smoothing and losses: ours beside a plain rewrite of the published way, checked for the same numbers.

The published way, as its program computes it: a softmax wherever one is needed, a top-k over a boolean selection for
every class of every modality, one-hot maps by `one_hot`, and every loss by itself. Its prior filters all classes of a
sample one by one with scipy, once over the seasons' average and once over the drawn season.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Tensor

from benchmarks.timing import one_thread, seconds
from cromss.loss import Objective
from cromss.selection import CrossModalSelection
from cromss.smoothing import label_prior, smooth_labels
from cromss.types import Prediction

EPOCH, PROP, RAMP_EPOCHS, FACTORS = 30, 0.5, 80, (0.15, 0.05)


def compare_head(batch: int = 4, size: int = 256, classes: int = 9, repeats: int = 10) -> dict[str, float]:
    """Times selection + smoothing + losses, forward and backward to the logits, on one CPU thread.

    Args:
        batch: Samples.
        size: Height and width in pixels.
        classes: C.
        repeats: Timed runs of each; the two ways take turns, and the fastest run of each counts.

    Returns:
        ``published_ms`` and ``ours_ms`` per batch, and ``ratio``, how many times faster ours is.

    Raises:
        RuntimeError: The two ways disagree on the loss or its gradients.
    """
    generator = torch.Generator().manual_seed(0)
    labels = torch.stack([blobs(1, size, classes, generator)[0] for _ in range(batch)]).long()
    prior = torch.softmax(torch.randn(batch, classes, size, size, generator=generator), dim=1)
    evidence = F.one_hot(labels, classes).movedim(-1, 1).float()
    values = [torch.randn(batch, classes, size, size, generator=generator) + 2 * evidence for _ in range(2)]
    select = CrossModalSelection(PROP, "exp", RAMP_EPOCHS, "entropy", entangle=True, class_balanced=True)
    objective = Objective(num_classes=classes)

    def ours(logits: list[Tensor]) -> Tensor:
        branches = {name: Prediction(x) for name, x in zip(("s1", "s2"), logits, strict=True)}
        target = smooth_labels(labels, prior, FACTORS, classes)
        return objective(branches, target, select(branches, labels, EPOCH)).total

    def published(logits: list[Tensor]) -> Tensor:
        return _published_head(logits, labels, prior, classes)

    def step(head: Callable[[list[Tensor]], Tensor]) -> tuple[Tensor, ...]:
        logits = [x.detach().requires_grad_() for x in values]
        loss = head(logits)
        return (loss.detach(), *torch.autograd.grad(loss, logits))

    return _compare(lambda: step(published), lambda: step(ours), repeats)


def compare_prior(batch: int = 4, size: int = 264, classes: int = 9, repeats: int = 5) -> dict[str, float]:
    """Times the spatiotemporal prior of a batch of whole patches with 2 to 5 classes and 4 seasons, on one CPU thread.

    Args and errors as in `compare_head`.

    Returns:
        ``published_ms`` and ``ours_ms`` per *sample*, and ``ratio``.
    """
    generator = torch.Generator().manual_seed(0)
    labels = torch.stack([blobs(4, size, classes, generator) for _ in range(batch)])
    season = torch.arange(batch) % 4
    drawn = season.tolist()

    def published() -> tuple[Tensor]:
        priors = [published_prior(y.numpy(), s, classes) for y, s in zip(labels, drawn, strict=True)]
        return (torch.from_numpy(np.stack(priors)),)

    times = _compare(published, lambda: (label_prior(labels, season, "spatiotemporal", classes),), repeats)
    return times | {"published_ms": times["published_ms"] / batch, "ours_ms": times["ours_ms"] / batch}


def blobs(seasons: int, size: int, classes: int, generator: torch.Generator) -> Tensor:
    """Labels that look like land cover: ``(T, size, size)`` uint8 with areas of 2 to 5 classes that vary by season."""
    present = torch.randperm(classes, generator=generator)[: int(torch.randint(2, 6, (), generator=generator))]
    coarse = torch.randn(1, len(present), 12, 12, generator=generator)
    change = 0.3 * torch.randn(seasons, len(present), 24, 24, generator=generator)
    field = sum(F.interpolate(x, size=size, mode="bicubic") for x in (coarse, change))
    return present[field.argmax(1)].to(torch.uint8)


def _published_head(logits: list[Tensor], labels: Tensor, prior: Tensor, classes: int) -> Tensor:
    progress = math.exp(-5 * (1 - EPOCH / RAMP_EPOCHS) ** 2)
    keep = 1 - progress * (1 - PROP)
    prediction = _published_entangle([_published_prediction_confidence(x, classes) for x in logits])
    label = _published_entangle([_published_label_confidence(x, labels, classes) for x in logits])
    label_weights = [_published_label_weights(c, labels, keep, classes) for c in label]
    prediction_weights = [(1 - progress) * torch.ones_like(c) + progress * c for c in prediction]

    soft = published_target(labels, prior, classes)
    loss = torch.zeros(())
    for x, w in zip(logits, label_weights, strict=True):
        loss = loss + (F.cross_entropy(x, soft, reduction="none") * w).sum() / w.sum()
        probs, w = x.log_softmax(1).exp(), w[:, None]
        overlap = (w * probs * soft).sum((0, 2, 3))
        score = 2 * overlap / (w * probs + w * soft).sum((0, 2, 3)).clamp_min(1e-7)
        loss = loss + ((1 - score) * (soft.sum((0, 2, 3)) > 0)).mean()
    for student, teacher in ((0, 1), (1, 0)):
        w = prediction_weights[teacher]
        pixel = F.cross_entropy(logits[student], F.softmax(logits[teacher].detach(), dim=1), reduction="none")
        loss = loss + (pixel * w).sum() / w.sum()
    return loss


def _published_prediction_confidence(logits: Tensor, classes: int) -> Tensor:
    probs = F.softmax(logits.detach(), dim=1)
    entropy = -(probs * probs.log())
    conf = 1 - entropy.sum(1) / math.log(classes)
    conf[torch.isnan(conf)] = 0
    return conf.clamp(0, 1)


def _published_label_confidence(logits: Tensor, labels: Tensor, classes: int) -> Tensor:
    probs = F.softmax(logits.detach(), dim=1)
    conf = (probs * F.one_hot(labels, classes).float().permute(0, 3, 1, 2)).sum(1)
    conf[torch.isnan(conf)] = 0
    return conf


def _published_entangle(confidences: list[Tensor]) -> list[Tensor]:
    both = confidences[0] * confidences[1]
    return [(c + both) / 2 for c in confidences]


def _published_label_weights(conf: Tensor, labels: Tensor, keep: float, classes: int) -> Tensor:
    weights = torch.zeros_like(conf)
    for c in range(classes):
        of_class = labels == c
        wanted = int(of_class.sum().item() * keep)
        if wanted > 0:
            threshold = torch.topk(conf[of_class], wanted).values[-1]
            weights += torch.clip(conf * of_class / threshold, 0, 1) if threshold > 0 else of_class
    return weights


def published_prior(labels: np.ndarray, season: int, classes: int) -> np.ndarray:
    """Mean of the temporal and the spatial prior of one sample: labels ``(T, H, W)`` -> ``(C, H, W)``."""
    one_hot = F.one_hot(torch.tensor(labels).long(), classes).numpy().astype(np.float32)
    priors = []
    for maps in (one_hot.mean(axis=0), one_hot[season]):
        filtered = np.stack([gaussian_filter(maps[..., c], sigma=3, truncate=4) for c in range(classes)])
        priors.append(filtered / filtered.sum(axis=0))
    return (priors[0] + priors[1]) / 2


def published_target(labels: Tensor, prior: Tensor, classes: int) -> Tensor:
    """Soft labels ``(B, C, H, W)`` of labels ``(B, H, W)`` and a prior ``(B, C, H, W)``."""
    soft = F.one_hot(labels, classes).float().permute(0, 3, 1, 2)
    return soft * (1 - sum(FACTORS)) + prior * FACTORS[0] + FACTORS[1] / classes


def _compare(
    published: Callable[[], tuple[Tensor, ...]], ours: Callable[[], tuple[Tensor, ...]], repeats: int
) -> dict[str, float]:
    with one_thread():
        for theirs, mine in zip(published(), ours(), strict=True):
            if not torch.allclose(theirs, mine, rtol=1e-3, atol=1e-5 * float(theirs.abs().max())):
                raise RuntimeError(f"the two ways disagree by up to {float((theirs - mine).abs().max()):.2e}")
        times = np.array([[seconds(published), seconds(ours)] for _ in range(repeats)])
    published_ms, ours_ms = times.min(0) * 1000
    return {
        "published_ms": float(published_ms),
        "ours_ms": float(ours_ms),
        "ratio": float(published_ms / ours_ms),
    }
