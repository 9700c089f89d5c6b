"""The files of a folder of shards may be anything, and so may what lies in their place."""

import contextlib
import csv
import io
import json
import os
import time

import pytest

from cromss.dataset.shard_folder import MANIFEST, PLAN, read_entries, read_manifest, read_plan
from cromss.dataset.store import open_store
from cromss.prepare.verify import verify
from helpers.hostile import JSON_TEXTS, json_bytes, mutations, values
from helpers.stores import write_store

PLANNED = {
    "format": "cromss-shards",
    "version": 1,
    "locations": 3,
    "per_shard": 2,
    "settings": {"source": "x", "info": {"classes": ["a"]}},
}
ENTRIES = {"locations": [["0000000", "done", ""], ["0000001", "done", ""]]}
LAST = {"locations": [["0000002", "done", ""]]}
ROWS = [
    ["id", "status", "shard", "reason"],
    *([f"000000{index}", "done", str(index // 2), ""] for index in range(3)),
]


@pytest.fixture
def folder(tmp_path):
    """A store of two shards."""
    out = tmp_path / "out"
    write_store(out / "00000.lmdb", seeds=range(2))
    write_store(out / "00001.lmdb", seeds=[2])
    (out / PLAN).write_text(json.dumps(PLANNED))
    (out / "00000.json").write_text(json.dumps(ENTRIES))
    (out / "00001.json").write_text(json.dumps(LAST))
    (out / MANIFEST).write_bytes(table(ROWS))
    assert verify(out, 10).damaged.total == 0
    return out


def table(rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


def forms(document, canary):
    """Bytes of all that may stand where a JSON file with this content is expected."""
    texts = [json_bytes(changed) for _, changed in mutations(document, canary)]
    return [text for text in [*texts, *JSON_TEXTS.values()] if text is not None]


def complaint(read, folder):
    """What the ValueError says that reading ends in; empty where there is none."""
    try:
        read(folder)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("name", "document", "read"),
    [(PLAN, PLANNED, read_plan), ("00000.json", ENTRIES, lambda folder: read_entries(folder, 0))],
)
def test_every_value_of_a_plan_or_of_entries_may_be_anything(folder, tmp_path, name, document, read):
    whole = (folder / name).read_bytes()
    canary = tmp_path / "canary"
    texts = forms(document, canary)
    accepted = []
    for text in texts:
        (folder / name).write_bytes(text)
        said = complaint(read, folder)
        assert not said or name in said
        assert len(said) < 1000
        accepted += [] if said else [text]
    assert whole not in texts
    assert 0 < len(accepted) < 0.7 * len(texts)
    for text in accepted:
        (folder / name).write_bytes(text)
        with contextlib.suppress(ValueError):
            verify(folder, 10)
    assert not canary.exists()


def test_every_cell_of_a_manifest_may_be_anything(folder, tmp_path):
    found = []
    for form in values(tmp_path / "canary").values():
        for row, column in ((0, 0), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3), (3, 1)):
            if not isinstance(form, str):
                continue
            rows = [list(cells) for cells in ROWS]
            rows[row][column] = form
            (folder / MANIFEST).write_bytes(table(rows))
            found.append(verify(folder, 10))
    assert sum(damages.damaged.total > 0 for damages in found) > 0.6 * len(found)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff",
        b"id,status\n",
        b'id,status,shard,reason\n"x',
        b"id,status,shard,reason\n1,done,0\n",
        b"a" * 200_000,
    ],
)
def test_what_is_no_manifest_is_named(folder, text):
    (folder / MANIFEST).write_bytes(text)
    with pytest.raises(ValueError, match=r".{8}"):
        read_manifest(folder)
    assert "manifest.csv cannot be read" in verify(folder, 10).damaged[0]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", [PLAN, "00000.json", MANIFEST, "00000.lmdb", "00000.lmdb/data.mdb"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "link to a pipe", "link to itself"])
def test_what_is_no_regular_file_is_not_waited_for(folder, tmp_path, name, kind):
    path = folder / name
    path.rename(tmp_path / "kept")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link to a pipe":
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to(tmp_path / "pipe")
    else:
        path.symlink_to(path)
    try:
        damages = verify(folder, 10)
    except ValueError:
        return
    # Only the table of all locations is not needed to read.
    assert name == MANIFEST
    assert damages.damaged.total


def test_a_plan_of_very_many_shards_is_reported_within_a_second(folder):
    before = time.monotonic()
    for locations in (10**6, 10**8):
        (folder / PLAN).write_text(json.dumps({**PLANNED, "locations": locations, "per_shard": 1}))
        with pytest.raises(ValueError, match="999998 of 1000000 shards are missing|names 100000000 shards"):
            open_store(folder)
    assert time.monotonic() - before < 5
