import os
import tempfile
from pathlib import Path

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cromss.io.lmdb_pages import DamagedLmdbError, LmdbPages

PAGE = 4096


def pages_of(folder):
    descriptor = os.open(Path(folder) / "data.mdb", os.O_RDONLY)
    try:
        return LmdbPages(descriptor)
    finally:
        os.close(descriptor)


def write(folder, *transactions):
    with lmdb.open(str(folder), map_size=2**26, lock=False) as env:
        for values in transactions:
            with env.begin(write=True) as txn:
                for key, value in values.items():
                    txn.put(key, value)


keys = st.binary(min_size=1, max_size=400)
values = st.one_of(st.binary(max_size=50), st.integers(0, 20_000).map(bytes))
contents = st.dictionaries(keys, values, max_size=60)


@settings(max_examples=40, deadline=None)
@given(first=contents, second=contents, removed=st.sets(st.integers(0, 59)), absent=keys)
def test_what_lmdb_wrote_is_read(first, second, removed, absent):
    with tempfile.TemporaryDirectory() as folder:
        write(folder, first, second)
        content = first | second
        gone = [key for number, key in enumerate(sorted(content)) if number in removed]
        with lmdb.open(folder, map_size=2**26, lock=False) as env, env.begin(write=True) as txn:
            for key in gone:
                txn.delete(key)
                del content[key]
        pages = pages_of(folder)
        assert pages.entries == len(content)
        assert list(pages.keys_from()) == sorted(content)
        assert {key: bytes(pages.get(key)) for key in content} == content
        assert pages.get(absent) == content.get(absent)
        assert list(pages.keys_from(absent)) == sorted(key for key in content if key >= absent)


def test_a_file_that_is_shortened_while_it_is_mapped_is_not_touched(tmp_path):
    write(tmp_path, {b"%03d" % number: bytes(500) for number in range(100)})
    pages = pages_of(tmp_path)
    os.truncate(tmp_path / "data.mdb", 2 * PAGE)
    with pytest.raises(DamagedLmdbError, match="truncated: 8192 bytes"):
        pages.get(b"050")
    with pytest.raises(DamagedLmdbError, match="truncated"):
        list(pages.keys_from())


def damaged(folder, place, change):
    file = Path(folder) / "data.mdb"
    content = bytearray(file.read_bytes())
    content[place : place + len(change)] = change
    file.write_bytes(content)


def the_page(folder, kind):
    """Number of the first page of a kind: 1 branch, 2 leaf, 4 overflow."""
    content = (Path(folder) / "data.mdb").read_bytes()
    return next(page for page in range(2, len(content) // PAGE) if content[PAGE * page + 10] == kind)


@pytest.mark.parametrize(
    ("kind", "at", "change", "words"),
    [
        (2, 0, b"\x09", "is not what another one names it"),
        (2, 10, b"\x01", "is not what another one names it"),
        (2, 12, b"\xff\xff", "outside of itself"),
        (2, 14, b"\x00\x00", "outside of itself"),
        (2, 16, b"\xff\xff", "outside of itself"),
        (4, 0, b"\x09", "is not what another one names it"),
        (4, 12, b"\x01", "does not fit into the 1 pages"),
        (4, 12, b"\xff\xff\xff\x7f", "does not fit into the"),
    ],
)
def test_a_page_that_contradicts_itself(tmp_path, kind, at, change, words):
    write(tmp_path, {b"a": bytes(9000), b"b": b"x"})
    damaged(tmp_path, PAGE * the_page(tmp_path, kind) + at, change)
    with pytest.raises(DamagedLmdbError, match=words):
        pages_of(tmp_path).get(b"a")


@pytest.mark.parametrize(
    ("at", "change", "words"),
    [
        (0, b"\xff", "does not fit into the"),
        (2, b"\xff\xff", "does not fit into the"),
        (4, b"\x00", "leads out of it"),
        (4, b"\x02", "leads out of it"),
        (6, b"\xff\xff", "key that leads out of it"),
        (8, b"\xff", "not in order|None"),
        (9, b"\xff\xff\xff\xff", "lies in page"),
        (9, b"\x00", "lies in page 0"),
    ],
)
def test_a_node_that_contradicts_itself(tmp_path, at, change, words):
    write(tmp_path, {b"a": bytes(8160), b"b": b"x"})
    page = PAGE * the_page(tmp_path, 2)
    content = (tmp_path / "data.mdb").read_bytes()
    node = page + int.from_bytes(content[page + 16 : page + 18], "little")
    damaged(tmp_path, node + at, change)

    def read():
        pages = pages_of(tmp_path)
        if pages.get(b"a") is None:
            list(pages.keys_from())

    with pytest.raises(DamagedLmdbError, match=words):
        read()


def test_a_branch_that_leads_to_itself(tmp_path):
    write(tmp_path, {b"%03d" % number: bytes(500) for number in range(100)})
    number = the_page(tmp_path, 1)
    content = (tmp_path / "data.mdb").read_bytes()
    node = PAGE * number + int.from_bytes(content[PAGE * number + 16 : PAGE * number + 18], "little")
    damaged(tmp_path, node, number.to_bytes(2, "little"))
    with pytest.raises(DamagedLmdbError, match="is not what another one names it"):
        list(pages_of(tmp_path).keys_from())


@pytest.mark.parametrize(
    ("at", "change", "words"),
    [
        (16, b"\x00", "has not the header"),
        (20, b"\x02", "version 2"),
        (10, b"\x02", "has not the header"),
        (40, b"\x01", "header is damaged"),
        (40, b"\x00\x20", "pages of 4096 and of 8192 bytes"),
        (88 + 4, b"\x04", "order of their own"),
        (88 + 6, b"\x00\x01", "depth"),
        (88 + 6, b"\x21", "depth 33"),
        (88 + 32, b"\xff\xff", "where its header names"),
        (88 + 40, b"\xff\xff", "a page has the number"),
        (136, b"\xff\xff", "truncated"),
        (136, b"\x01", "a page has the number"),
        (144, b"\x09", "headers are those of transactions"),
    ],
)
def test_a_header_that_contradicts_the_file(tmp_path, at, change, words):
    write(tmp_path, {b"a": bytes(9000), b"b": b"x"})
    # The first transaction is described in the second page.
    damaged(tmp_path, PAGE + at, change)

    def read():
        pages = pages_of(tmp_path)
        pages.get(b"a")
        list(pages.keys_from())

    with pytest.raises(DamagedLmdbError, match=words):
        read()


@pytest.mark.parametrize("size", [0, 1, 100, 152, PAGE, PAGE + 100, 2 * PAGE])
def test_a_file_that_ends_too_early(tmp_path, size):
    write(tmp_path, {b"a": bytes(9000)})
    os.truncate(tmp_path / "data.mdb", size)
    with pytest.raises(DamagedLmdbError, match="ends within its header|truncated"):
        pages_of(tmp_path)


def test_several_values_of_a_key_are_not_read(tmp_path):
    with lmdb.open(str(tmp_path), map_size=2**20, lock=False, max_dbs=1) as env:
        named = env.open_db(b"named")
        with env.begin(write=True) as txn:
            txn.put(b"a", b"b", db=named)
    with pytest.raises(DamagedLmdbError, match="leads out of it"):
        pages_of(tmp_path).get(b"named")
