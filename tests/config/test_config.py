from pathlib import Path

import pytest
from omegaconf import OmegaConf

from cromss.config import UserError, check
from cromss.config.mistakes import unknown_key
from cromss.config.resolvers import run_folder, run_name
from cromss.io.package_data import option_files
from helpers.composing import composed

GROUPS = ("dataset", "backbone", "fusion", "loss", "selection", "smoothing", "trainer")
NESTED = ("trainer/optimizer", "trainer/scheduler", "trainer/hardware")
OPTIONS = [f"{group}={name}" for group in (*GROUPS, *NESTED, "init", "experiments") for name in option_files(group)]


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_resolves(option):
    cfg = composed(option)
    for key in ("path", "train_path"):
        if OmegaConf.is_missing(cfg.dataset, key):
            cfg.dataset[key] = "somewhere"
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)


def test_every_group_has_options():
    found = {option.split("=")[0] for option in OPTIONS}
    assert found == {*GROUPS, *NESTED, "init", "experiments"}


def test_the_defaults_pass_the_checks():
    check(composed())


def test_band_counts_follow_the_bands():
    assert composed("dataset.bands=9_rgb_first").fusion.bands.s2 == 9
    assert composed().fusion.bands == {"s1": 2, "s2": 13}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["fusion=single", "loss.consistency=none"], "set selection=none"),
        (["fusion=single", "selection=none"], "set loss.consistency=none"),
        (["selection.prop=1.5"], r"selection.prop=1\.5"),
        (["selection.ramp=cubic"], "selection.ramp=cubic"),
        (["selection.confidence=guess"], "selection.confidence=guess"),
        (["loss.consistency=cos"], "loss.consistency=cos"),
        (["smoothing.factors=[0.9,0.9]"], r"smoothing.factors=\[0.9, 0.9\]"),
        (["dataset.crop=0"], "dataset.crop=0"),
        (["dataset.flip=2"], "dataset.flip=2"),
        (["dataset.val_fraction=1"], "dataset.val_fraction=1"),
        (
            ["dataset.val_fraction=0", "trainer.monitor=val/loss"],
            "trainer.monitor watches: set trainer.monitor=train/loss",
        ),
        (
            ["dataset.val_fraction=0", "trainer/scheduler=plateau"],
            "trainer.scheduler.monitor watches: set trainer/scheduler=none",
        ),
        (["trainer.epochs=0"], "trainer.epochs=0"),
        (["trainer.batch_size=none"], "trainer.batch_size=none"),
        (["trainer.workers=-1"], "trainer.workers=-1"),
        (["trainer.sync_batchnorm=2"], "trainer.sync_batchnorm=2 must be true or false"),
        (["trainer/hardware=cpu", "trainer.sync_batchnorm=true"], "works between GPUs, and trainer.accelerator=cpu"),
        (["selection.scope=rank"], "selection.scope=rank must be one of global, batch"),
        (["loss.scope=rank"], "loss.scope=rank must be one of global, batch"),
        (["trainer.wandb=maybe"], "trainer.wandb=maybe"),
        (["trainer.wandb_init_timeout=0"], "trainer.wandb_init_timeout=0"),
        (["seed=-1"], "seed=-1"),
        (["trainer.test_only=true"], "set trainer.checkpoint=PATH"),
        (["trainer.checkpoint=x.ckpt"], "backbone.weights=cromss backbone.weights_path=PATH"),
        (["trainer.test=first"], "trainer.test=first must be one of last, best, null"),
        (["trainer.predictions=jpg"], "trainer.predictions=jpg must be one of none, png, tif"),
        (["trainer.decoder_rates=up"], "trainer.decoder_rates=up must be one of equal, rising, falling"),
        (["trainer.precision=bf16-true"], "trainer.precision=bf16-true must be one of 32-true, bf16-mixed, 16-mixed"),
        (["trainer.precision=16-true"], "trainer.precision=16-true must be one of"),
        (["trainer.precision=64-true"], "trainer.precision=64-true must be one of"),
        (["trainer/hardware=cpu", "trainer.precision=16-mixed"], "trainer.precision=16-mixed needs a GPU"),
        (["dataset.num_classes=5"], "dataset.num_classes=5 must be the number of dataset.classes"),
        (["trainer.optimizer.weight_decay=1e30"], r"trainer.optimizer.weight_decay=1e\+30 must be"),
        (["trainer/scheduler=plateau", "trainer.scheduler.factor=-1"], "trainer.scheduler.factor=-1 must be"),
        (["dataset.crop=true"], "dataset.crop=true must be"),
        (["selection.entangle=[1,2]"], r"selection.entangle=\[1, 2\] must be true or false"),
        (["weights_folder=null"], "weights_folder=null must be a path"),
        (["row=[1,2]"], r"row=\[1, 2\] must be"),
        (["dataset.classes=[a,a]"], "class names must be distinct"),
        (["dataset.modality=s3"], "dataset.modality=s3 must be one of s1, s2"),
        (["dataset.train_samples=0"], "dataset.train_samples=0"),
        (["backbone.decoder=unett"], "backbone.decoder=unett must be one of .*: did you mean unet"),
        (
            ["dataset=dw", "dataset.train_path=x", "backbone.decoder=unett", "trainer=smoke"],
            "backbone.decoder=unett must be one of .*: did you mean unet",
        ),
        (["backbone.freeze=half"], "backbone.freeze=half must be one of none, frozen, reference"),
        (["backbone.freeze_epochs=3"], "ends a freeze and backbone.freeze=none begins none"),
        (["dataset.classes=[a,b,c,d,e,f,g,h,i,j]"], "dataset.colours names 9 colours for 10"),
        (["dataset.colours=[red,blurple,red,red,red,red,red,red,red]"], "dataset.colours=.*; entry 2 of 9 is blurple"),
        (["dataset.noise_rates.confusion.trees.grass=0.99"], "dataset.noise_rates.confusion.trees.grass=0.99 is too"),
        (["dataset.scene=abc"], "dataset.scene=abc must be keys with values: biomes, haze"),
        (["+fusoin=late"], "There is no key fusoin: did you mean fusion"),
        (["~selection"], "selection has no value"),
        (["+trainer.accumulate_grad_batches=4"], "There is no key trainer.accumulate_grad_batches"),
        (["dataset=nol", "dataset.path=x", "+dataset.files=x"], "There is no key dataset.files"),
    ],
)
def test_an_impossible_setting_names_itself_and_the_cure(overrides, message):
    with pytest.raises(UserError, match=message):
        check(composed(*overrides))


@pytest.mark.parametrize(
    ("overrides", "scope"),
    [([], "global"), (["selection.scope=batch"], "batch"), (["selection=none"], "batch")],
)
def test_the_loss_is_of_the_pixels_that_selection_looks_at(overrides, scope):
    assert composed(*overrides).loss.scope == scope


@pytest.mark.parametrize("key", ["dataset", "dataset.scene", "dataset.noise_rates", "backbone", "trainer"])
@pytest.mark.parametrize("table", [{}, {"a": 1}])
def test_a_table_in_place_of_another_is_one_problem(key, table):
    cfg = composed()
    OmegaConf.set_struct(cfg, False)
    OmegaConf.update(cfg, key, table, merge=False)
    with pytest.raises(UserError, match=f"{key}={{.*}} must be keys with values") as error:
        check(cfg)
    assert str(error.value).count("\n") == 1


def test_all_problems_come_in_one_message():
    with pytest.raises(UserError) as error:
        check(composed("selection.prop=1.5", "dataset.flip=2", "seed=-1"))
    assert str(error.value).count("\n  - ") == 3


def test_run_names_say_what_differs():
    assert run_name("") == "defaults"
    assert run_name("fusion=late,selection.prop=0.5") == "fusion=late,selection.prop=0.5"


def test_run_names_keep_only_the_end_of_a_path_and_stay_apart():
    one, other = run_name("dataset.path=/a/store"), run_name("dataset.path=/b/store")
    assert one.startswith("dataset.path=store-")
    assert one != other


def test_a_long_name_loses_its_paths_first():
    paths = f"dataset.test_path=/data/{'b' * 90},dataset.train_path=/data/{'a' * 90}"
    name = run_name(f"{paths},experiments=dfc2020,seed=1")
    assert name.startswith("experiments=dfc2020,seed=1,dataset.test_path=bbb")


def test_a_config_can_be_shown_resolved():
    cfg = composed()
    OmegaConf.resolve(cfg)
    assert cfg.dataset.classes[0] == "water"


def test_run_names_fit_into_a_file_system():
    name = run_name(",".join(f"key{i}=value{i}" for i in range(50)))
    assert len(name) < 255
    assert name != run_name(",".join(f"key{i}=value{i}" for i in range(49)))


@pytest.mark.parametrize("letter", ["日", "é", "😀"])
def test_run_names_of_any_script_fit_into_a_file_system_and_are_whole_characters(letter, tmp_path: Path):
    one, other = (run_name(f"dataset.path={letter * 120}{end}") for end in "ab")
    assert one != other
    for name in (one, other):
        # With room for the number of a second run, and for what is written beside it.
        assert len(name.encode()) < 200
        (tmp_path / name).mkdir()
        assert "\ufffd" not in name


def test_a_run_never_takes_the_folder_of_another(tmp_path: Path):
    root = str(tmp_path)
    assert run_folder(root, "", None) == "defaults"
    (tmp_path / "defaults").mkdir()
    assert run_folder(root, "", None) == "defaults-2"
    (tmp_path / "defaults-2").mkdir()
    assert run_folder(root, "", None) == "defaults-3"
    # Only a folder with a checkpoint can be gone on in, not that of a run that ended before its first epoch.
    assert run_folder(root, "", "auto") == "defaults-3"
    (tmp_path / "defaults" / "checkpoints").mkdir()
    (tmp_path / "defaults" / "checkpoints" / "last.ckpt").touch()
    assert run_folder(root, "", "auto") == "defaults"


def test_unknown_keys_get_suggestions():
    expected = "There is no key selection.prp: did you mean selection.prop"
    assert unknown_key("selection.prp", "train").startswith(expected)
    assert "selection.prop" in unknown_key("prop", "train")
    assert "with the chosen options" in unknown_key("fusion.modality", "train")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["dataset.modality=s1"], "set fusion=single"),
        (["dataset.rotate=0", "dataset.degrees=45"], "dataset.degrees=45 has no effect"),
        (["dataset.samples_seed=3"], "dataset.train_samples=null"),
        (["trainer.decoder_rate_factor=0.5"], "trainer.decoder_rates=equal"),
        (["loss.consistency=none", "loss.consistency_weight=2"], "loss.consistency_weight=2 has no effect"),
        (["selection.ramp=none", "selection.ramp_epochs=3"], "selection.ramp_epochs=3 has no effect"),
        (["selection=none", "trainer.ramp_epochs=3"], "trainer.ramp_epochs=3 has no effect"),
        (["backbone.load=all"], "backbone.weights=none"),
        (["trainer.predictions=png"], "trainer.test=null"),
    ],
)
def test_what_the_user_set_without_effect_is_refused(overrides, words):
    check(composed(*overrides))
    with pytest.raises(UserError, match=words):
        check(composed(*overrides), overrides=overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["fusion=single", "selection=none", "loss.consistency=none", "dataset.modality=s1"],
        ["trainer.decoder_rates=rising", "trainer.decoder_rate_factor=0.5"],
        ["trainer.test=last", "trainer.predictions=png"],
        ["selection.scope=batch", "trainer.wandb=disabled", "trainer.wandb_tags=[a]"],
        ["dataset=nol", "dataset.path=a", "dataset.test_path=b"],
        ["+trainer.optimizer.betas=[0.9,0.95]"],
        ["trainer/scheduler=cosine"],
    ],
)
def test_what_has_an_effect_or_does_no_harm_passes(overrides):
    check(composed(*overrides), overrides=overrides)
