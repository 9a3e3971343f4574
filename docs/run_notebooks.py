"""Runs the notebooks of docs/notebooks, each in an empty folder, and keeps their outputs in them: `make notebooks`.

Names of notebooks as arguments run those alone.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parent / "notebooks"
_TIMEOUT = 900  # seconds a cell
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # colours, movements of the cursor
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
        if "outputs" in cell:
            cell.outputs = list(_as_seen(cell.outputs))
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": _LANGUAGE}
    return notebook


def _as_seen(outputs: list[nbformat.NotebookNode]) -> Iterator[nbformat.NotebookNode]:
    """The outputs as a terminal shows them in the end: each bar once, no colours, no path of this machine."""
    for _, group in groupby(outputs, key=lambda output: output.get("name", id(output))):
        first, *others = group
        if first.output_type == "stream":
            text = "".join(output.text for output in (first, *others)).replace("\r\n", "\n")
            text = _CONTROL.sub("", text).replace(str(NOTEBOOKS.parents[1]), "...")
            first.text = "\n".join(line.rsplit("\r", 1)[-1].rstrip() for line in text.split("\n"))
        yield first


def main() -> None:
    """Run them."""
    for path in [NOTEBOOKS / f"{name}.ipynb" for name in sys.argv[1:]] or sorted(NOTEBOOKS.glob("*.ipynb")):
        print(path.name, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(execute(path, Path(folder)), path)


if __name__ == "__main__":
    main()
