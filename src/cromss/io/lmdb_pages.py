"""Reads the pages of an LMDB file without trusting them.

LMDB itself follows every page number and length that it finds: where one is damaged, the process reads behind the end
of its memory map and is killed, or an assertion ends it. Here every number is checked against page and file before
it is used. Nothing is written, locked or cached, so a map may be shared by threads and inherited by forks.

Format: LMDB 0.9 (data version 1, 64 bit, little-endian), as ``mdb.c`` declares it. Pages have numbers; pages 0 and 1
describe the two newest states of the file in turn. A state has the root of a B+ tree: a branch page has pairs of a key
and the page of what comes from that key on; a leaf page has pairs of a key and a value; a large value fills overflow
pages of its own.
"""

from __future__ import annotations

import mmap
import os
from array import array
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

_PAGE = Struct("<QHHHH")  # number, unused, kind, end of the node offsets, start of the nodes
_OVERFLOW = Struct("<QHHI")  # number, unused, kind, number of pages
_NODE = Struct("<HHHH")  # data size or page number in two halves, flags (a branch: more of the page number), key size
_HALF = Struct("<H")
_NUMBER = Struct("<Q")
_META = Struct("<IIQQ")  # magic, version, address, size of the map
_TREE = Struct("<IHHQQQQQ")  # page size, flags, depth, branch, leaf and overflow pages, entries, root
_STATE = Struct("<QQ")  # last page, number of the transaction

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF, _OVERFLOWING, _METAPAGE = 1, 2, 4, 8
_KINDS = 0x3FEF  # all but marks that matter to a writer only
_BIG = 1  # node flag: the value lies in overflow pages
_NO_ROOT = 2**64 - 1
_MOST_LEVELS = 32
_PAGE_SIZES = [2**power for power in range(8, 16)]


class DamagedLmdbError(ValueError):
    """The file is no LMDB, or its pages contradict themselves; the message is the reason alone."""


class LmdbPages:
    """The newest state of an LMDB file, mapped into memory.

    Args:
        descriptor: The file, opened for reading; it may be closed afterwards.

    Raises:
        DamagedLmdbError: The file is no LMDB, is truncated, or has an order of keys that is not that of their bytes.
        OSError: It cannot be read.
    """

    def __init__(self, descriptor: int) -> None:
        _, self._page_size, self._last, tree = _newest(descriptor)
        self._needed = (self._last + 1) * self._page_size
        _, flags, self._depth, _, _, _, self.entries, self._root = tree
        if size_error := _too_short(os.fstat(descriptor).st_size, self._needed):
            raise DamagedLmdbError(size_error)
        if flags:
            raise DamagedLmdbError("its keys have several values or an order of their own, which is not supported")
        if (self._root == _NO_ROOT) != (self._depth == 0) or (self.entries == 0) != (self._depth == 0):
            raise DamagedLmdbError(f"its header names {self.entries} entries in a tree of depth {self._depth}")
        if self._depth > _MOST_LEVELS:
            raise DamagedLmdbError(f"its header names a tree of depth {self._depth}")
        self._map = mmap.mmap(descriptor, self._needed, access=mmap.ACCESS_READ)
        # Reads are random, so reading ahead would fetch values that are not needed.
        self._map.madvise(mmap.MADV_RANDOM)
        self._view = memoryview(self._map)

    def get(self, key: bytes) -> memoryview | None:
        """The value of a key, as a view of the file; None where there is no such key.

        Raises:
            DamagedLmdbError: A page on the way contradicts itself, or the file was shortened.
        """
        self._check_size()
        if not self._depth:
            return None
        number = self._root
        for _ in range(self._depth - 1):
            base, count, upper = self._page(number, _BRANCH)
            # The first key of a branch page stands for everything below the second.
            number = self._child(base, upper, self._search(base, upper, 1, count, key, behind=True) - 1)
        base, count, upper = self._page(number, _LEAF)
        low = self._search(base, upper, 0, count, key, behind=False)
        if low == count or self._key(base, upper, low) != key:
            return None
        # A damaged key may have become this one: then it stands beside the right one, or in a wrong order.
        if low + 1 < count and self._key(base, upper, low + 1) <= key:
            raise DamagedLmdbError(f"the keys of page {number} are not in order")
        return self._value(base, upper, low)

    def keys_from(self, start: bytes = b"") -> Iterator[bytes]:
        """All keys from `start` on, in their order.

        Raises:
            DamagedLmdbError: A page contradicts itself, or keys are not in order; where all keys are read, also where
                there are more or fewer than the header names, or two values share a page.
        """
        self._check_size()
        if not self._depth:
            return
        last: bytes | None = None
        count = 0
        pages = array("Q")
        for key, page in self._below(self._root, self._depth, start):
            if last is not None and key <= last:
                raise DamagedLmdbError("its keys are not in order")
            last = key
            if key >= start:
                count += 1
                if page:
                    pages.append(page)
                yield key
        if not start:
            if count != self.entries:
                raise DamagedLmdbError(f"it holds {count} values where its header names {self.entries}")
            if len(set(pages)) < len(pages):
                raise DamagedLmdbError("two of its values lie in the same page")

    def _below(self, number: int, depth: int, start: bytes) -> Iterator[tuple[bytes, int]]:
        """The keys of a page and of those below it, in the order of the pages, each with the page of a large value."""
        base, count, upper = self._page(number, _LEAF if depth == 1 else _BRANCH)
        for position in range(count):
            if depth == 1:
                _, _, flags, key_start, key_end = self._node(base, upper, position)
                big = flags == _BIG and key_end + _NUMBER.size <= base + self._page_size
                page = _NUMBER.unpack_from(self._view, key_end)[0] if big else 0
                yield self._map[key_start:key_end], page
            elif not start or position + 1 == count or self._key(base, upper, position + 1) > start:
                yield from self._below(self._child(base, upper, position), depth - 1, start)

    def _check_size(self) -> None:
        # A file that became shorter must not be touched behind its end.
        if size_error := _too_short(self._map.size(), self._needed):
            raise DamagedLmdbError(size_error)

    def _page(self, number: int, kind: int) -> tuple[int, int, int]:
        """Where a page begins in the file, the number of its nodes, and where they begin within it."""
        if not 2 <= number <= self._last:
            raise DamagedLmdbError(f"a page has the number {number}, where 2 to {self._last} are possible")
        base = number * self._page_size
        named, _, flags, lower, upper = _PAGE.unpack_from(self._view, base)
        if named != number or flags & _KINDS != kind:
            raise DamagedLmdbError(f"page {number} is not what another one names it")
        if not _PAGE.size < lower <= upper < self._page_size or lower % 2:
            raise DamagedLmdbError(f"page {number} names positions outside of itself")
        return base, (lower - _PAGE.size) // 2, upper

    def _node(self, base: int, upper: int, position: int) -> tuple[int, int, int, int, int]:
        """Low half, high half and flags of a node, and where its key begins and ends."""
        (offset,) = _HALF.unpack_from(self._view, base + _PAGE.size + 2 * position)
        if not upper <= offset <= self._page_size - _NODE.size:
            raise DamagedLmdbError(f"page {base // self._page_size} names positions outside of itself")
        low, high, flags, key_size = _NODE.unpack_from(self._view, base + offset)
        if offset + _NODE.size + key_size > self._page_size:
            raise DamagedLmdbError(f"page {base // self._page_size} holds a key that leads out of it")
        start = base + offset + _NODE.size
        return low, high, flags, start, start + key_size

    def _key(self, base: int, upper: int, position: int) -> bytes:
        _, _, _, start, end = self._node(base, upper, position)
        return self._map[start:end]

    def _search(self, base: int, upper: int, low: int, high: int, key: bytes, behind: bool) -> int:
        """The first position from `low` on whose key is not before `key`, or, if `behind`, is behind it; else `high`.

        Does what `_key` does without a call for each key, as this is most of the time of a read.
        """
        view, data, size = self._view, self._map, self._page_size
        first = base + _PAGE.size
        while low < high:
            middle = (low + high) // 2
            (offset,) = _HALF.unpack_from(view, first + 2 * middle)
            start = offset + _NODE.size
            if offset < upper or start > size:
                raise DamagedLmdbError(f"page {base // size} names positions outside of itself")
            (length,) = _HALF.unpack_from(view, base + start - _HALF.size)
            if start + length > size:
                raise DamagedLmdbError(f"page {base // size} holds a key that leads out of it")
            found = data[base + start : base + start + length]
            if found < key or (behind and found == key):
                low = middle + 1
            else:
                high = middle
        return low

    def _child(self, base: int, upper: int, position: int) -> int:
        low, high, more, _, _ = self._node(base, upper, position)
        return low | high << 16 | more << 32

    def _value(self, base: int, upper: int, position: int) -> memoryview:
        low, high, flags, _, start = self._node(base, upper, position)
        size = low | high << 16
        page_end = base + self._page_size
        if flags not in (0, _BIG) or start + (_NUMBER.size if flags else size) > page_end:
            raise DamagedLmdbError(f"page {base // self._page_size} holds a value that leads out of it")
        if flags:
            (number,) = _NUMBER.unpack_from(self._view, start)
            if not 2 <= number <= self._last:
                raise DamagedLmdbError(f"a value lies in page {number}, where 2 to {self._last} are possible")
            offset = number * self._page_size
            named, _, kind, pages = _OVERFLOW.unpack_from(self._view, offset)
            if named != number or kind & _KINDS != _OVERFLOWING:
                raise DamagedLmdbError(f"page {number} is not what another one names it")
            if number + pages > self._last + 1 or _OVERFLOW.size + size > pages * self._page_size:
                raise DamagedLmdbError(f"a value of {size} bytes does not fit into the {pages} pages that it names")
            start = offset + _OVERFLOW.size
        return self._view[start : start + size]


class _State(NamedTuple):
    """What one of the two headers names."""

    transaction: int
    page_size: int
    last: int
    tree: tuple[int, ...]


def _newest(descriptor: int) -> _State:
    """The newer of the two states that a file describes."""
    first = _state(os.pread(descriptor, _META_BYTES, 0), 0)
    second = _state(os.pread(descriptor, _META_BYTES, first.page_size), 1)
    if second.page_size != first.page_size:
        raise DamagedLmdbError(f"its headers name pages of {first.page_size} and of {second.page_size} bytes")
    # Every transaction describes its state in the page of the last but one.
    if abs(first.transaction - second.transaction) > 1:
        raise DamagedLmdbError(f"its headers are those of transactions {first.transaction} and {second.transaction}")
    return max(first, second)


_TREES = _PAGE.size + _META.size
_META_BYTES = _TREES + 2 * _TREE.size + _STATE.size


def _state(header: bytes, number: int) -> _State:
    """Reads the header number 0 or 1."""
    if len(header) < _META_BYTES:
        raise DamagedLmdbError("it is empty or ends within its header")
    flags = _PAGE.unpack_from(header)[2]
    magic, version, _, _ = _META.unpack_from(header, _PAGE.size)
    if magic != _MAGIC or flags & _KINDS != _METAPAGE:
        raise DamagedLmdbError("it has not the header of one")
    if version != _VERSION:
        raise DamagedLmdbError(f"its format has the version {version}, where {_VERSION} is supported")
    page_size = _TREE.unpack_from(header, _TREES)[0]
    last, transaction = _STATE.unpack_from(header, _TREES + 2 * _TREE.size)
    if page_size not in _PAGE_SIZES or last < 1 or (transaction and transaction % 2 != number):
        raise DamagedLmdbError("its header is damaged")
    return _State(transaction, page_size, last, _TREE.unpack_from(header, _TREES + _TREE.size))


def _too_short(size: int, needed: int) -> str:
    return f"it is truncated: {size} bytes where its header names {needed}" if size < needed else ""
