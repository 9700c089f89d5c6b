import errno
import logging
import os
import platform
import signal
import subprocess
import sys

import pytest

from cromss.io import atomic
from cromss.io.atomic import (
    exchange,
    leftovers,
    move_into_place,
    remove_leftovers,
    restore,
    sibling,
    write_file,
)
from cromss.trainer.checkpoint_file import remove_partials

DEAD = f"{platform.node()}-{2**22 + 1}-0123abcd"
"""How names end that belong to a process of this host that is not alive: its number is above the highest."""


def test_a_file_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "file"
    write_file(target, b"first, and longer")
    write_file(target, b"second")
    assert target.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [target]


def test_what_stood_there_survives_a_failure(tmp_path, monkeypatch):
    target = tmp_path / "file"
    write_file(target, b"first")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cromss.io.atomic.os.fsync", full)
    with pytest.raises(OSError, match=r"cannot write .*file: No space left on device"):
        write_file(target, b"second")
    assert target.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [target]


def folder(path, content):
    path.mkdir()
    (path / "file").write_text(content)
    return path


def names(path):
    return sorted(child.name for child in path.iterdir())


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_replaces_another(tmp_path, monkeypatch, can_exchange):
    if not can_exchange:
        monkeypatch.setattr(atomic, "_renameat2", None)
    target = tmp_path / "target"
    for content in ("first", "second", "third"):
        move_into_place(folder(sibling(target, "partial"), content), target)
        assert (target / "file").read_text() == content
        assert names(tmp_path) == ["target"]


def test_two_names_are_exchanged_at_once(tmp_path):
    one, other = folder(tmp_path / "one", "1"), tmp_path / "other"
    other.write_text("a file")
    assert exchange(one, other)
    assert (one.read_text(), (other / "file").read_text()) == ("a file", "1")
    with pytest.raises(OSError, match="No such file"):
        exchange(one, tmp_path / "absent")


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_exchange(tmp_path, monkeypatch, code):
    def refused(*_):
        atomic.ctypes.set_errno(code)
        return -1

    monkeypatch.setattr(atomic, "_renameat2", refused)
    target = folder(tmp_path / "target", "first")
    move_into_place(folder(sibling(target, "partial"), "second"), target)
    assert (target / "file").read_text() == "second"
    assert names(tmp_path) == ["target"]


KILLED = """
import os, signal, sys
from pathlib import Path
from cromss.io import atomic

target, can_exchange, at = Path(sys.argv[1]), sys.argv[2] == "True", int(sys.argv[3])
if not can_exchange:
    atomic._renameat2 = None
partial = atomic.sibling(target, "partial")
partial.mkdir()
(partial / "file").write_text("second")
calls = 0

def killing(function):
    def called(*arguments, **named):
        global calls
        calls += 1
        if calls == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return called

Path.rename = killing(Path.rename)
atomic.exchange = killing(atomic.exchange)
atomic._remove = killing(atomic._remove)
atomic.move_into_place(partial, target)
sys.exit(7)
"""


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_kill_at_any_step_loses_nothing(tmp_path, caplog, can_exchange):
    """At each call that changes a name in turn, until there is no further one."""
    seen = []
    for step in range(1, 20):
        place = tmp_path / str(step)
        place.mkdir()
        target = folder(place / "target", "first")
        arguments = [sys.executable, "-c", KILLED, str(target), str(can_exchange), str(step)]
        code = subprocess.run(arguments, check=False).returncode
        seen.append(target.exists())
        restore(target)
        content = (target / "file").read_text()
        assert content in ("first", "second")
        remove_leftovers(target)
        assert (target / "file").read_text() == content
        assert names(place) == ["target"]
        if code == 7:
            assert content == "second"
            break
        assert code == -signal.SIGKILL
    assert len(seen) > 3
    # Only two renames leave a moment without the name.
    assert all(seen) == can_exchange
    assert ("has its old content" in caplog.text) == (not can_exchange)


def test_what_was_replaced_comes_back_only_where_nothing_stands(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    target = tmp_path / "a [b].tif"
    replaced = tmp_path / f".{target.name}.replaced-{DEAD}"
    replaced.write_text("old")
    target.write_text("new")
    restore(target)
    assert target.read_text() == "new"
    target.unlink()
    others = [tmp_path / f".{target.name}.replaced-elsewhere-{2**22 + 1}-0123abcd", tmp_path / ".x.replaced-1"]
    for other in others:
        other.write_text("of others")
    restore(target)
    assert target.read_text() == "old"
    assert "killed" in caplog.text
    assert all(other.exists() for other in others)


def test_only_what_this_program_left_is_a_leftover(tmp_path):
    ours = tmp_path / f".last.ckpt.partial-{DEAD}"
    kept = [
        ".notes.partial-draft",
        ".a.partial-",
        f".a.partial-{platform.node()}-{os.getpid()}-0123abcd",
        f".a.partial-other-host-{2**22 + 1}-0123abcd",
        f".a.partial-{platform.node()}-0-0123abcd",
        f".a.partial-{platform.node()}-{2**70}-0123abcd",
        f".a.partial-{DEAD}.txt",
        f"a.partial-{DEAD}",
    ]
    for name in [ours.name, *kept]:
        (tmp_path / name).touch()
    assert leftovers(tmp_path) == [ours]
    remove_partials(tmp_path)
    assert names(tmp_path) == sorted(kept)


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path):
    elsewhere = folder(tmp_path / "elsewhere", "kept")
    target = tmp_path / "target"
    target.symlink_to(elsewhere)
    move_into_place(folder(sibling(target, "partial"), "new"), target)
    assert (target / "file").read_text() == "new"
    assert not target.is_symlink()
    assert (elsewhere / "file").read_text() == "kept"
    assert names(tmp_path) == ["elsewhere", "target"]
