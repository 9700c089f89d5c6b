import pytest

from cromss.cli.train import main


@pytest.mark.parametrize(
    ("flags", "key", "folder"),
    [
        ([], "hydra.run.dir", "/proc/nowhere"),
        (["-m"], "hydra.sweep.dir", "/proc/nowhere"),
        ([], "hydra.run.dir", "file/x"),
    ],
)
def test_a_folder_that_cannot_be_written_is_named_before_anything_else(
    flags, key, folder, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setattr("sys.argv", ["train.py", *flags, f"{key}={folder}"])
    with pytest.raises(SystemExit, match=f"^{folder} cannot be written .*set {key}=FOLDER$"):
        main()
    assert "Traceback" not in capfd.readouterr().err
