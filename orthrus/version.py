"""The version of this package."""

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """As installed; "unknown" when the package runs from a checkout that is not."""
    try:
        return version("orthrus-mrna")
    except PackageNotFoundError:
        return "unknown"
