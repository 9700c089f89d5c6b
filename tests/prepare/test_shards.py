import contextlib
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from cromss.dataset.reader import DatasetInfo, ModalityInfo
from cromss.dataset.shard_folder import read_entries
from cromss.dataset.store import open_store
from cromss.io import atomic
from cromss.io.signals import EndedBySignal, ended_by_exception
from cromss.prepare.shards import Part, prepare
from cromss.prepare.verify import verify
from helpers.entrypoint import finish, start
from helpers.preparing import content, prepared, statuses
from helpers.raw_layouts import as_tar_gz, random_ssl4eo_s12

SIZE = 24


class Numbered:
    """A reader of so many locations, some of which are damaged, each after a rest."""

    def __init__(self, count, damaged=(), rest=0.0):
        self.info = DatasetInfo({"s1": ModalityInfo(("VV", "VH"), "uint8", True)}, ("a", "b"), 1, (4, 4))
        self.count, self.damaged, self.rest = count, damaged, rest

    def __len__(self):
        return self.count

    def location_id(self, index):
        return f"n{index}"

    def read_images(self, index, season, modality):
        time.sleep(self.rest)
        if index in self.damaged:
            raise ValueError(f"n{index} is damaged")
        return np.full((2, 4, 4), index, np.uint8)

    def read_labels(self, index):
        return np.full((1, 4, 4), index % 2, np.uint8)


def written(reader, out, **changes):
    settings = {
        "quantised": True,
        "compression": {"labels": "zstd"},
        "per_shard": 3,
        "workers": 2,
        "part": Part(),
        "settings": {"source": "test"},
        "retry": False,
        "overwrite": False,
        "accept_missing": False,
    }
    return prepare(reader, out, **{**settings, **changes})


def test_damaged_locations_are_left_out_of_their_shard(tmp_path):
    outcome = written(Numbered(8, damaged=(1, 3, 4, 5)), tmp_path / "out")
    assert outcome.counts == {"done": 4, "failed": 4}
    store = open_store(tmp_path / "out")
    assert [store.location_id(index) for index in range(4)] == ["n0", "n2", "n6", "n7"]
    assert store.read_images(1, 0, "s1")[0, 0, 0] == 2
    # The second shard has no location at all, and is complete.
    assert [len(read_entries(tmp_path / "out", shard)) for shard in range(3)] == [3, 3, 2]
    assert not (tmp_path / "out" / "00001.lmdb").exists()
    assert statuses(tmp_path / "out")["n4"] == ("failed", "n4 is damaged")


@pytest.mark.slow
def test_retry_writes_again_what_failed_and_nothing_else(tmp_path):
    written(Numbered(8, damaged=(1, 4)), tmp_path / "out")
    before = {shard: (tmp_path / "out" / f"0000{shard}.lmdb").stat().st_ino for shard in range(3)}
    assert written(Numbered(8), tmp_path / "out").counts == {"done": 6, "failed": 2}
    assert written(Numbered(8), tmp_path / "out", retry=True).counts == {"done": 8}
    after = {shard: (tmp_path / "out" / f"0000{shard}.lmdb").stat().st_ino for shard in range(3)}
    assert [before[shard] == after[shard] for shard in range(3)] == [False, False, True]
    written(Numbered(8), tmp_path / "other")
    assert content(tmp_path / "out") == content(tmp_path / "other")


def test_a_source_that_lost_locations_costs_none_that_are_stored(tmp_path):
    written(Numbered(3, damaged=(1,)), tmp_path / "out")
    before = content(tmp_path / "out")
    assert written(Numbered(3, damaged=(0, 1, 2)), tmp_path / "out", retry=True).counts == {"done": 2, "failed": 1}
    assert content(tmp_path / "out") == before


def test_nothing_can_be_read(tmp_path):
    with pytest.raises(ValueError, match="no location could be stored. The first, n0: n0 is damaged"):
        written(Numbered(2, damaged=(0, 1)), tmp_path / "out")


def test_another_source_or_other_settings(tmp_path):
    written(Numbered(4), tmp_path / "out")
    with pytest.raises(ValueError, match=r"from another source or with other settings:\n  source: test there, x"):
        written(Numbered(4), tmp_path / "out", settings={"source": "x"})
    with pytest.raises(ValueError, match="locations: 4 there, 5 now"):
        written(Numbered(5), tmp_path / "out")
    with pytest.raises(ValueError, match="locations_per_shard: 3 there, 2 now"):
        written(Numbered(4), tmp_path / "out", per_shard=2)


@pytest.mark.slow
def test_overwrite_replaces_the_store_at_the_end(tmp_path):
    written(Numbered(4), tmp_path / "out")
    written(Numbered(7), tmp_path / "out", overwrite=True)
    assert len(open_store(tmp_path / "out")) == 7
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(ValueError, match="replaces a store as a whole"):
        written(Numbered(7), tmp_path / "out", overwrite=True, part=Part(0, 2))


class Died(BaseException):
    """Stands for a kill: once raised, whatever would change a file raises it again."""


def dies_at(step, monkeypatch, can_exchange, replace):
    """Replaces a store by a process that dies at the call of that number that changes files; whether it did."""
    calls = 0

    def dying(function):
        def called(*arguments, **named):
            nonlocal calls
            calls += 1
            if calls >= step:
                raise Died
            return function(*arguments, **named)

        return called

    with monkeypatch.context() as patched:
        patched.setattr(os, "getpid", lambda: 2**22 + 1)  # above the highest, so none that is alive
        if not can_exchange:
            patched.setattr(atomic, "_renameat2", None)
        for owner, name in ((Path, "rename"), (Path, "unlink"), (Path, "touch"), (shutil, "rmtree")):
            patched.setattr(owner, name, dying(getattr(owner, name)))
        if can_exchange:
            patched.setattr(atomic, "exchange", dying(atomic.exchange))
        try:
            replace()
        except Died:
            return True
    return False


@pytest.mark.parametrize("can_exchange", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_kill_at_any_step_of_a_replacement_costs_no_store(tmp_path, monkeypatch, can_exchange):
    written(Numbered(2), tmp_path / "old", per_shard=2)
    written(Numbered(3), tmp_path / "new", per_shard=2)
    found = []
    for step in range(1, 20):
        place = tmp_path / str(step)
        shutil.copytree(tmp_path / "old", place / "out")
        # Complete, so that nothing is left but to replace.
        shutil.copytree(tmp_path / "new", place / ".out.new")

        def replace(place=place):
            written(Numbered(3), place / "out", per_shard=2, overwrite=True)

        died = dies_at(step, monkeypatch, can_exchange, replace)
        found.append(len(open_store(place / "out")))
        if not (place / ".out.new" / "plan.json").exists():
            shutil.rmtree(place / ".out.new", ignore_errors=True)
        if found[-1] == 3:
            # Whichever command comes next puts away what is left.
            with pytest.raises(ValueError, match="locations: 3 there, 2 now"):
                written(Numbered(2), place / "out", per_shard=2)
        else:
            replace()
        assert [child.name for child in place.iterdir()] == ["out"]
        assert len(open_store(place / "out")) == 3
        assert not (place / "out" / ".moving").exists()
        if not died:
            break
    assert not died
    assert {2, 3} == set(found)
    assert len(found) > 4


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_replacement_that_is_ended_at_fifty_moments_leaves_one_whole_store(tmp_path, number):
    written(Numbered(2), tmp_path / "old", per_shard=2)
    written(Numbered(3), tmp_path / "new", per_shard=2)
    moments = random.Random(0)
    out, successor = tmp_path / "place" / "out", tmp_path / "place" / ".out.new"

    def replace():
        with ended_by_exception():
            written(Numbered(3), out, per_shard=2, overwrite=True)

    found = []
    longest = 0.0
    for attempt in range(52):
        shutil.rmtree(out.parent, ignore_errors=True)
        shutil.copytree(tmp_path / "old", out)
        shutil.copytree(tmp_path / "new", successor)
        process = multiprocessing.get_context("fork").Process(target=replace)
        begun = time.monotonic()
        process.start()
        if attempt < 2:
            process.join()
            longest = time.monotonic() - begun
        else:
            time.sleep(moments.uniform(0, longest))
            os.kill(process.pid, number)
            process.join()
        found.append(len(open_store(out)))
        assert verify(out, 10).damaged.total == 0
        with contextlib.suppress(ValueError):
            written(Numbered(9), out, per_shard=2)
        left = {child.name for child in out.parent.iterdir()}
        # Complete, and not yet in its place: the same command takes it from there.
        assert left == {"out"} or (left == {"out", ".out.new"} and found[-1] == 2)
        process.close()
    assert set(found) == {2, 3}


def test_a_signal_while_the_old_store_is_removed_leaves_nothing_hidden(tmp_path, monkeypatch):
    written(Numbered(2), tmp_path / "out", per_shard=2)
    shutil.copytree(tmp_path / "out", tmp_path / ".out.new")
    removed = []

    def interrupted(path, **named):
        removed.append(path)
        if len(removed) == 2:  # the first is what archives would have been unpacked to
            raise EndedBySignal(signal.SIGTERM)
        rmtree(path, **named)

    rmtree = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises(EndedBySignal):
        written(Numbered(2), tmp_path / "out", per_shard=2, overwrite=True)
    assert [child.name for child in tmp_path.iterdir()] == ["out"]
    assert sorted(child.name for child in (tmp_path / "out").iterdir()) == [
        ".lock",
        "00000.json",
        "00000.lmdb",
        "manifest.csv",
        "plan.json",
    ]


@pytest.mark.slow
def test_another_replacement_under_way_names_the_folder_to_remove(tmp_path):
    written(Numbered(2), tmp_path / "out", per_shard=2)
    written(Numbered(3), tmp_path / ".out.new", per_shard=2)
    with pytest.raises(ValueError, match=r"out.new was started .*\n.*locations: 3 there, 2 now\n.*remove that folder"):
        written(Numbered(2), tmp_path / "out", per_shard=2, overwrite=True)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_lock_that_leads_elsewhere_is_refused(tmp_path, kind):
    (tmp_path / "out").mkdir()
    lock = tmp_path / "out" / ".lock"
    if kind == "link":
        lock.symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(lock)
    with pytest.raises(ValueError, match=r".lock is a link or no regular file"):
        written(Numbered(2), tmp_path / "out")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.slow
def test_a_store_is_not_replaced_by_one_that_has_missing_locations(tmp_path):
    written(Numbered(4), tmp_path / "out")
    before = content(tmp_path / "out")
    assert written(Numbered(4, damaged=(2,)), tmp_path / "out", overwrite=True).folder == tmp_path / ".out.new"
    assert content(tmp_path / "out") == before
    written(Numbered(4, damaged=(2,)), tmp_path / "out", overwrite=True, accept_missing=True)
    assert len(open_store(tmp_path / "out")) == 3


@pytest.mark.parametrize("overwrite", [True, False])
def test_what_is_no_store_is_never_touched(tmp_path, overwrite):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="exists|no intact store"):
        written(Numbered(4), tmp_path / "out", overwrite=overwrite)
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"


def test_an_incomplete_store_does_not_open(tmp_path):
    outcome = written(Numbered(8), tmp_path / "out", part=Part(1, 2))
    assert (outcome.unwritten, outcome.shards) == (2, 3)
    with pytest.raises(ValueError, match=r"not complete: 2 of 3 shards are missing \(00000, 00002\)"):
        open_store(tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "00001.lmdb")
    with pytest.raises(ValueError, match="3 of 3 shards are missing"):
        open_store(tmp_path / "out")


HOLD = """
import sys, time
from pathlib import Path
from cromss.prepare.pool import hold
with hold(Path(sys.argv[1]), [1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_a_second_run_stops_at_once(tmp_path):
    (tmp_path / "out").mkdir()
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "out")], stdout=subprocess.PIPE)
    with first:
        first.stdout.readline()
        with pytest.raises(ValueError, match="another run writes shard 00001"):
            written(Numbered(8), tmp_path / "out")
        written(Numbered(8), tmp_path / "out", part=Part(0, 2))
        first.kill()
    assert written(Numbered(8), tmp_path / "out").counts == {"done": 8}


def test_verify_holds_the_store_against_its_manifest(tmp_path):
    written(Numbered(5, damaged=(1,)), tmp_path / "out")
    with pytest.raises(ValueError, match="n1 failed: n1 is damaged\n4 locations, 12 values, 1 not stored"):
        prepared("action=verify", f"path={tmp_path / 'out'}")
    prepared("action=verify", f"path={tmp_path / 'out'}", "accept_missing=true")
    manifest = tmp_path / "out" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("n0", "n9"))
    with pytest.raises(ValueError, match="the manifest and the store disagree in 2 locations: n0, n9"):
        prepared("action=verify", f"path={tmp_path / 'out'}", "accept_missing=true")
    manifest.unlink()
    with pytest.raises(ValueError, match=r"manifest.csv cannot be read"):
        prepared("action=verify", f"path={tmp_path / 'out'}", "accept_missing=true")


def test_a_disk_that_is_too_small_is_reported_before_any_work(tmp_path, monkeypatch):
    raw = random_ssl4eo_s12(tmp_path / "raw", 2, size=SIZE)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=4_000))
    for action in ("plan", "convert"):
        with pytest.raises(ValueError, match="needs 7.* kB more, and 4 kB are free there: free space"):
            prepared(f"action={action}", *_settings(raw, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_the_plan(tmp_path, caplog):
    caplog.set_level("INFO")
    raw = random_ssl4eo_s12(tmp_path / "raw", 5, size=SIZE)
    prepared("action=plan", "shard=0/2", "workers=4", *_settings(raw, tmp_path / "out"))
    assert "locations   5 in 3 shards" in caplog.text
    assert "with 2 jobs of 4 workers" in caplog.text
    # 4 seasons of 15 bands, and labels.
    assert f"store       {5 * 4 * 15 * SIZE**2 * 1.05 / 1000:.0f}"[:13] in caplog.text
    assert not (tmp_path / "out").exists()


def test_the_plan_counts_damaged_locations(tmp_path, caplog):
    caplog.set_level("INFO")
    raw = random_ssl4eo_s12(tmp_path / "raw", 3, size=SIZE)
    shutil.rmtree(raw / "s1" / "0000107")
    prepared("action=plan", *_settings(raw, tmp_path / "out"))
    assert "1 of the 3 locations looked at cannot be read" in caplog.text


def _settings(raw, out, source=None):
    return (
        "source=ssl4eo_s12",
        f"path={source or raw}",
        f"ssl4eo_s12.ids={raw / 'ids.csv'}",
        f"ssl4eo_s12.size={SIZE}",
        "locations_per_shard=2",
        f"out={out}",
    )


def _command(raw, out, source=None):
    return ["-m", "cromss.prepare", "workers=2", *_settings(raw, out, source)]


@pytest.mark.parametrize(
    ("number", "group"),
    [
        (signal.SIGINT, True),
        (signal.SIGTERM, True),
        pytest.param(signal.SIGTERM, False, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, True, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, False, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_asked_to_end_leaves_whole_shards_and_no_process(tmp_path, number, group):
    semaphores = set(Path("/dev/shm").glob("sem.*"))
    raw = random_ssl4eo_s12(tmp_path / "raw", 40, size=SIZE)
    running = start(*_command(raw, tmp_path / "out"), cwd=tmp_path, cache=tmp_path, start_new_session=True)
    while not list((tmp_path / "out").glob("*.json"))[2:]:
        time.sleep(0.01)
    if group:
        os.killpg(running.pid, number)
    else:
        os.kill(running.pid, number)
    ended = finish(running, check=False)
    assert ended.returncode == 128 + number
    assert "the same command resumes" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "leak" not in ended.stderr
    assert not list((tmp_path / "out").glob(".*partial*"))
    _none_left(running.pid)
    assert not {path for path in set(Path("/dev/shm").glob("sem.*")) - semaphores if "mp-" in path.name}
    prepared(*_settings(raw, tmp_path / "out"))
    prepared("action=verify", f"path={tmp_path / 'out'}")


def test_a_full_disk_stops_all_and_keeps_what_is_complete(tmp_path):
    raw = random_ssl4eo_s12(tmp_path / "raw", 6, size=96)
    command = [item.replace(f"size={SIZE}", "size=96") for item in _command(raw, tmp_path / "out")]
    written(Numbered(3), tmp_path / "out")
    before = content(tmp_path / "out")
    command.append("overwrite=true")
    limit = 300_000  # bytes a file; a shard needs more than a megabyte
    ended = finish(
        start(
            *command,
            cwd=tmp_path,
            cache=tmp_path,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        ),
        check=False,
    )
    assert ended.returncode == 1
    assert "cannot write the store" in ended.stderr
    assert "Free space" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert content(tmp_path / "out") == before
    finish(start(*command, cwd=tmp_path, cache=tmp_path), check=True)
    assert len(open_store(tmp_path / "out")) == 6


def _none_left(group):
    """Fails unless every process of a group has ended, or ends at once."""
    deadline = time.monotonic() + 10
    while left := [process for process in psutil.process_iter() if _group(process.pid) == group]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def _group(pid):
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _killed_and_gone_on_with(command, out, moments, expected):
    """Kills the command after each of these seconds, the run alone or with its workers, then lets it end.

    A store that is complete before the last of them is looked at, and begun anew.
    """
    for number, moment in enumerate(moments):
        running = start(*command, cwd=out.parent, cache=out.parent, start_new_session=True)
        try:
            running.wait(moment)
        except Exception:  # noqa: BLE001 - it is still at work, as is meant
            if number % 2:
                os.killpg(running.pid, signal.SIGKILL)
            else:
                running.kill()
        running.communicate()
        # Workers end with their run, without being told.
        _none_left(running.pid)
        if (out / "manifest.csv").exists():
            assert content(out) == expected
            shutil.rmtree(out)
    finish(start(*command, cwd=out.parent, cache=out.parent), check=True)
    assert content(out) == expected


@pytest.mark.parametrize("source", [pytest.param("folder", marks=pytest.mark.slow), "archive"])
def test_a_killed_run_resumes(tmp_path, source):
    raw = random_ssl4eo_s12(tmp_path / "raw", 60, size=SIZE)
    prepared(*_settings(raw, tmp_path / "expected"))
    path = as_tar_gz(raw, tmp_path / "a.tar.gz", parts=("s1", "s2c", "labels")) if source == "archive" else raw
    expected = content(tmp_path / "expected")
    _killed_and_gone_on_with(_command(raw, tmp_path / "out", path), tmp_path / "out", [4.2, 4.5], expected)
    assert not list((tmp_path / "out").glob(".*partial*"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("source", ["folder", "archive"])
def test_a_run_killed_at_many_moments_ends_with_the_same_content(tmp_path, source):
    raw = random_ssl4eo_s12(tmp_path / "raw", 400, size=SIZE)
    prepared(*_settings(raw, tmp_path / "expected"))
    path = as_tar_gz(raw, tmp_path / "a.tar.gz", parts=("s1", "s2c", "labels")) if source == "archive" else raw
    # Start-up takes most of three seconds; the work is spread over those after it.
    moments = random.Random(0)
    times = [moments.uniform(2.5, 6) for _ in range(25)]  # of each source: 50
    expected = content(tmp_path / "expected")
    _killed_and_gone_on_with(_command(raw, tmp_path / "out", path), tmp_path / "out", times, expected)
    prepared("action=verify", f"path={Path(tmp_path / 'out')}")
