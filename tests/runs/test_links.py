"""What a run writes never goes through a link that its folder holds."""

import logging
import os

import pytest

from cromss.io.logs import RunLogHandler, SafeFormatter
from cromss.io.own_files import LinkError, open_own
from cromss.runs.lock import LOCK, hold, submission_lock
from cromss.runs.names import check_no_links
from helpers.entrypoint import SMALL, finish, start

NAMES = (
    ".lock",
    "train.log",
    ".hydra/config.yaml",
    "run.json",
    "submitted.json",
    "metrics.csv",
    "panels",
    "checkpoints",
)


@pytest.fixture
def victim(tmp_path):
    file = tmp_path / "victim"
    file.write_text("precious")
    yield file
    assert file.read_text() == "precious"


@pytest.mark.parametrize("name", NAMES)
def test_a_link_in_a_folder_is_named(tmp_path, victim, name):
    link = tmp_path / "run" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(victim)
    with pytest.raises(LinkError, match=link.name):
        check_no_links(tmp_path / "run")
    with pytest.raises(LinkError, match=link.name), hold(tmp_path / "run"):
        pass


def test_a_folder_that_is_a_link_itself_is_fine(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "there")
    check_no_links(tmp_path / "run")
    with hold(tmp_path / "run"), submission_lock(tmp_path / "run"):
        assert (tmp_path / "there" / LOCK).exists()


@pytest.mark.parametrize("make", [lambda path, victim: path.symlink_to(victim), lambda path, _: os.mkfifo(path)])
def test_locks_and_logs_open_no_links_and_no_pipes(tmp_path, victim, make):
    path = tmp_path / "file"
    make(path, victim)
    for mode in ("a", "a+", "r+"):
        with pytest.raises(LinkError, match="file"):
            open_own(path, mode)
    with pytest.raises(LinkError, match="file"):
        RunLogHandler().open(path)


def test_log_lines_steer_no_terminal_and_show_no_credentials():
    record = logging.LogRecord("x", logging.INFO, "", 0, "\x1b[2J %s\nsecond", ("http://u:secret@h/a?k=secret",), None)
    assert SafeFormatter("%(message)s").format(record) == "\\x1b[2J http://***@h/a?k=***\nsecond"


def test_a_run_refuses_a_folder_with_a_link_in_one_sentence(tmp_path, victim):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "train.log").symlink_to(victim)
    end = finish(start("train.py", *SMALL, "hydra.run.dir=run", cwd=tmp_path, cache=tmp_path / "cache"), check=False)
    assert end.returncode != 0
    assert "train.log" in end.stderr
    assert "Traceback" not in end.stderr
