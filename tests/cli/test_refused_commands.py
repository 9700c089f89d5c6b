"""A command that is refused changes no file of the run that lies in its folder."""

import pytest

from cromss.cli import export, report
from cromss.cli.train import main
from cromss.runs.names import LOCK
from helpers.entrypoint import SMALL, latest

QUICK = [*SMALL, "trainer.epochs=1", "trainer.progress_bar=false"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        call(patch, main, *QUICK)
        yield folder / "run"


def call(patch, program, *arguments):
    own = [] if any(text.startswith("out=") for text in arguments) else ["hydra.run.dir=run"]
    patch.setattr("sys.argv", ["program", *latest([*arguments, *own])])
    program()


def files(folder):
    """Content and time of each file; the lock alone is written by whoever looks at the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != LOCK)
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


REFUSED = {
    "other settings": ["selection.prop=0.3", "trainer.resume=auto"],
    "anew": ["trainer.resume=null"],
    "a bad value": ["trainer.epochs=abc"],
    "an unknown key": ["trainer.epoch=3"],
    "a test alone": ["trainer.test_only=true", "trainer.checkpoint=run/checkpoints/last.ckpt"],
    "a test of no checkpoint": ["trainer.test_only=true", "trainer.checkpoint=nowhere.ckpt"],
    "no data": ["dataset=nol", "dataset.path=nowhere"],
    "no checkpoint": ["trainer.resume=nowhere.ckpt"],
}
OFTEN = ("other settings", "an unknown key", "a test alone", "no data")


@pytest.mark.parametrize(
    "overrides",
    [pytest.param(REFUSED[name], id=name, marks=() if name in OFTEN else pytest.mark.slow) for name in REFUSED],
)
def test_a_refused_training_or_test_changes_no_file(folder, monkeypatch, capfd, overrides):
    before = files(folder)
    assert {"config.yaml", "run.json", "train.log", "hydra.yaml"} <= {path.name for path in before}
    others = [text for text in QUICK if "dataset=nol" not in overrides or not text.startswith("dataset.")]
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, main, *others, *overrides)
    assert ended.value.code not in (0, None)
    assert files(folder) == before
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        (report.main, ["out=run/config.yaml"]),
        (report.main, ["out=run/results.json", "overwrite=true"]),
        (report.main, ["out=run", "overwrite=true"]),
        (report.main, ["out=run/", "overwrite=true"]),
        (export.main, ["checkpoint=run/checkpoints/last.ckpt", "out=run/config.yaml", "modality=s2"]),
        (
            export.main,
            ["checkpoint=run/checkpoints/last.ckpt", "out=run/checkpoints/last.ckpt", "modality=s2", "overwrite=true"],
        ),
    ],
)
def test_other_programs_change_no_file_of_a_run(folder, monkeypatch, program, arguments):
    before = files(folder)
    with pytest.raises(SystemExit):
        call(monkeypatch, program, *arguments)
    assert files(folder) == before


def test_a_finished_run_is_left_as_it_is_by_the_same_command(folder, monkeypatch):
    before = files(folder)
    call(monkeypatch, main, *QUICK, "trainer.resume=auto")
    assert files(folder) == before
