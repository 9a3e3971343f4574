"""Runs the notebooks of docs/notebooks, each in an empty folder, and keeps their outputs in them: `make notebooks`.

Names of notebooks as arguments run those alone.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parent / "notebooks"
_TIMEOUT = 900  # seconds a cell
_LANGUAGE = {"name": "python", "pygments_lexer": "ipython3"}


def execute(path: Path, folder: Path) -> nbformat.NotebookNode:
    """The notebook at ``path`` with the outputs of a run in ``folder``; raises CellExecutionError if a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    bin_folder = str(Path(sys.executable).parent)  # where `orthrus` of this environment is
    environment = {
        **os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", "TERM": "dumb", "COLUMNS": "110",
        "PYTHONWARNINGS": "ignore::DeprecationWarning",
    }  # fmt: skip
    client = NotebookClient(notebook, timeout=_TIMEOUT, resources={"metadata": {"path": str(folder)}})
    client.execute(env=environment)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times, which differ each time
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": _LANGUAGE}
    return notebook


def main() -> None:
    """Run them."""
    for path in [NOTEBOOKS / f"{name}.ipynb" for name in sys.argv[1:]] or sorted(NOTEBOOKS.glob("*.ipynb")):
        print(path.name, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(execute(path, Path(folder)), path)


if __name__ == "__main__":
    main()
