"""Damages LMDBs, a place at a time, and reads them in every way that the project has: a program, as it may be killed.

Each line that it prints is the number of a damage, before it is done, or what came of it.
"""

import contextlib
import io
import itertools
import pickle
import random
import shutil
import sys
from pathlib import Path

import lmdb
import numpy as np

from cromss.dataset.convert import Conversion
from cromss.dataset.reference import open_reference
from cromss.dataset.store import open_store
from cromss.prepare.verify import verify
from helpers.stores import small_info, write_store

PAGE = 4096
RIGHT, SENTENCE, PIXELS = "right", "sentence", "other pixels"
"""Outcomes; `PIXELS`: bytes within a published value, which have no checksum, were changed and are read."""


def make_store(folder):
    """A store of one LMDB with branch pages, small values and values of several pages."""
    compression = {"labels": "zstd", "truth": "zstd", "s2": "zstd"}
    return write_store(folder / "store", small_info(4, (16, 24), True), range(10), compression)


def make_published(folder):
    """A file of the kind dw, with branch pages and values of one and of several pages."""
    rng = np.random.default_rng(0)
    with lmdb.open(str(folder / "written"), map_size=2**26, lock=False) as env, env.begin(write=True) as txn:
        for index in range(12):
            arrays = {
                "s1": rng.normal(-12, 5, (2, 12, 12)).astype(np.float32),
                "s2": rng.integers(0, 5000, (13, 12, 12), np.uint16),
                "dw": rng.integers(0, 11, (12, 12), np.uint8),
            }
            for name, array in arrays.items():
                value = (array.tobytes(), array.shape, f"{name}_{index}.5_2.5-20190816.tif")
                txn.put(f"{name}_{index}".encode(), pickle.dumps(value))
    # Compact, so that no page holds an old copy of pixels.
    copy = folder / "dw_lmdb"
    copy.mkdir()
    with lmdb.open(str(folder / "written"), lock=False) as env:
        env.copy(str(copy), compact=True)
    return copy


def published_pixels(path, content):
    """Where the pixels of published values lie, which nothing protects."""
    with lmdb.open(str(path), readonly=True, lock=False) as env, env.begin() as txn:
        arrays = [pickle.loads(value)[0] for _, value in txn.cursor()]  # noqa: S301
    starts = [content.index(array) for array in arrays]
    return [range(start, start + len(array)) for start, array in zip(starts, arrays, strict=True)]


def damages(content, rng):
    """Endless damaged copies of a file, each with the places that were changed; also cut and longer ones."""
    pages = [page for page in range(2, len(content) // PAGE) if content[PAGE * page + 10] in (1, 2)]
    while True:
        damaged = bytearray(content)
        kind = rng.choice(["any", "any", "header", "page", "page", "node", "node", "length"])
        if kind == "length":
            size = rng.choice([rng.randrange(len(content)), len(content) - rng.randrange(2 * PAGE)])
            yield (content[:size] if rng.random() < 0.7 else content + rng.randbytes(size)), range(0)
            continue
        base = PAGE * rng.choice(pages)
        lower = int.from_bytes(content[base + 12 : base + 14], "little")
        pointer = base + 16 + 2 * rng.randrange((lower - 16) // 2)
        node = base + int.from_bytes(content[pointer : pointer + 2], "little")
        at = {
            "any": rng.randrange(len(content)),
            "header": PAGE * rng.randrange(2) + rng.randrange(152),
            "page": base + rng.randrange(lower),
            "node": node + rng.randrange(32),
        }[kind]
        at = min(at, len(content) - 1)
        length = rng.choice([1, 1, 1, 2, 4, 8]) if kind != "any" else 1
        for place in range(at, min(at + length, len(content))):
            damaged[place] ^= rng.choice([1 << rng.randrange(8), rng.randrange(1, 256)])
        yield bytes(damaged), range(at, at + length)


def read_store(path):
    """All that training reads."""
    return read_all(open_store(path), truth=True)


def read_published(path):
    """All that training on published files reads, and what preparation makes of it."""
    reader = open_reference(path, "dw")
    conversion = Conversion(reader.info, quantised=False)
    for index in range(len(reader)):
        conversion.read(reader, index)
    return read_all(reader, truth=False)


def read_all(reader, truth):
    """Everything that a reader gives, as bytes."""
    found = []
    for index in range(len(reader)):
        found += [
            reader.location_id(index).encode(),
            reader.read_labels(index).tobytes(),
            *(reader.read_images(index, season, "s1").tobytes() for season in range(reader.info.seasons)),
            *(reader.read_images(index, season, "s2").tobytes() for season in range(reader.info.seasons)),
            *([reader.read_truth(index).tobytes()] if truth else []),
        ]
    return found


def main(kind, folder, seed, first, last):
    """Does the damages of these numbers, each in a copy of its own, and prints what comes of each."""
    folder = Path(folder) / f"{kind}-{first}"
    folder.mkdir(parents=True)
    path, read = (make_store(folder), read_store) if kind == "store" else (make_published(folder), read_published)
    right = read(path)
    content = (path / "data.mdb").read_bytes()
    unprotected = published_pixels(path, content) if kind == "published" else []
    rng = random.Random(seed)
    for number, (damaged, places) in enumerate(itertools.islice(damages(content, rng), last)):
        if number < first:
            continue
        say(number)
        shutil.rmtree(path)
        path.mkdir()
        (path / "data.mdb").write_bytes(damaged)
        try:
            found = read(path)
            inside = any(place in pixels for place in places for pixels in unprotected)
            outcome = RIGHT if found == right else PIXELS if inside else "WRONG VALUE"
        except ValueError as error:
            outcome = SENTENCE if 20 < len(str(error)) < 2000 else f"WRONG SENTENCE {error!r}"
        except BaseException as error:  # noqa: BLE001 - that there is none is what is tested
            outcome = f"WRONG {error!r}"
        if kind == "store":
            outcome = verified(path, outcome)
        say("= " + outcome.replace("\n", " "))


def say(line):
    """Prints a line that is out even if the next damage kills the program."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def verified(path, outcome):
    """The outcome of reading, if `verify` agrees with it: what cannot be read is not ok."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            fine = verify(path, 10).damaged.total == 0
    except ValueError:
        fine = False
    except BaseException as error:  # noqa: BLE001 - that there is none is what is tested
        return f"WRONG {error!r} by verify"
    if fine and outcome == SENTENCE:
        return "WRONG: ok by verify"
    return outcome


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
