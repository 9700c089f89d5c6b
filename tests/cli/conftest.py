import pytest

from cromss.cli.train import main
from helpers.entrypoint import finish, latest, start


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """The embedded dataset is generated once for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def train(tmp_path, cache):
    """Runs train.py in an empty folder."""

    def call(*overrides, check=True, **options):
        return finish(start("train.py", *overrides, cwd=tmp_path, cache=cache, **options), check)

    return call


@pytest.fixture
def prepare(tmp_path, cache):
    """Runs cromss.prepare in an empty folder."""

    def call(*overrides, check=True, **options):
        return finish(start("-m", "cromss.prepare", *overrides, cwd=tmp_path, cache=cache, **options), check)

    return call


@pytest.fixture
def refused(tmp_path, cache, monkeypatch, capfd):
    """Runs train.py in this process, as its imports take seconds, and returns the words with which it refuses."""

    def call(*overrides):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
        monkeypatch.setattr("sys.argv", ["train.py", *latest(overrides)])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 1
        said = capfd.readouterr().err
        assert "Traceback" not in said
        return said

    return call
