import pytest

from helpers.entrypoint import finish, start


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
