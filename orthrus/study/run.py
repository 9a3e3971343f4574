"""One fit of a study: the commands `orthrus fit`, `embed` and `probe` in a folder of its own.

``OUTPUT/fits/NAME`` is a usual run folder (``config.yaml``, checkpoints, metrics, ``embeddings.parquet``,
``probe/TASK``), so `orthrus report` makes its page. Finished steps are not repeated: an interrupted study continues
where it stopped, and a fit that another process holds is not started again.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from orthrus.errors import InputError
from orthrus.output import write_text
from orthrus.probe.document import DOCUMENT_FILE
from orthrus.study.spec import Fit, ProbeSpec, StudySpec

FITS_FOLDER = "fits"
_SETTINGS_FILE = "study_settings.json"
_LOG_FILE = "study.log"
_EMBEDDINGS_FILE = "embeddings.parquet"

RunCommand = Callable[[Sequence[str], Path], int]
"""Runs `orthrus` with arguments, appends its output to a log file and returns its exit status."""


def folder_of(fit: Fit, output: Path) -> Path:
    """The run folder of a fit."""
    return output / FITS_FOLDER / fit.name


def probe_folder(fit: Fit, output: Path, task: str) -> Path:
    """The folder of a fit's probe."""
    return folder_of(fit, output) / "probe" / task


def is_done(fit: Fit, output: Path, spec: StudySpec) -> bool:
    """Whether a fit has all its probes; raises InputError as :func:`run_fit` if they are of other settings."""
    _settings(fit, folder_of(fit, output), spec.probe)
    return all((probe_folder(fit, output, task) / DOCUMENT_FILE).is_file() for task in spec.probe.tasks)


def run_fit(fit: Fit, output: Path, spec: StudySpec, run: RunCommand | None = None) -> None:
    """Run the unfinished steps of a fit: train, embed, probe.

    Raises InputError if a command fails, with the last line of its output, and if the folder has a fit or probes with
    other settings. Raises SystemExit with a command's status if a signal stopped it after it had saved.
    """
    folder = folder_of(fit, output)
    settings = _settings(fit, folder, spec.probe)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(json.dumps(settings, indent=2) + "\n", folder / _SETTINGS_FILE)
    for args in _commands(fit, folder, spec.probe):
        log = folder / _LOG_FILE
        status = (run or run_in_process_of_its_own)(args, log)
        if status == 2:
            raise InputError(f"{fit.name}: `orthrus {args[0]}` failed: {_last_line(log)} (all that it said: {log})")
        if status:
            raise SystemExit(status)


def _settings(fit: Fit, folder: Path, probe: ProbeSpec) -> dict[str, Any]:
    """What determines the results in ``folder``; raises InputError if they are there already by other settings."""
    tasks = {name: str(path) for name, path in probe.tasks.items()}
    about = {"store": str(probe.store), "readouts": [*probe.readouts], "splits": probe.splits}
    wanted = {"fit": [*fit.args], "probe": about, "tasks": tasks}
    path = folder / _SETTINGS_FILE
    if not path.is_file():
        return wanted
    stored = json.loads(path.read_text(encoding="utf-8"))
    if stored["fit"] != wanted["fit"]:
        raise InputError(
            f"{folder} holds a fit of other settings ({path}); choose another --output, or remove that folder to fit it"
            " anew"
        )
    made = [str(each) for each in (folder / _EMBEDDINGS_FILE, folder / "probe") if each.exists()]
    all_tasks = {**stored["tasks"], **tasks}  # a study may get more, or leave some out
    if made and (stored["probe"] != about or {**all_tasks, **stored["tasks"]} != all_tasks):
        raise InputError(
            f"{folder} holds probes of other settings ({path}); choose another --output, or remove {' and '.join(made)}"
            " to probe it anew"
        )
    return {**wanted, "tasks": all_tasks}


def _commands(fit: Fit, folder: Path, probe: ProbeSpec) -> Iterator[list[str]]:
    """Yield the commands of the unfinished steps; each step is checked after the earlier ones have run."""
    checkpoint, embeddings = folder / "checkpoints" / "last.ckpt", folder / _EMBEDDINGS_FILE
    missing = {
        task: path for task, path in probe.tasks.items() if not (folder / "probe" / task / DOCUMENT_FILE).is_file()
    }
    if not missing:
        return
    if not embeddings.is_file():
        yield ["fit", *fit.args, f"--trainer.default_root_dir={folder}", "--resume=auto"]
        readouts = ["--readout", *probe.readouts] if probe.readouts else []
        yield ["embed", f"--checkpoint={checkpoint}", f"--input={probe.store}", f"--output={embeddings}", *readouts]
    for task, path in missing.items():
        yield [
            "probe", f"--embeddings={embeddings}", f"--task={path}", f"--store={probe.store}",
            f"--seeds={probe.splits}", f"--output={folder / 'probe' / task}",
            "--kmer=3",  # the codon control is stronger, and longer words would take most of a study's time
        ]  # fmt: skip


def run_in_process_of_its_own(args: Sequence[str], log: Path) -> int:
    """Run `orthrus` in a separate process, which ends if this one does."""
    with log.open("ab") as stream, _left_to_the_child(signal.SIGUSR1):
        process = subprocess.Popen([sys.executable, "-m", "orthrus", *args], stdout=stream, stderr=subprocess.STDOUT)
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise


@contextmanager
def _left_to_the_child(number: signal.Signals) -> Iterator[None]:
    """Ignore Slurm's warning to every process of a job step: the training one saves and reports by its status."""

    def pass_over(number: int, frame: FrameType | None) -> None:
        """Do nothing; unlike SIG_IGN, the child does not inherit a handler."""

    before = signal.signal(number, pass_over)
    try:
        yield
    finally:
        signal.signal(number, before)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.is_file() else []
    return next((line.strip().removeprefix("error: ") for line in reversed(lines) if line.strip()), "it said nothing")
