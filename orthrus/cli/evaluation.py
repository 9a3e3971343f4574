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
