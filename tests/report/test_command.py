"""`python -m cromss.report` as users call it."""

import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from cromss.cli import report as command
from cromss.cli.command import checked_settings
from cromss.cli.report import run
from cromss.io.package_data import config_dir
from cromss.report.output import check_outside_runs, deliver
from helpers.entrypoint import finish, start


@pytest.fixture
def settings(invent, tmp_path, monkeypatch):
    """The defaults, in a folder with runs."""
    invent("a")
    monkeypatch.chdir(tmp_path)
    defaults = OmegaConf.to_container(OmegaConf.load(config_dir() / "report.yaml"))
    return {key: value for key, value in defaults.items() if key not in ("defaults", "hydra")} | {"table": "dfc2020"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table": "nol"}, "table=nol must be one of dfc2020, dw, osm, null"),
        ({"format": "html"}, "format=html must be one of text, csv, markdown, latex"),
        ({"runs": "nowhere"}, "runs=nowhere is no folder: name the one below which runs lie"),
        ({"runs": ["outputs", "nowhere"]}, "runs=nowhere is no folder"),
        ({"runs": []}, r"runs=\[\] must be a path, or a list of at least 1"),
        ({"runs": None}, "runs=… is missing"),
        ({"overwrite": "yes"}, "overwrite=yes must be true or false"),
        ({"out": "nowhere/a.txt"}, "out=nowhere/a.txt: there is no folder nowhere"),
        ({"out": "outputs"}, "out=outputs is a folder: name a file in it"),
    ],
)
def test_mistakes_say_what_is_allowed(settings, changes, message):
    with pytest.raises(ValueError, match=message):
        run(checked_settings("report", settings | changes))


def test_a_file_is_replaced_only_when_asked(settings, tmp_path):
    out = tmp_path / "table.csv"
    out.write_text("precious")
    asked = settings | {"out": "table.csv", "format": "csv"}
    with pytest.raises(ValueError, match="table.csv exists: choose another out=…"):
        run(asked)
    assert out.read_text() == "precious"
    run(asked | {"overwrite": True})
    assert out.read_text().startswith("dataset,input,mode,")


def test_several_folders_are_read(settings, tmp_path, capsys):
    (tmp_path / "more").mkdir()
    run(settings | {"runs": ["outputs", str(tmp_path / "more")]})
    assert f"1 run read in outputs, {tmp_path}/more: 1 of rows" in capsys.readouterr().out


def test_a_disk_that_is_full_is_an_error_of_the_disk(tmp_path):
    with pytest.raises(OSError, match="cannot write"):
        deliver("text", tmp_path / "nowhere" / "a.txt")


def test_the_command_line_keeps_warnings_out_of_the_table(invent, tmp_path):
    invent("whole")
    invent("broken").write_text("{")
    end = finish(start("-m", "cromss.report", "table=dfc2020", "format=csv", cwd=tmp_path, cache=tmp_path), check=True)
    assert end.stdout.startswith("dataset,input,mode,")
    assert len(end.stdout.splitlines()) == 41
    assert "Left out: broken/results.json: it is not JSON" in end.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outputs"]


def test_a_mistake_on_the_command_line_ends_without_a_stack_trace(tmp_path):
    end = finish(start("-m", "cromss.report", "table=dw", cwd=tmp_path, cache=tmp_path), check=False)
    assert end.returncode == 1
    assert "runs=outputs is no folder" in end.stderr
    assert "Traceback" not in end.stderr


def test_it_starts_without_torch():
    code = "import sys, cromss.cli.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_ctrl_c_ends_with_a_sentence(settings, monkeypatch, capsys):
    def interrupted(settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", interrupted)
    monkeypatch.setattr("sys.argv", ["report", "table=dw"])
    with pytest.raises(SystemExit) as end:
        command.main()
    assert end.value.code == 130
    assert capsys.readouterr().err == "\nInterrupted: nothing was written.\n"


@pytest.mark.parametrize("out", ["outputs/a/results.json", "alias/results.json", "link.json", "outputs/a/new.csv"])
def test_a_report_never_replaces_what_a_run_wrote(invent, tmp_path, monkeypatch, out):
    results = invent("a")
    (results.parent / "run.json").write_text("{}")
    before = results.read_bytes()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alias").symlink_to(results.parent)
    (tmp_path / "link.json").symlink_to(results)
    with pytest.raises(ValueError, match="among the files of a run"):
        check_outside_runs(Path(out))
    check_outside_runs(Path("report.csv"))
    assert results.read_bytes() == before
