"""The command that runs a scaling study."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from orthrus.cli.command import Command, Result, argument, whole
from orthrus.errors import InputError

if TYPE_CHECKING:
    from orthrus.study.spec import StudySpec


def _study(options: argparse.Namespace) -> Result:
    from orthrus.study.run import is_done, run_fit
    from orthrus.study.spec import check_tasks, read_study

    spec = read_study(options.config)
    fits = spec.fits()
    states = {fit.name: "done" if is_done(fit, options.output, spec) else "to do" for fit in fits}
    if options.list:
        lines = [f"{number}\t{name}\t{state}" for number, (name, state) in enumerate(states.items(), start=1)]
        return Result(figures={"fits": states}, shown=list(lines))
    if options.fit is not None and not 1 <= options.fit <= len(fits):
        raise InputError(f"--fit {options.fit}: the study has fits 1 to {len(fits)} (see --list)")
    check_tasks(spec)
    chosen = fits if options.fit is None else [fits[options.fit - 1]]
    for number, fit in enumerate(chosen, start=1):
        if states[fit.name] == "to do":
            print(f"fit {number} of {len(chosen)}: {fit.name}", flush=True)
            run_fit(fit, options.output, spec)
    return _gathered(spec, options.output) if options.fit is None else Result(figures={"fit": chosen[0].name})


def _gathered(spec: "StudySpec", output: Path) -> Result:
    from orthrus.study.document import gather
    from orthrus.study.page import write_study

    document = gather(spec, output)
    paths = write_study(document, output)
    return Result(paths, document.model_dump(mode="json"), [f"{len(document.fits)} fits; page: {paths[0]}"])


COMMANDS = (
    Command(
        "study", "Probing and reports", "Fit a grid of recipes, probe each encoder, and fit scaling laws.", _study,
        (
            argument("config", metavar="CONF", help="YAML of the study, or the name of a shipped one (conf/study/)"),
            argument("--output", type=Path, required=True, metavar="DIR", help="folder; an existing one is continued"),
            argument(
                "--fit", type=whole(1), metavar="N",
                help="run only fit N, from 1 (a task of a Slurm array); without it, all fits that are not"
                " done, then the page",
            ),
            argument("--list", action="store_true", help="print the number, name and state of every fit, and run none"),
        ),
        (
            "orthrus study study/tiny --output runs/study",
            "orthrus study study/structure_and_size --output runs/structure --list",
        ),
    ),
)  # fmt: skip
