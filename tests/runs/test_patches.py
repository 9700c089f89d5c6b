import json

import numpy as np
import pytest

from cromss.runs.names import PATCHES
from cromss.runs.patches import Column, Patches, read_patches, write_patches


def test_what_is_written_is_read(tmp_path):
    columns = [
        Column("image", "image", np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)),
        Column("label", "classes", np.full((2, 2, 2), 255, np.uint8)),
    ]
    assert read_patches(tmp_path) is None
    write_patches(tmp_path, Patches(7, ["a", "b"], columns))
    found = read_patches(tmp_path)
    assert (found.epoch, found.locations) == (7, ["a", "b"])
    for one, other in zip(found.columns, columns, strict=True):
        assert (one.title, one.kind) == (other.title, other.kind)
        assert np.array_equal(one.values, other.values)


HEAD = {"format": 1, "epoch": 0, "locations": ["a"], "columns": [{"title": "label", "kind": "classes"}]}


@pytest.mark.parametrize(
    ("head", "values", "message"),
    [
        (HEAD | {"format": 2}, np.zeros((1, 2, 2), np.uint8), "format 2, and this program reads 1"),
        (HEAD, np.zeros((2, 2, 2), np.uint8), "label is classes of shape"),
        (HEAD, np.zeros((1, 2, 2), np.float32), "of another type"),
        (
            HEAD | {"columns": [{"title": "label", "kind": "sound"}]},
            np.zeros((1, 2, 2), np.uint8),
            "columns.0.kind is 'sound'",
        ),
        ({"format": 1}, np.zeros(1), "is damaged"),
    ],
)
def test_what_is_damaged_is_reported(tmp_path, head, values, message):
    np.savez(tmp_path / PATCHES, head=np.array(json.dumps(head)), column_0=values)
    with pytest.raises(ValueError, match=message):
        read_patches(tmp_path)


def test_the_sizes_that_an_archive_claims_are_looked_at_before_it_is_unpacked(tmp_path):
    columns = {f"column_{n}": np.zeros((1, 8192, 8192), np.uint8) for n in range(2)}
    head = HEAD | {"columns": [{"title": "label", "kind": "classes"}] * 2}
    np.savez_compressed(tmp_path / PATCHES, head=np.array(json.dumps(head)), **columns)
    with pytest.raises(ValueError, match="bytes of pixels"):
        read_patches(tmp_path)
