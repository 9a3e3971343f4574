"""The command that reports a run."""

import argparse
from pathlib import Path

from orthrus.cli.command import Command, Result, argument

_NOTES = (
    "Retrieval: a transcript's partner must be its nearest neighbour by cosine among all validation transcripts of"
    " other families within 10 % of the partner's length, both views masked as in training. Chance is one in the"
    " number of candidates.",
    "Ortholog retrieval is easy among close species: apes differ from human in about 1 % of bases, so composition alone"
    " identifies many partners, even for an untrained encoder. The choice of candidates removes the effect of length;"
    " the masks reduce the effect of composition but do not remove it. Compare with the untrained value, and look at"
    " splice isoforms, which differ more.",
)


def _report(options: argparse.Namespace) -> Result:
    from orthrus.analyse.section import analysis_section
    from orthrus.report.page import headlines, write_report
    from orthrus.report.probes import log_tables
    from orthrus.report.run_folder import read_run_folder

    sections = [analysis_section(path) for path in sorted(options.folder.rglob("analysis.json"))]
    page = write_report(options.folder, options.output, notes=_NOTES, sections=sections)
    lines = headlines(options.folder)
    if options.wandb:
        log_tables(read_run_folder(options.folder).probes, options.wandb, options.folder.resolve().name)
    return Result([page], {"headlines": lines}, [*lines, f"page: {page}"])


COMMANDS = (
    Command(
        "report", "Probing and reports", "Make one self-contained HTML page of a run folder.", _report,
        (
            argument("folder", type=Path, metavar="DIR", help="folder of a run"),
            argument("--output", type=Path, help="page to write (default: DIR/report.html)"),
            argument(
                "--wandb", metavar="PROJECT", help="log the probes' tables to this Weights & Biases project too"
            ),
        ),
        ("orthrus report runs/demo",),
    ),
)  # fmt: skip
