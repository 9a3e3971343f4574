"""The W&B workspace of pretraining: the sections of its plots, defined with wandb-workspaces.

With a login it is saved to the project; without one the definition that would be sent is written to a file.
"""

import json
from pathlib import Path
from typing import Any

import wandb_workspaces.reports.v2 as reports
import wandb_workspaces.workspaces as workspaces

from orthrus.output import write_text

# Section -> panels: title -> metrics, or a regular expression for them.
SECTIONS: dict[str, dict[str, list[str] | str]] = {
    "Training": {
        "Loss": ["train/loss", "val/loss"],
        "Terms": "^train/(contrastive|mlm|annotation)$",
        "Accuracy of masked bases": ["train/mlm_accuracy", "val/mlm_accuracy"],
        "Gradient norm": ["train/grad_norm"],
        "Learning rate": ["train/lr"],
    },
    "Retrieval of held-out partners": {
        "All pairs, and chance": ["val/retrieval_top1", "val/retrieval_chance"],
        "By kind": "^val/retrieval_top1_",
        "Chance by kind": "^val/retrieval_chance_",
        "Within a training batch": ["train/retrieval_top1"],
    },
    "Shape of the embedding": {
        "Alignment": "^val/alignment",
        "Uniformity": ["val/uniformity"],
        "Effective rank": ["val/effective_rank", "train/effective_rank"],
        "Spread": ["train/embedding_std", "train/contrastive_std"],
    },
    "Probes": {"Linear probes of the frozen encoder": "^probe/"},
    "Throughput": {
        "Positions a second": ["train/nt_per_s"],
        "Model FLOP utilisation": ["train/mfu"],
        "Waiting for batches": ["perf/loader_wait"],
        "Padding": ["perf/padding"],
        "Pairs a step": ["perf/pairs_per_step"],
    },
}
MEDIA = ("media/embedding_map", "media/retrieval")


def workspace(project: str, entity: str = "") -> workspaces.Workspace:
    """The workspace of a project."""
    sections = [
        workspaces.Section(name=name, panels=[_line_plot(*panel) for panel in panels.items()], is_open=True)
        for name, panels in SECTIONS.items()
    ]
    media = [reports.MediaBrowser(media_keys=[key]) for key in MEDIA]
    sections.insert(3, workspaces.Section(name="Embedding map and retrieval", panels=media, is_open=True))
    return workspaces.Workspace(
        entity=entity, project=project, name="Pretraining", sections=sections, auto_generate_panels=False
    )


def write_definition(definition: workspaces.Workspace, path: Path) -> None:
    """Write a workspace as JSON, as it would be sent to W&B."""
    content: dict[str, Any] = definition._to_model().model_dump(mode="json", by_alias=True)
    write_text(json.dumps(content, indent=2) + "\n", path)


def _line_plot(title: str, metrics: list[str] | str) -> reports.LinePlot:
    if isinstance(metrics, str):
        return reports.LinePlot(title=title, x="Step", metric_regex=metrics)
    return reports.LinePlot(title=title, x="Step", y=metrics)
