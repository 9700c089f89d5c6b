"""The paper's tables: one file per table, one option of `init` per starting point, one command for all rows."""

import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import OmegaConf

from cromss.config import UserError, check
from cromss.config.resolvers import run_name
from cromss.io.package_data import config_dir, option_files
from cromss.report.paper import TABLES, paper_rows
from cromss.runs.identity import config_hash
from helpers.composing import composed, reading_files_once

# What the encoder starts from; a file of two encoders serves both inputs.
STARTS = {
    "s1-random": ("none", None),
    "s1-moco": ("moco", "moco-s1.pth"),
    "s1-decur": ("decur", "decur-13b.pth"),
    "s1-cromss-mid": ("cromss", "cromss-mid-13b.ckpt"),
    "s1-cromss-late": ("cromss", "cromss-late-13b.ckpt"),
    "s2-9b-random": ("none", None),
    "s2-13b-random": ("none", None),
    "s2-9b-satlas": ("satlas", "satlas-9b.pth"),
    "s2-13b-dino": ("dino", "dino-13b.pth"),
    "s2-13b-moco": ("moco", "moco-13b.pth"),
    "s2-13b-decur": ("decur", "decur-13b.pth"),
    "s2-9b-cromss-mid": ("cromss", "cromss-mid-9b.ckpt"),
    "s2-9b-cromss-late": ("cromss", "cromss-late-9b.ckpt"),
    "s2-13b-cromss-mid": ("cromss", "cromss-mid-13b.ckpt"),
    "s2-13b-cromss-late": ("cromss", "cromss-late-13b.ckpt"),
}
# Decoder and training crop of a table; DFC2020 is not cropped.
RECIPES = {"dfc2020": ("pspnet", "auto"), "dw": ("deeplabv3plus", 496), "osm": ("fpn", 480)}
CPU = ["trainer/hardware=cpu"]
DATA = ["dataset.train_path=a/train.lmdb", "dataset.test_path=a/test.lmdb", "weights_folder=files"]


def rows(table, mode):
    """Option of `init` -> the row of the paper."""
    found = {}
    for row in paper_rows(table):
        if row.is_repeatable and row.mode == mode:
            name, _, bands = row.weights.rpartition("-") if row.input == "s2" else (row.weights, "", "")
            found["-".join(filter(None, (row.input, bands, name)))] = row
    return found


def jobs(overrides):
    """The overrides of each run of a sweep, from Hydra's own sweeper."""
    with reading_files_once(), initialize_config_dir(str(config_dir()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        # Hydra first composes what is not swept, and refuses keys that only a swept group has.
        loader.load_configuration("config", overrides, run_mode=RunMode.MULTIRUN)
        parser = OverridesParser.create(config_loader=loader)
        (batch,) = BasicSweeper.split_arguments(parser.parse_overrides(overrides), None)
    return [list(job) for job in batch]


def folder_name(job):
    """The folder of a sweep's run, without composing its config."""
    parsed = OverridesParser.create().parse_overrides(job)
    return run_name(get_overrides_dirname(parsed, [], item_sep=",", kv_sep="="))


@pytest.mark.parametrize("table", TABLES)
def test_the_options_of_init_are_the_rows_of_each_table(table):
    assert set(option_files("init")) == set(STARTS) == set(rows(table, "frozen")) == set(rows(table, "finetuned"))


def test_rows_are_what_the_paper_ran():
    for init, row in rows("dw", "frozen").items():
        config = resolved("experiments=dw", f"init={init}", *DATA, *CPU)
        assert config["row"] == {"table": row.table, "input": row.input, "weights": row.weights}
        dataset, backbone = config["dataset"], config["backbone"]
        assert dataset["modality"] == config["fusion"]["modality"] == row.input
        if row.input == "s2":
            bands = {"9b": 9, "13b": 13}[row.weights.rpartition("-")[2]]
            assert dataset["bands"] == ("9_rgb_first" if row.weights == "satlas-9b" else bands)
            assert config["fusion"]["bands"]["s2"] == bands
        origin, file = STARTS[init]
        assert (backbone["weights"], backbone["weights_path"]) == (origin, file and f"files/{file}")


@pytest.mark.parametrize("table", TABLES)
def test_what_all_rows_of_a_table_share_is_what_the_paper_ran(table):
    check(cfg := composed(f"experiments={table}", "init=s2-13b-moco", *DATA, *CPU))
    config = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    dataset, backbone, trainer = config["dataset"], config["backbone"], config["trainer"]
    assert dataset["reader"]["kind"] == table
    assert (dataset["test"]["path"], dataset["val_fraction"]) == ("a/test.lmdb", 0)
    assert (backbone["encoder"], (backbone["decoder"], dataset["crop"])) == ("resnet50", RECIPES[table])
    assert (backbone["load"], backbone["adapt_bands"], backbone["freeze_epochs"]) == ("encoder", False, None)
    assert (trainer["epochs"], trainer["batch_size"], trainer["test"]) == (50, 32, "last")
    assert (trainer["optimizer"]["lr"], trainer["scheduler"]["epochs"]) == (5e-4, 40)
    assert config["loss"]["segmentation"] == "ce_dice"


def resolved(*overrides):
    return OmegaConf.to_container(composed(*overrides), resolve=True, throw_on_missing=True)


@pytest.mark.parametrize("table", TABLES)
def test_the_header_has_the_paper_s_best_numbers(table):
    text = option_files("experiments")[table].read_text()
    assert f"Table {TABLES[table].number}." in text
    for freeze, mode in (("reference", "frozen"), ("none", "finetuned")):
        init, row = max(rows(table, mode).items(), key=lambda pair: pair[1].scores["miou"].mean)
        miou, oa = row.scores["miou"], row.scores["oa"]
        miou, oa = (f"{100 * score.mean:.2f} +- {100 * score.std:.2f}" for score in (miou, oa))
        numbers = f"mIoU {miou}, OA {oa}"
        assert re.search(rf"^#   backbone\.freeze={freeze} +init={init} +{re.escape(numbers)}$", text, re.MULTILINE)


@pytest.mark.parametrize("table", TABLES)
def test_the_header_s_command_runs_the_whole_table(table):
    first = re.sub(r" \\\n# +", " ", option_files("experiments")[table].read_text()).splitlines()[1]
    program, action, sweep, *overrides = shlex.split(first.removeprefix("# "))
    assert (program, action, sweep) == ("cromss", "train", "-m")
    assert first.removeprefix("# ") in re.sub(r" \\\n +", " ", (config_dir().parent / "docs" / "tables.md").read_text())
    batch = jobs(overrides)
    assert len(batch) == 90
    assert {job[1].removeprefix("init=") for job in batch} == set(STARTS)
    names = [folder_name(job) for job in batch]
    assert len(set(names)) == 90
    # And Hydra gives such names.
    assert names[0] == OmegaConf.select(composed(*batch[0], return_hydra_config=True), "hydra.sweep.subdir")


def test_seeds_and_folders_make_no_other_experiment_and_modes_and_rows_do():
    def digest(init="s2-13b-moco", *overrides):
        return config_hash(resolved("experiments=dfc2020", f"init={init}", *DATA, *overrides))

    same = ["seed=2", "weights_folder=elsewhere", "dataset.train_path=b"]
    assert digest() == digest("s2-13b-moco", *same)
    assert digest() != digest("s2-13b-moco", "backbone.freeze=reference")
    # Files of the same kind and bands, told apart by the row alone.
    assert digest("s2-13b-cromss-mid") != digest("s2-13b-cromss-late")


def test_forgotten_data_are_asked_for():
    with pytest.raises(UserError, match=r"dataset.train_path has no default: set dataset.train_path=\.\.\."):
        check(composed("experiments=dfc2020", "init=s2-13b-moco", *CPU))


def test_options_of_the_current_folder_are_found_after_the_project_s_own(tmp_path: Path, monkeypatch):
    for file, text in (("experiments/mine.yaml", "seed: 7"), ("experiments/pretrain.yaml", "seed: 8")):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(f"# @package _global_\n{text}\n")
    monkeypatch.chdir(tmp_path)
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        assert compose("config", ["experiments=mine"]).seed == 7
        assert compose("config", ["experiments=pretrain", "dataset.path=x"]).seed == 1


def test_a_folder_that_is_called_like_a_key_is_no_group(tmp_path: Path, monkeypatch):
    for name in ("seed", "runs"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        assert compose("config", ["seed=2"]).seed == 2
        assert compose("report", ["runs=runs"]).runs == "runs"
