"""What lies in the folder of a page, and what the command refuses."""

import csv
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from cromss.cli.report import run
from cromss.io.package_data import config_dir
from cromss.report.output import is_page_folder
from helpers.entrypoint import SMALL, finish, start
from helpers.invented_runs import config, invent_run, invent_sweep

FILES = ["index.html", "runs.csv", "summary.png", "table.csv", "table.md"]


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """The defaults and `out=report/`, in a folder with a sweep."""
    invent_sweep(tmp_path / "outputs", props=(0.3, 0.5), fusions=("mid",), patches=False)
    monkeypatch.chdir(tmp_path)
    defaults = OmegaConf.to_container(OmegaConf.load(config_dir() / "report.yaml"))
    return {key: value for key, value in defaults.items() if key not in ("defaults", "hydra")} | {"out": "report/"}


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_page_is_written_whole_and_replaced_only_when_asked(settings, tmp_path):
    run(settings)
    assert listed(tmp_path / "report") == FILES
    with pytest.raises(ValueError, match="report holds a page: choose another out=…, or set overwrite=true"):
        run(settings)
    (tmp_path / "report" / "index.html").write_text("old")
    run(settings | {"overwrite": True})
    assert "2 experiments, 4 runs" in (tmp_path / "report" / "index.html").read_text()
    assert listed(tmp_path) == ["outputs", "report"]


def test_what_is_not_a_page_is_never_replaced(settings, tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "thesis.tex").write_text("precious")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="holds other files, such as thesis.tex"):
            run(settings | {"overwrite": overwrite})
    assert listed(tmp_path / "report") == ["thesis.tex"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table": "dw", "status": "x"}, "table=dw status=x: one at a time"),
        ({"sweep": "x"}, "sweep=x says what wandb=PROJECT shows"),
        ({"wandb": "cromss"}, "a report on W&B is no file"),
        ({"format": "csv"}, "format=csv makes one file, and out=report/ is a folder"),
        ({"out": "nowhere/report/"}, "there is no folder nowhere"),
        ({"runs": "nowhere"}, "runs=nowhere is no folder"),
        ({"runs": "empty"}, "no runs below empty"),
        ({"out": "outputs"}, "outputs holds other files"),
    ],
)
def test_mistakes_say_what_is_allowed(settings, tmp_path, changes, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=message):
        run(settings | changes)
    assert listed(tmp_path) == ["empty", "outputs"]


def test_other_ways_of_reporting_are_asked_for_by_name(settings, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("cromss.report.sweeps.status", lambda folder: asked.append(folder) or "all done")
    run(settings | {"status": "outputs", "out": "states.txt"})
    run(settings | {"status": "outputs", "out": None})
    assert asked == [Path("outputs")] * 2
    assert (Path("states.txt").read_text(), capsys.readouterr().out) == ("all done", "all done")


def test_a_disk_that_is_full_leaves_nothing(settings, tmp_path, monkeypatch):
    def full(partial, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cromss.io.atomic.move_into_place", full)
    with pytest.raises(OSError, match="cannot write .*report: No space left on device"):
        run(settings)
    assert listed(tmp_path) == ["outputs"]


def test_a_page_without_its_packages_says_what_to_install(settings, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "cromss.report.page.render", raising=False)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(ValueError, match=r"out=report needs plotly.*'cromss\[report\]'"):
        run(settings)
    assert listed(tmp_path) == ["outputs"]
    run(settings | {"out": None})


def test_a_folder_is_distinguished_from_a_file(tmp_path):
    (tmp_path / "with.dot").mkdir()
    assert [is_page_folder(out) for out in ("a/", "a", "a.v2/", str(tmp_path / "with.dot"))] == [True] * 4
    assert not is_page_folder("a.csv")


def test_tables_for_other_programs_hold_the_means(settings, tmp_path):
    invent_run(tmp_path / "outputs" / "a|b", config(0.1), curve=[0.9], state="failed")
    run(settings)
    with (tmp_path / "report" / "table.csv").open(newline="") as file:
        first, *_, last = csv.DictReader(file)
    with (tmp_path / "report" / "runs.csv").open(newline="") as file:
        runs = [row for row in csv.DictReader(file) if row["experiment"] == "E1"]
    assert (first["experiment"], first["selection.prop"], first["seeds"]) == ("E1", "0.5", "1 2")
    assert (last["states"], last["val/s2/miou best std"]) == ("failed", "")
    values = [float(row["val/s2/miou best"]) for row in runs]
    assert float(first["val/s2/miou best mean"]) == pytest.approx(sum(values) / 2, rel=1e-5)
    lines = (tmp_path / "report" / "table.md").read_text().splitlines()
    assert lines[0] == "|  | prop | val s2 mIoU | val s1 mIoU | seeds |"
    # A failed run may have the highest score, and is not the best.
    assert re.fullmatch(r"\| E1 \| 0.5 \| \*\*\d\d.\d\d\*\* ± \d.\d\d \| \*\*\d\d.\d\d\*\* ± \d.\d\d \| 2 \|", lines[2])
    assert "**" not in lines[4]
    assert r"- 1 run failed: a\|b." in lines


class References(HTMLParser):
    """Collects what a page would load."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]


def test_the_page_refers_to_nothing_outside(settings, tmp_path):
    invent_run(tmp_path / "outputs" / "</script><img src=http://a>", config(0.9))
    run(settings)
    html = (tmp_path / "report" / "index.html").read_text()
    page = References()
    page.feed(html)
    assert page.found == ["data:,"]
    assert re.findall(r"url\(|@import|https?:", html.replace("img src=http:", "")) == []


@pytest.mark.slow
def test_real_runs_become_a_page(tmp_path):
    for prop in ("0.3", "0.7"):
        command = ("train.py", *SMALL, f"selection.prop={prop}", "trainer.test=last")
        finish(start(*command, cwd=tmp_path, cache=tmp_path), check=True)
    finish(start("-m", "cromss.report", "runs=outputs", "out=report/", cwd=tmp_path, cache=tmp_path), check=True)
    html = (tmp_path / "report" / "index.html").read_text()
    assert "2 experiments, 2 runs" in html
    assert '"label":"prop"' in html
    assert "prediction s2" in html
    assert '"test/s2/miou"' in html
