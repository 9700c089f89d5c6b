"""The report that W&B would get, from the folder of a sweep; a stand-in takes it, the real service is never asked."""

import importlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import wandb
import yaml

from cromss.report.sweeps import Ablation, read_ablation
from cromss.runs.names import SWEEP
from cromss.runs.record import new_record
from helpers.invented_runs import config
from helpers.wandb_server import WandbServer
from report.conftest import RUN

pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")

NAME = "fusion=mid,late,seed=1,2,x='<y>'"
CONFIG = {"seed": 1, "trainer": {"epochs": 2, "monitor": "val/loss", "test_only": False, "checkpoint": None}}
CONFIG |= {"dataset": {}, "backbone": {}}


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """A sweep over two settings and a seed, of which one run has begun; and nothing of the user's W&B."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    folder = Path("outputs") / "sweeps" / NAME
    (folder / "a").mkdir(parents=True)
    said = [
        ["fusion=mid", "selection.prop=0.3", "+seed=1", "trainer=smoke"],
        ["fusion=late", "selection.prop=0.3", "+seed=2", "trainer=smoke"],
        ["fusion=mid", "+seed=1", "trainer=smoke"],
    ]
    runs = [{"folder": name, "overrides": overrides} for name, overrides in zip("abc", said, strict=True)]
    (folder / SWEEP).write_text(json.dumps({"format": 1, "runs": runs}))
    (folder / "a" / "metrics.csv").write_text(
        "epoch,step,train/loss,val/s1/iou/water,val/s1/miou,val/s2/miou\n0,1,1,1,1,1\n"
    )
    (folder / "a" / "config.yaml").write_text(yaml.safe_dump(config()))
    new_record(folder / "a", CONFIG, overrides=said[0], choices={"fusion": "mid", "trainer": "smoke"}).save(
        folder / "a"
    )
    yield folder
    wandb.teardown()


def panels(spec):
    """Runset and panels of every grid, with its heading before it."""
    blocks = [block for block in spec["blocks"] if block["type"] in ("heading", "panel-grid")]
    return {
        heading["children"][0]["text"]: (
            grid["metadata"]["runSets"][0],
            [(panel["viewType"], panel["config"]) for panel in grid["metadata"]["panelBankSectionConfig"]["panels"]],
        )
        for heading, grid in zip(blocks[::2], blocks[1::2], strict=True)
    }


def test_what_runs_differ_in_is_read_from_the_sweep(sweep):
    found = read_ablation(sweep)
    assert asdict(found) == {
        "name": NAME,
        "settings": ["choices.fusion", "selection.prop"],
        "branches": ["s1", "s2"],
        "is_tested": False,
    }
    (sweep / "b").mkdir()
    scores = {"s2": dict.fromkeys(("oa", "aa", "miou", "mf1"), 0.5)}
    (sweep / "b" / "results.json").write_text(json.dumps(RUN | {"scores": scores}))
    assert read_ablation(sweep).final("s2") == "test/s2/miou"


def test_the_report_compares_settings_over_seeds(sweep, monkeypatch):
    from cromss.report.wandb_report import publish

    with WandbServer() as server:
        monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        url = publish("ours/p", NAME)
    assert url.startswith(f"{server.url}/ours/p/reports/")
    saved = server.views[0]
    assert (saved["entityName"], saved["projectName"], saved["displayName"]) == ("ours", "p", f"Sweep {NAME}")
    grids = panels(json.loads(saved["spec"]))
    assert list(grids) == ["Curves", "Final mIoU", "One setting at a time", "Settings and scores", "Patches"]
    for runs, _ in grids.values():
        (wanted,) = runs["filters"]["filters"]
        assert (wanted["key"]["name"], wanted["op"], wanted["value"]) == ("group", "=", NAME)
    # Where W&B keeps the nested config: the first key, "value", and the rest.
    paths = ["choices.value.fusion", "selection.value.prop"]
    for heading in ("Curves", "Final mIoU"):
        assert [key["name"] for key in grids[heading][0]["grouping"]] == paths
    _, curves = grids["Curves"]
    names = ["val/s1/miou", "val/s2/miou", "val/loss", "train/loss"]
    assert [config["metrics"] for _, config in curves] == [[name] for name in names]
    assert {(kind, config["xAxis"], config["groupAgg"], config["groupArea"]) for kind, config in curves} == {
        ("Run History Line Plot", "epoch", "mean", "stddev")
    }
    _, bars = grids["Final mIoU"]
    assert [(kind, config["metrics"]) for kind, config in bars] == [
        ("Bar Chart", [f"summary_metrics.val/{branch}/miou"]) for branch in ("s1", "s2")
    ]
    _, each = grids["One setting at a time"]
    assert [config["groupBy"] for _, config in each] == [paths[0], paths[0], paths[1], paths[1]]
    ((kind, lines),) = grids["Settings and scores"][1]
    axes = [*paths, "seed.value"]
    finals = [f"summary:val/{branch}/miou" for branch in ("s1", "s2")]
    assert kind == "Parallel Coordinates Plot"
    assert [axis["accessor"] for axis in lines["columns"]] == [*(f"config:{path}" for path in axes), *finals]
    ((_, pictures),) = grids["Patches"][1]
    assert pictures["mediaKeys"] == ["panels", "masks"]


@pytest.mark.slow
def test_a_project_without_a_team_is_that_of_the_key(sweep, monkeypatch):
    from cromss.report.wandb_report import publish

    with WandbServer() as server:
        monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        assert publish("p", str(sweep)).startswith(f"{server.url}/ours/p/reports/")


def test_runs_that_differ_in_their_seed_alone_are_one_setting():
    from cromss.report.wandb_report import specification

    report = specification("ours", "p", Ablation("seed=1,2", [], ["s2"], is_tested=True))
    assert report.description == "Runs that differ in the seed."
    grid = next(block for block in report.blocks if type(block).__name__ == "PanelGrid")
    assert grid.runsets[0].groupby == ["run.group"]


@pytest.mark.parametrize(
    ("project", "name", "message"),
    [
        ("a/b/c", NAME, "wandb=a/b/c is no project: set wandb=ENTITY/PROJECT"),
        ("ours/", NAME, "set wandb=ENTITY/PROJECT"),
        ("ours/p", None, "set sweep=NAME"),
        ("ours/p", "nowhere", "sweep=nowhere is no folder"),
        ("ours/p", ".", f"holds no {SWEEP}"),
        ("ours/p", NAME, "wandb login"),
    ],
)
def test_what_cannot_become_a_report_is_said(sweep, project, name, message):
    from cromss.report.wandb_report import publish

    with pytest.raises(ValueError, match=message):
        publish(project, name)


def test_a_sweep_that_measured_nothing_makes_no_report(sweep):
    (sweep / "a" / "metrics.csv").unlink()
    with pytest.raises(ValueError, match="a report would be empty"):
        read_ablation(sweep)


def test_a_server_that_knows_no_such_key_is_named(sweep, monkeypatch):
    from cromss.report.wandb_report import publish

    with WandbServer() as server:
        monkeypatch.setattr(server, "answer", lambda operation, asked: {})
        monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        with pytest.raises(ValueError, match="W&B did not take the report .*credentials"):
            publish("ours/p", NAME)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("wandb_workspaces", r"wandb=PROJECT needs wandb_workspaces.*'cromss\[wandb-report\]'"),
        ("wandb.sdk.lib.service.service_connection", r"another version than this program knows.*'wandb<"),
    ],
)
def test_a_package_that_is_missing_is_reported_in_one_sentence(monkeypatch, module, message):
    monkeypatch.delitem(sys.modules, "cromss.report.wandb_report", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=message):
        importlib.import_module("cromss.report.wandb_report")
