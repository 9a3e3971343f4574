from collections.abc import Iterator

import pytest

from tests.slurm.cluster import Cluster, why_not


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A one-node Slurm of its own."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    booted = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        booted.boot()
        yield booted
    finally:
        booted.shut_down()
