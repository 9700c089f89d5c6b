import pytest

from cromss.cli.predict import main
from helpers.entrypoint import latest


@pytest.fixture
def predict(tmp_path, monkeypatch):
    """Runs cromss.predict in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*overrides):
        monkeypatch.setattr("sys.argv", ["predict", *latest(["progress_bar=false", *overrides])])
        main()

    return call
