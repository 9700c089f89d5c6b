"""The files of the paper's tables say what the paper says, and every one can be run."""

import re
import shlex

import pytest
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import OmegaConf

from cromss.config import UserError, check
from cromss.config.resolvers import run_name
from cromss.io.package_data import config_dir
from cromss.report.paper import TABLES, paper_rows
from cromss.runs.experiment import config_hash
from helpers.composing import composed, reading_files_once

FOLDER = config_dir() / "experiments"
ROWS = {
    f"{row.table}_{row.input}_{row.weights}": row
    for table in TABLES
    for row in paper_rows(table)
    if row.backbone == "resnet50" and row.mode == "frozen"
}
FINETUNED = {
    f"{row.table}_{row.input}_{row.weights}": row
    for table in TABLES
    for row in paper_rows(table)
    if row.mode == "finetuned"
}
# Decoder and training crop of a table; DFC2020 is not cropped.
RECIPES = {"dfc2020": ("pspnet", "auto"), "dw": ("deeplabv3plus", 496), "osm": ("fpn", 480)}
# What the encoder starts from; a file of two encoders serves both inputs.
WEIGHTS = {
    "s1_random": ("none", None),
    "s1_moco": ("moco", "moco-s1.pth"),
    "s1_decur": ("decur", "decur-13b.pth"),
    "s1_cromss-mid": ("cromss", "cromss-mid-13b.ckpt"),
    "s1_cromss-late": ("cromss", "cromss-late-13b.ckpt"),
    "s2_random-9b": ("none", None),
    "s2_random-13b": ("none", None),
    "s2_satlas-9b": ("satlas", "satlas-9b.pth"),
    "s2_dino-13b": ("dino", "dino-13b.pth"),
    "s2_moco-13b": ("moco", "moco-13b.pth"),
    "s2_decur-13b": ("decur", "decur-13b.pth"),
    "s2_cromss-mid-9b": ("cromss", "cromss-mid-9b.ckpt"),
    "s2_cromss-late-9b": ("cromss", "cromss-late-9b.ckpt"),
    "s2_cromss-mid-13b": ("cromss", "cromss-mid-13b.ckpt"),
    "s2_cromss-late-13b": ("cromss", "cromss-late-13b.ckpt"),
}
CPU = ["trainer/hardware=cpu"]
DATA = ["dataset.train_path=a/train.lmdb", "dataset.test_path=a/test.lmdb", "weights_folder=files"]


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
    settings = OmegaConf.load(config_dir() / "config.yaml").hydra.job.config.override_dirname
    parsed = OverridesParser.create().parse_overrides(job)
    return run_name(get_overrides_dirname(parsed, settings.exclude_keys, item_sep=",", kv_sep="="))


def test_every_row_of_the_paper_has_a_file_and_every_file_is_a_row():
    prefixes = tuple(f"{table}_" for table in TABLES)
    files = {path.stem for path in FOLDER.glob("[!_]*.yaml") if path.stem.startswith(prefixes)}
    assert len(ROWS) == 45
    assert files == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_what_the_paper_ran(name):
    row = ROWS[name]
    cfg = composed(f"experiments={name}", *DATA, *CPU)
    check(cfg)
    config = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    assert config["row"] == {"table": row.table, "input": row.input, "weights": row.weights}
    dataset, backbone, trainer = config["dataset"], config["backbone"], config["trainer"]
    assert dataset["reader"]["kind"] == row.table
    assert (dataset["test"]["path"], dataset["val_fraction"]) == ("a/test.lmdb", 0)
    assert dataset["modality"] == config["fusion"]["modality"] == row.input
    if row.input == "s2":
        bands = {"9b": 9, "13b": 13}[row.weights.rpartition("-")[2]]
        assert dataset["bands"] == ("9_rgb_first" if row.weights == "satlas-9b" else bands)
        assert config["fusion"]["bands"]["s2"] == bands
    assert (backbone["encoder"], (backbone["decoder"], dataset["crop"])) == ("resnet50", RECIPES[row.table])
    origin, file = WEIGHTS[f"{row.input}_{row.weights}"]
    assert (backbone["weights"], backbone["weights_path"]) == (origin, file and f"files/{file}")
    assert (backbone["load"], backbone["adapt_bands"], backbone["freeze_epochs"]) == ("encoder", False, None)
    assert (trainer["epochs"], trainer["batch_size"], trainer["test"]) == (50, 32, "last")
    assert (trainer["optimizer"]["lr"], trainer["scheduler"]["epochs"]) == (5e-4, 40)
    assert config["loss"]["segmentation"] == "ce_dice"


@pytest.mark.parametrize("name", ROWS)
def test_the_header_has_the_paper_s_numbers(name):
    text = (FOLDER / f"{name}.yaml").read_text()
    assert f"Table {TABLES[ROWS[name].table].number}:" in text
    for mode, row in (("reference", ROWS[name]), ("none", FINETUNED[name])):
        miou, oa = row.scores["miou"], row.scores["oa"]
        line = f"mIoU {miou.mean:.2f} +- {miou.std:.2f}, OA {oa.mean:.2f} +- {oa.std:.2f}"
        assert re.search(rf"^#   backbone\.freeze={mode}: +{re.escape(line)}$", text, re.MULTILINE)


@pytest.mark.parametrize("name", ROWS)
def test_the_header_s_command_is_six_runs_of_this_row(name):
    _, first, *_ = re.sub(r" \\\n# +", " ", (FOLDER / f"{name}.yaml").read_text()).splitlines()
    python, program, sweep, *overrides = shlex.split(first.removeprefix("# "))
    assert (python, program, sweep) == ("python", "train.py", "-m")
    assert [override.partition("=")[0] for override in overrides][:5] == [
        "experiments",
        "backbone.freeze",
        "seed",
        "dataset.train_path",
        "dataset.test_path",
    ]
    batch = jobs(overrides)
    assert len(batch) == 2 * 3
    assert all(job[0] == f"experiments={name}" for job in batch)
    assert composed(*batch[0]).backbone.freeze == "reference"


@pytest.mark.parametrize("table", TABLES)
def test_one_command_runs_a_table(table):
    page = (config_dir().parent / "docs" / "tables.md").read_text()
    commands = re.sub(r" \\\n +", " ", page).splitlines()
    (command,) = [line for line in commands if line.startswith(f"python train.py -m 'experiments=glob({table}_*)'")]
    batch = jobs([*shlex.split(command)[3:], "weights_folder=files"])
    assert len(batch) == 90
    assert {job[0].removeprefix("experiments=") for job in batch} == {n for n in ROWS if n.startswith(f"{table}_")}
    names = [folder_name(job) for job in batch]
    assert len(set(names)) == 90
    # And Hydra gives such names.
    assert names[0] == OmegaConf.select(composed(*batch[0], return_hydra_config=True), "hydra.sweep.subdir")


def test_seeds_and_folders_make_no_other_experiment_and_modes_and_rows_do():
    def digest(name="dfc2020_s2_moco-13b", *overrides):
        return config_hash(OmegaConf.to_container(composed(f"experiments={name}", *DATA, *overrides), resolve=True))

    same = ["seed=2", "weights_folder=elsewhere", "dataset.train_path=b"]
    assert digest() == digest("dfc2020_s2_moco-13b", *same)
    assert digest() != digest("dfc2020_s2_moco-13b", "backbone.freeze=reference")
    # Files of the same kind and bands, told apart by the row alone.
    assert digest("dfc2020_s2_cromss-mid-13b") != digest("dfc2020_s2_cromss-late-13b")


def test_forgotten_data_are_asked_for():
    with pytest.raises(UserError, match=r"dataset.train_path has no default: set dataset.train_path=\.\.\."):
        check(composed("experiments=dfc2020_s2_moco-13b", *CPU))
