from pathlib import Path

import pytest

from tests.builders import build_store


@pytest.fixture(scope="package")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_store(tmp_path_factory.mktemp("fit") / "store", n_genes=24, cds_only_species=True).path
