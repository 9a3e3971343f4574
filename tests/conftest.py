import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # test processes share the cores; spinning threads of several would not

from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A shell's `&`, and some CI, start processes that ignore Ctrl-C, and their children do too.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")  # timings decide no test

import_module("lightning")  # its log handler keeps the stderr it is imported under, and that of a test is soon closed

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and golden values named by ORTHRUS_SHARED (default ../shared)."""
    folder = Path(os.environ.get("ORTHRUS_SHARED", REPOSITORY / ".." / "shared")).resolve()
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data at {folder}: set ORTHRUS_SHARED to its folder")
    return folder
