"""The command that shows a run."""

import argparse
from pathlib import Path

from orthrus.cli.commands import AddCommand

_NOTES = (
    "Families (genes joined by orthology) never straddle training, validation and test sides.",
    "Retrieval: a transcript's partner must be its nearest neighbour by cosine among all validation transcripts of"
    " other families within 10 % of the partner's length, both views masked as in training. Chance is one in the"
    " number of candidates.",
    "Close species make ortholog retrieval easy: apes differ from human in about 1 % of bases, so what a sequence is"
    " made of gives many partners away, to an untrained encoder too. Length is taken out by the choice of candidates;"
    " composition is blurred by the masks, not removed. Compare with the untrained value, and look at splice isoforms,"
    " which differ more.",
)


def add_commands(command: AddCommand) -> None:
    report = command("report", _report, "Make one self-contained HTML page of a run folder.")
    report.add_argument("folder", type=Path, metavar="DIR")
    report.add_argument("--output", type=Path, help="page to write (default: DIR/report.html)")


def _report(options: argparse.Namespace) -> None:
    from orthrus.analyse.section import analysis_section
    from orthrus.probe.report import headlines, write_report

    sections = [analysis_section(path) for path in sorted(options.folder.rglob("analysis.json"))]
    page = write_report(options.folder, options.output, notes=_NOTES, sections=sections)
    for line in headlines(options.folder):
        print(line)
    print(f"page: {page}")
