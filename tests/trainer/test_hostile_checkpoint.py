"""A stranger's checkpoint runs nothing, deletes nothing, and is refused in one sentence where it is no checkpoint."""

import copy
import os
import pickle
import zlib
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from cromss.backbone import load_weights
from cromss.cli.compose import Composed
from cromss.cli.recompose import as_trained, set_trained
from cromss.cli.train import main
from cromss.config.resolvers import register_resolvers
from cromss.io.checkpoint import Checkpoint, Provenance, WeightsReport
from cromss.io.package_data import config_dir
from cromss.io.plain import NotPlainError, parse
from cromss.predict.network import load_network
from cromss.trainer.checkpoint_file import AtomicCheckpointIO, MovableCheckpoint, load_checkpoint
from cromss.trainer.lightning_trainer import make_trainer
from cromss.trainer.training_state import STATES, check_restorable, training_state
from cromss.weights.saved import saved_network
from helpers.fits import fit
from helpers.hostile import RESOLVERS, mutations

register_resolvers()

SETTINGS = ["trainer.epochs=1", "dataset.val_fraction=0.2"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def run(tmp_path_factory, cache):
    """The folder of a run of one epoch, and what trained there."""
    folder = tmp_path_factory.mktemp("run")
    trainer = fit(folder, cache, *SETTINGS)
    return folder, trainer.lightning_module


@pytest.fixture
def content(run):
    """What its last checkpoint holds, to be changed."""
    return torch.load(run[0] / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.fixture
def light(content):
    """The same with a single weight and nothing to resume from, which is quickly written."""
    return {**{name: content[name] for name in ("config", "epoch")}, "state_dict": {"net.a": torch.zeros(1)}}


@pytest.fixture
def canary(tmp_path):
    """A file that exists once something has run."""
    yield (path := tmp_path / "canary")
    assert not path.exists()


def written(path, content):
    path.parent.mkdir(exist_ok=True)
    torch.save(content, path)
    return path


def sampled(forms, share):
    """About one of so many changed documents, always the same ones."""
    return [(name, form) for name, form in forms if zlib.crc32(name.encode()) % share == 0]


def refusal(call, *arguments):
    """What a ValueError of one line says; None where there is none."""
    try:
        call(*arguments)
    except ValueError as error:
        said = str(error)
    else:
        return None
    assert "\n" not in said
    assert len(said) < 2000
    return said


SHARES = [151, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
"""By default one of 151 forms is tried."""


def hostile_nodes(canary):
    call = {"_target_": "os.system", "_args_": [f"touch {canary}"]}
    return [template.format(canary=canary) for template in RESOLVERS] + [call, [call], {**call, "_partial_": True}]


def test_predict_runs_nothing_that_a_checkpoint_names(light, tmp_path, canary):
    for node in hostile_nodes(canary):
        for group, key in (("fusion", "bands"), ("fusion", "backbone"), ("dataset", "classes"), ("dataset", "bands")):
            changed = copy.deepcopy(light)
            changed["config"][group][key] = node
            said = refusal(load_network, written(tmp_path / "a.ckpt", changed))
            assert said
            assert "weights do not fit" not in said
    for target in (
        "os.system",
        "cromss.cli.train.main",
        "cromss.backbone.Backbone",
        "hydra.utils.instantiate",
        3,
        None,
        [],
    ):
        changed = copy.deepcopy(light)
        changed["config"]["fusion"]["_target_"] = target
        assert "no network of cromss" in refusal(load_network, written(tmp_path / "a.ckpt", changed))


def test_predict_builds_no_network_that_is_larger_than_its_weights(light, tmp_path):
    for key, value in (
        ("decoder_channels", [10**9] * 3),
        ("decoder_channels", [4096] * 3),
        ("encoder_depth", 10**6),
        ("encoder", "tu-convnext_xxlarge"),
        ("encoder", "tu-hf-hub:a/b"),
        ("encoder", "../../a"),
        ("decoder", "segformer"),
    ):
        changed = copy.deepcopy(light)
        changed["config"]["fusion"]["backbone"][key] = value
        assert refusal(load_network, written(tmp_path / "a.ckpt", changed)), key


def test_the_table_builds_what_training_built(run, content):
    saved = saved_network(content["config"])
    state = {name.removeprefix("net."): value for name, value in content["state_dict"].items()}
    assert saved.build(state).state_dict().keys() == run[1].net.state_dict().keys()


FORBIDDEN = [
    "+x._target_=os.system",
    "trainer.scheduler._target_=os.system",
    "dataset.reader._target_=os.system",
    "hydra.run.dir=/tmp/elsewhere",
    "hydra/launcher=slurm",
    "+hydra.callbacks.x._target_=os.system",
    "dataset=../../../etc/x",
    "dataset=_view",
    "experiments=/etc/passwd",
    "dataset@x=nol",
    "~dataset.test",
    "trainer.epochs",
    "dataset.nowhere=1",
    "dataset=${oc.env:HOME}",
]


@pytest.fixture
def asked(tmp_path):
    """Composes a test of a checkpoint, as the command line does."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):

        def call(path, *overrides):
            overrides = ["trainer.test_only=true", f"trainer.checkpoint={path}", *overrides]
            cfg = compose("config", overrides, return_hydra_config=True)
            own = OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])
            return Composed(own, dict(cfg.hydra.runtime.choices), overrides)

        yield call


@pytest.mark.parametrize("override", FORBIDDEN)
def test_a_test_takes_no_override_from_a_checkpoint_that_is_no_option_or_key(light, tmp_path, canary, asked, override):
    light["overrides"] = [override]
    path = written(tmp_path / "a.ckpt", light)
    assert refusal(as_trained, asked(path))


def test_a_test_takes_plain_values_alone_from_a_checkpoint(light, tmp_path, canary, asked):
    ask = asked(tmp_path / "a.ckpt")
    light["overrides"] = ["dataset.degrees=1", "trainer.monitor=x", "dataset.bands=1"]
    for node in hostile_nodes(canary):
        for group, key in (("dataset", "degrees"), ("dataset", "bands"), ("trainer", "monitor")):
            changed = copy.deepcopy(light)
            changed["config"][group][key] = node
            message = refusal(set_trained, copy.deepcopy(ask.cfg), changed["config"], [f"{group}.{key}"], ())
            assert message, (group, key, node)
    changed = copy.deepcopy(light)
    changed["overrides"] = ["dataset.test={path: a}"]
    changed["config"]["dataset"]["test"] = {"_target_": "os.system", "path": "a"}
    assert "_target_" in refusal(as_trained, asked(written(tmp_path / "a.ckpt", changed)))


def test_a_test_is_set_up_by_options_and_values_and_what_is_asked_for_wins(light, tmp_path, asked):
    light["overrides"] = [
        "fusion=late",
        "trainer/scheduler=step",
        "dataset.crop=32",
        "seed=7",
        "dataset.test={seed: 3}",
    ]
    light["overrides"] += ["+dataset.test.size=40", "trainer.resume=null"]
    light["config"] |= {"seed": 7}
    light["config"]["dataset"] |= {"crop": 32, "test": {"seed": 3, "size": 40}}
    path = written(tmp_path / "a.ckpt", light)
    composed = as_trained(asked(path))
    assert composed.choices["fusion"] == "late"
    assert composed.choices["trainer/scheduler"] == "step"
    assert (composed.cfg.seed, composed.cfg.dataset.crop, composed.cfg.dataset.test) == (7, 32, {"seed": 3, "size": 40})
    assert composed.cfg.trainer.resume == "auto"
    assert as_trained(asked(path, "dataset.test={seed: 5}")).cfg.dataset.test == {"seed": 5}
    assert as_trained(asked(path, "seed=8", "fusion=mid")).cfg.seed == 8
    assert as_trained(asked(path, "dataset=nol", "dataset.path=x")).cfg.dataset.path == "x"


def test_a_checkpoint_says_neither_where_a_test_writes_nor_to_whom_it_reports(light, tmp_path, asked):
    said = {
        "dataset.cache": "/elsewhere",
        "backbone.weights_cache": "/elsewhere",
        "dataset.reader.cache": "/elsewhere",
        "dataset.test": {"cache": "/elsewhere", "seed": 3},
        "trainer.wandb": "online",
        "trainer.wandb_entity": "stranger",
        "trainer.wandb_project": "stranger",
        "trainer.devices": 64,
        "trainer.num_nodes": 64,
        "trainer.strategy": "ddp",
    }
    for key, value in said.items():
        node = light["config"]
        for name in key.split(".")[:-1]:
            node = node[name]
        node[key.rpartition(".")[2]] = value
    light["overrides"] = [f"{key}=x" for key in said]
    ask = asked(written(tmp_path / "a.ckpt", light))
    composed = as_trained(ask)
    assert composed.resolved["dataset"].pop("test") == {"seed": 3}
    expected = ask.resolved
    assert expected["dataset"].pop("test") is None
    assert composed.resolved == expected
    composed = as_trained(asked(tmp_path / "a.ckpt", "dataset.cache=/mine", "trainer.wandb_entity=me"))
    assert (composed.cfg.dataset.cache, composed.cfg.trainer.wandb_entity) == ("/mine", "me")


@given(
    path=st.text(st.sampled_from("$\\{}:/.?' aé"), max_size=12).map(lambda text: f"${{oc.env:HOME}}{text}${{x}}")
    | st.sampled_from(["???", "${x}", r"\${x}", r"\\${seed}", "a/${oc.create:{_target_:os.system}}/b"])
)
def test_saved_paths_are_taken_literally(path):
    reader = {"path": "${dataset.path}", "files": "${dataset.files}"}
    cfg = OmegaConf.create({"dataset": {"path": "???", "files": {"s2": "s2.tif"}, "reader": reader}})
    set_trained(cfg, {"dataset": {"path": path, "files": {"s2": path}}}, ["dataset.path", "dataset.files"], ())
    assert Path(cfg.dataset.reader.path) == Path(path)
    assert Path(cfg.dataset.reader.files.s2) == Path(path)


def test_a_part_of_the_users_own_comes_from_the_command_line_alone(light, tmp_path, asked):
    own = "backbone.network._target_=mine.Network"
    light["overrides"] = [own]
    path = written(tmp_path / "a.ckpt", light)
    assert "on the command line" in refusal(as_trained, asked(path))
    light["overrides"] = []
    path = written(tmp_path / "a.ckpt", light)
    assert as_trained(asked(path, own)).cfg.backbone.network._target_ == "mine.Network"


@pytest.mark.parametrize(
    "overrides",
    [
        ["trainer.test_only=true", "trainer.checkpoint=a.ckpt"],
        ["backbone.weights=cromss", "backbone.weights_path=a.ckpt", "trainer=smoke"],
    ],
)
def test_train_runs_nothing_that_a_checkpoint_names(content, tmp_path, canary, monkeypatch, capfd, overrides):
    monkeypatch.chdir(tmp_path)
    node = RESOLVERS[0].format(canary=canary)
    content["overrides"] = [f"+x={node}", f"+x._target_=os.system +x._args_=['touch {canary}']"]
    content["config"]["dataset"]["bands"] = content["config"]["backbone"]["encoder"] = node
    written(tmp_path / "a.ckpt", content)
    monkeypatch.setattr("sys.argv", ["train.py", *overrides, "hydra.run.dir=out", "trainer.wandb=disabled"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    said = capfd.readouterr().err
    assert "a.ckpt" in said
    assert "Traceback" not in said


def state_of(content, monitor):
    """The state of the callback that watches a metric."""
    return next(state for name, state in content["callbacks"].items() if f"'monitor': '{monitor}'" in name)


OTHERS = ("{own}/victim", "{victim}", "{own}/last.ckpt/../victim")


@pytest.mark.parametrize(
    "where", ["{own}/../../victim", *(pytest.param(where, marks=pytest.mark.slow) for where in OTHERS)]
)
def test_a_resumed_checkpoint_deletes_no_folder_of_its_choice(run, content, tmp_path, cache, where):
    own = tmp_path / "run" / "checkpoints"
    victims = [tmp_path / "victim", own / "victim"]
    for victim in victims:
        victim.mkdir(parents=True)
        (victim / "thesis.tex").write_text("years")
    path = where.format(own=own, victim=tmp_path / "victim")
    for state in content["callbacks"].values():
        names = ("best_model_path", "kth_best_model_path", "last_model_path")
        state |= {**dict.fromkeys(names, path), "dirpath": str(own), "best_k_models": {path: torch.tensor(1e9)}}
    content["config"]["dataset"]["cache"] = str(cache)
    written(own / "last.ckpt", content)
    fit(tmp_path / "run", cache, *SETTINGS[1:], "trainer.epochs=2")
    assert all((victim / "thesis.tex").read_text() == "years" for victim in victims)
    assert (own / "best.ckpt").is_file()


def test_paths_of_a_checkpoint_become_names_below_the_runs_own_folder(tmp_path):
    callback = MovableCheckpoint(dirpath=tmp_path, filename="best", monitor="a", save_top_k=1)
    (tmp_path / "best.ckpt").touch()
    (tmp_path / "other.ckpt").touch()
    score = torch.tensor(0.5)

    def loaded(path):
        state = {"best_model_path": path, "kth_best_model_path": path, "best_k_models": {path: score}}
        callback.best_model_path, callback.best_k_models = "", {}
        callback.load_state_dict(state | {"best_model_score": score, "kth_value": score})
        return callback.best_model_path, callback.best_k_models

    own = str(tmp_path / "best.ckpt")
    assert loaded("/of/another/host/best.ckpt") == (own, {own: score})
    for path in ("/elsewhere/other.ckpt", "other.ckpt", "..", "", "best.ckpt/..", "memory://best", "\0"):
        assert loaded(path) == ("", {})


def test_under_slurm_no_checkpoint_is_loaded_unasked(run, tmp_path, cache, monkeypatch, canary):
    class Attack:
        def __reduce__(self):
            return os.system, (f"touch {canary}",)

    for folder in (tmp_path, tmp_path / "checkpoints"):
        folder.mkdir(exist_ok=True)
        (folder / "hpc_ckpt_1.ckpt").write_bytes(pickle.dumps(Attack()))
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("config", ["trainer=smoke", "trainer.wandb=disabled", "trainer.accelerator=cpu"])
    for name, value in (("NTASKS", "1"), ("JOB_ID", "7"), ("PROCID", "0"), ("LOCALID", "0"), ("NODEID", "0")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SLURM_JOB_NAME", "train")
    trainer = make_trainer(cfg, OmegaConf.to_container(cfg, resolve=True), {}, tmp_path, [])
    connector = trainer._checkpoint_connector
    assert connector._hpc_resume_path is None
    assert connector._parse_ckpt_path(trainer.state.fn or _fitting(), None, True, True) is None
    # And were one named, it would be read as data.
    for weights_only in (None, False, True):
        with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
            trainer.strategy.load_checkpoint(tmp_path / "hpc_ckpt_1.ckpt", weights_only=weights_only)
    assert not Path(os.devnull).is_dir()


def _fitting():
    from lightning.pytorch.trainer.states import TrainerFn

    return TrainerFn.FITTING


def test_lightning_gets_nothing_but_what_is_known(content, tmp_path):
    content |= {"hyper_parameters": {"a": 1}, "hparams_name": "x", "datamodule_hyper_parameters": {}, "own": 1}
    content["callbacks"]["EarlyStopping"] = {"wait_count": 3}
    content["pytorch-lightning_version"] = "0.1.dev"
    state = AtomicCheckpointIO().load_checkpoint(written(tmp_path / "a.ckpt", content))
    known = {"epoch", "global_step", "pytorch-lightning_version", "state_dict", "loops", "callbacks"}
    assert set(state) == known | {"optimizer_states", "lr_schedulers", "epoch_sums", "processes"}
    assert all(name.startswith("MovableCheckpoint{") for name in state["callbacks"])
    assert list(state["loops"]) == ["fit_loop"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("state_dict", None),
        ("state_dict", {"a": torch.zeros(2).to_sparse()}),
        ("state_dict", {"a": torch.zeros(1).expand(2**40)}),
        ("state_dict", {"a": torch.zeros(2, dtype=torch.complex64)}),
        ("state_dict", {"a": torch.zeros(2, device="meta")}),
        ("state_dict", {3: torch.zeros(2)}),
        ("state_dict", {"a": 3}),
        ("epoch", -1),
        ("epoch", "2"),
        ("epoch", True),
        ("epoch", 2**70),
        ("config", None),
        ("config", {1: 2}),
        ("overrides", "seed=1"),
        ("weights", [{"origin": 3}]),
    ],
)
def test_odd_parts_are_named(light, tmp_path, key, value):
    said = refusal(load_checkpoint, written(tmp_path / "a.ckpt", light | {key: value}))
    assert key in said or "key 1, which is not a string" in said


def test_lists_that_multiply_and_archives_that_swell_are_refused(content, tmp_path):
    node = ["x"] * 9
    for _ in range(9):
        node = [node] * 9
    assert "values" in refusal(load_checkpoint, written(tmp_path / "a.ckpt", content | {"overrides": node}))
    content["overrides"] = node = []
    node.append(node)
    assert "nested" in refusal(load_checkpoint, written(tmp_path / "a.ckpt", content))


@pytest.mark.parametrize("missing", ["loops", "callbacks", "optimizer_states", "lr_schedulers"])
def test_what_a_resumed_run_needs_is_missed_before_it_starts(run, content, tmp_path, missing):
    del content[missing]
    path = written(tmp_path / "a.ckpt", content)
    with pytest.raises(ValueError, match=missing):
        check_restorable(path, load_checkpoint(path), run[1])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c["lr_schedulers"][0].update(step="os.system"), "unknown key step"),
        (lambda c: c["lr_schedulers"][0].update(best="abc"), "lr_schedulers.0.best"),
        (lambda c: c["lr_schedulers"].clear(), "lr_schedulers"),
        (lambda c: c["optimizer_states"][0]["param_groups"][0].update(lr="1"), "param_groups.0.lr"),
        (lambda c: c["optimizer_states"][0]["param_groups"][0].update(params=[0]), "param_groups.0.params"),
        (lambda c: c["optimizer_states"][0]["param_groups"][0].pop("betas"), "betas"),
        (lambda c: c["optimizer_states"][0]["state"][0].pop("exp_avg"), "exp_avg"),
        (lambda c: c["optimizer_states"][0]["state"][0].update(exp_avg=torch.zeros(3)), "exp_avg"),
        (lambda c: c["optimizer_states"][0]["state"].update({10**6: {}}), "weight 1000000"),
        (lambda c: c["epoch_sums"].update(forward={"total": [1.0]}), "forward"),
        (lambda c: c["epoch_sums"]["train/loss"].update(forward=[1.0]), "train/loss"),
        (lambda c: c["epoch_sums"]["train/loss"].update(total=[1.0, 2.0]), "process"),
        (lambda c: c["loops"]["fit_loop"]["epoch_progress"]["current"].update(advance=1), "advance"),
        (lambda c: c["loops"]["fit_loop"].update({"epoch_loop.state_dict": {"trainer": 1}}), "trainer"),
        (lambda c: c["loops"]["fit_loop"].update(max_epochs=3), "max_epochs"),
        (lambda c: c.update(MixedPrecision={"scale": -1.0}), "MixedPrecision"),
    ],
)
def test_a_state_that_is_not_this_optimisers_is_refused(run, content, tmp_path, change, named):
    change(content)
    path = written(tmp_path / "a.ckpt", content)
    assert named in refusal(check_restorable, path, load_checkpoint(path), run[1])


def test_what_a_run_saves_is_restored(run, content, tmp_path):
    path = written(tmp_path / "a.ckpt", content)
    check_restorable(path, load_checkpoint(path), run[1])
    assert type(run[1].configure_optimizers()["optimizer"]).__name__ in STATES


def small(content):
    """The provenance of a checkpoint with few keys, and its weights."""
    config = content["config"]
    names = ("bands", "normalisation", "statistics", "classes", "colours", "crop")
    dataset = {name: config["dataset"][name] for name in names} | {"classes": config["dataset"]["classes"]}
    groups = {"fusion": config["fusion"], "dataset": dataset, "backbone": {"encoder": config["backbone"]["encoder"]}}
    report = WeightsReport(origin="cromss", load="encoder", modality="s2").model_dump()
    return {
        "epoch": 0,
        "global_step": 4,
        "config": groups | {"trainer": {"epochs": 3}},
        "overrides": ["seed=1"],
        "weights": [report],
    }


@pytest.mark.parametrize("share", SHARES)
def test_every_reader_answers_every_form_in_one_sentence(run, content, tmp_path, canary, share):
    module = run[1]
    counted = {"refused": 0, "read": 0}
    for name, changed in sampled(mutations(small(content), canary), share):
        whole = {"state_dict": content["state_dict"]} | (changed if isinstance(changed, dict) else {"config": changed})
        path = tmp_path / "a.ckpt"
        try:
            torch.save(whole, path)
        except RecursionError:
            # What is too deep to be written is handed over as it would have been read.
            assert refusal(parse, Provenance, {k: v for k, v in whole.items() if k != "state_dict"}) or "depth" in name
            continue
        message = refusal(load_checkpoint, path)
        counted["read" if message is None else "refused"] += 1
        refusal(load_network, path)
        refusal(load_weights, module.net, path, "cromss", "encoder", "s2")
        if message is None:
            refusal(training_state, path, load_checkpoint(path))
    assert all(counted.values())


@pytest.mark.parametrize("share", SHARES)
def test_what_lightning_restores_answers_every_form_in_one_sentence(run, content, tmp_path, canary, share):
    folder, module = run
    path = folder / "checkpoints" / "last.ckpt"
    kept = content["optimizer_states"][0]
    saved = load_checkpoint(path)
    parts = {
        "loops": content["loops"],
        "callbacks": {"MovableCheckpoint{best}": state_of(content, "val/loss")},
        "lr_schedulers": content["lr_schedulers"],
        "optimizer_states": [{"state": {0: kept["state"][0]}, "param_groups": kept["param_groups"]}],
        "LocationDataModule": {"s2": {"quantised": False, "bands": [["B4", 0.665, 500.0, 20.0]]}},
        "MixedPrecision": {
            **{"scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000},
            "_growth_tracker": 3,
        },
        "epoch_sums": {"train/loss": {"total": [1.0], "weight": [1.0]}},
        "processes": 1,
    }
    parts["loops"] = {"fit_loop": parts["loops"]["fit_loop"]}
    callback = MovableCheckpoint(dirpath=folder / "checkpoints", filename="best", monitor="val/loss")
    counted = {"refused": 0, "read": 0}
    assert refusal(check_restorable, path, Checkpoint(saved.provenance, saved.state, parts), module) is None
    for _, changed in sampled(mutations(parts, canary), share * 2):
        if not isinstance(changed, dict):
            continue
        checkpoint = Checkpoint(saved.provenance, saved.state, changed)
        message = refusal(check_restorable, path, checkpoint, module)
        counted["read" if message is None else "refused"] += 1
        if message is None:
            for state in training_state(path, checkpoint)["callbacks"].values():
                callback.load_state_dict(state)
                assert Path(callback.best_model_path).parent == folder / "checkpoints" or not callback.best_model_path
    assert all(counted.values())


@pytest.mark.parametrize("share", SHARES)
def test_values_of_a_saved_config_answer_every_form_in_one_sentence(content, tmp_path, canary, asked, share):
    cfg = asked(tmp_path / "a.ckpt", "trainer=smoke").cfg
    keys = ["dataset.bands", "dataset.classes", "dataset.crop", "trainer.epochs", "trainer.scheduler", "dataset.test"]
    config = content["config"]
    trained = {"dataset": {name: config["dataset"][name] for name in ("bands", "classes", "crop")}}
    trained["dataset"]["test"] = {"size": 40}
    trained["trainer"] = {"epochs": 1, "scheduler": config["trainer"]["scheduler"]}
    counted = {"refused": 0, "read": 0}
    assert refusal(set_trained, copy.deepcopy(cfg), trained, keys, ()) is None
    for _, changed in sampled(mutations(trained, canary), min(share, 37)):
        try:
            config = parse(Provenance, {"epoch": 0, "config": changed}).config
        except NotPlainError:
            counted["refused"] += 1
            continue
        own = copy.deepcopy(cfg)
        message = refusal(set_trained, own, config, keys, ())
        counted["read" if message is None else "refused"] += 1
        assert own.trainer.scheduler._target_ == cfg.trainer.scheduler._target_
        assert own.dataset.reader == cfg.dataset.reader
    assert all(counted.values())
