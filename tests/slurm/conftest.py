from pathlib import Path

import pytest

from slurm.cluster import Cluster

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.slurm)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A private Slurm for all tests; a test leaves no jobs behind."""
    with Cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running
