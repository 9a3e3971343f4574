import importlib.metadata

import pytest

from orthrus.version import package_version


def test_an_installed_package_knows_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orthrus.version.version", {"orthrus-mrna": "1.2.3"}.__getitem__)
    assert package_version() == "1.2.3"


def test_a_checkout_that_is_not_installed_has_none_and_does_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("orthrus.version.version", lookup)
    assert package_version() == "unknown"
