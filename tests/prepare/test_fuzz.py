import functools
import gzip
import io
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cromss.dataset.convert import Conversion
from cromss.io.lmdb_reader import LmdbReader
from cromss.prepare.raw_files import spool_path
from cromss.prepare.sources import open_dw
from cromss.prepare.spool import spool
from cromss.prepare.ssl4eo_s12 import open_ssl4eo_s12
from helpers.raw_layouts import random_places, random_ssl4eo_s12, write_tiff

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SIZE = 24
# As many in all as damaged inputs are to be seen: a fixed sequence, so that a failure comes again.
many = functools.partial(settings, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
share = st.floats(0, 1, exclude_max=True)


@st.composite
def damages(draw):
    """A function from bytes to damaged bytes."""
    kind = draw(st.sampled_from(["cut", "flip", "fill", "insert", "empty", "drop"]))
    place, value = draw(share), draw(st.integers(0, 255))
    length = draw(st.integers(1, 64))

    def damage(data):
        at = int(place * len(data))
        middle = {
            "cut": b"",
            "empty": b"",
            "flip": bytes([data[at] ^ (value or 1)]) + data[at + 1 :],
            "fill": bytes([value]) * length + data[at + length :],
            "insert": bytes([value]) * length + data[at:],
            "drop": data[at + length :],
        }[kind]
        return (b"" if kind == "empty" else data[:at]) + middle

    return damage


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return random_ssl4eo_s12(tmp_path_factory.mktemp("raw"), 1, size=SIZE)


def complaint(work):
    """What the ValueError said that some work ended in, or nothing; any other error fails the test."""
    try:
        work()
    except ValueError as error:
        return str(error)
    return ""


def read_everything(reader):
    """Reads all locations as a worker does: what is damaged is told of in a sentence."""
    conversion = Conversion(reader.info, quantised=True)
    for index in range(len(reader)):
        said = complaint(lambda index=index: conversion.read(reader, index))
        assert not said or len(said) > 20


@many(max_examples=250)
@given(damage=damages(), which=share)
def test_a_damaged_file_of_a_location(raw, damage, which):
    files = sorted(raw.rglob("*.tif"))
    file = files[int(which * len(files))]
    whole = file.read_bytes()
    try:
        file.write_bytes(damage(whole))
        read_everything(open_ssl4eo_s12(raw, None, raw / "ids.csv", SIZE, 4))
    finally:
        file.write_bytes(whole)


@many(max_examples=100)
@given(damage=damages())
def test_a_damaged_table(raw, damage):
    table = (raw / "ids.csv").read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ids.csv"
        path.write_bytes(damage(table))
        said = complaint(lambda: read_everything(open_ssl4eo_s12(raw, None, path, SIZE, 4)))
        assert not said or str(path) in said


@many(max_examples=100)
@given(damage=damages(), inside=st.booleans())
def test_a_damaged_archive(raw, damage, inside):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(raw / "s1", "s1")
    data = damage(packed.getvalue()) if inside else packed.getvalue()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a.tar.gz").write_bytes(gzip.compress(data) if inside else damage(gzip.compress(data)))
        said = complaint(lambda: spool([folder / "a.tar.gz"], folder / "out", {0: {100}}))
        assert not said or "a.tar.gz" in said
        if not said:
            assert LmdbReader(spool_path(folder / "out", 0)).entries <= 9


@many(max_examples=60)
@given(damage=damages(), which=st.integers(0, 2))
def test_a_damaged_tile(tmp_path_factory, damage, which):
    folder = tmp_path_factory.mktemp("tiles")
    place = random_places(1, SIZE)[100]
    arrays = {"s1": place.s1, "s2": place.s2, "dw": place.labels[None] + 1}
    for number, (part, image) in enumerate(arrays.items()):
        (folder / part).mkdir()
        file = folder / part / f"{part}_a-20200101.tif"
        write_tiff(file, image, place)
        if number == which:
            file.write_bytes(damage(file.read_bytes()))
    said = complaint(lambda: read_everything(open_dw(folder, None, SIZE)))
    assert not said or "a-20200101" in said or str(folder) in said
