import pytest

from cromss.io.atomic import write_file


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
    with pytest.raises(OSError, match=r"cannot write .*file: No space left on device.*unharmed"):
        write_file(target, b"second")
    assert target.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [target]
