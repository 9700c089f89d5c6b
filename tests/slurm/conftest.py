from pathlib import Path

import pytest

from slurm.cluster import Cluster, until

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


@pytest.fixture(autouse=True)
def no_jobs_left(cluster):
    """Ends the jobs that a test which failed leaves behind, as they would fail the next ones."""
    before = set(cluster.jobs())
    yield
    for job in set(cluster.unended()) - before:
        cluster.cancel(job)
    until(lambda: not set(cluster.unended()) - before, "the end of jobs that a test has left")
