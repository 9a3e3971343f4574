"""Media of a W&B run at every validation: a map of the embedding and examples of retrieval.

M validation pairs of rank 0, D features. Costs a singular value decomposition of (2M, D) and one M x M product.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import wandb
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from orthrus.store import TranscriptStore
from orthrus.store.pairs import PairKind
from orthrus.training.wandb_run import WandbRun

_PAIRS = 1000
_EXAMPLES = 20
_FAMILIES = 10


class WandbMedia(Callback):
    """Logs ``media/embedding_map`` and ``media/retrieval``, and the best checkpoint if the run asks for it.

    Args:
        store: folder of the store, for the families' names.
    """

    def __init__(self, store: str) -> None:
        self.store_path = store

    def on_validation_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Log media of the validated pairs, before their measures are computed and the pairs are cleared."""
        if trainer.state.fn != TrainerFn.FITTING or not trainer.is_global_zero:
            return
        geometry: Any = module.geometry
        view0_MD, view1_MD, length1_M, kind_M, family_M = (
            torch.cat(getattr(geometry, name))[:_PAIRS].cpu()
            for name in ("view0", "view1", "length1", "kind", "family")
        )
        names = TranscriptStore.open(self.store_path).family_names
        table = examples(view0_MD, view1_MD, length1_M, kind_M, [names[int(f)].as_py() for f in family_M])
        figure = draw_map(plane(torch.cat([view0_MD, view1_MD])), family_M.numpy())

        def log(run: Any) -> None:
            media = {
                "media/embedding_map": wandb.Image(figure),
                "media/retrieval": wandb.Table(columns=list(table), data=list(zip(*table.values(), strict=True))),
            }
            run.log(media, step=max(trainer.global_step - 1, 0))

        for logger in _runs(trainer):
            logger.attempt(log)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Log the best checkpoint as an artifact, if the run asks for it."""
        best = Path(trainer.default_root_dir, "checkpoints", "best.ckpt")
        if not trainer.is_global_zero or not best.exists():
            return

        def log(run: Any) -> None:
            artifact = wandb.Artifact(f"encoder-{run.id}", type="model", metadata={"step": trainer.global_step})
            artifact.add_file(str(best.resolve()), name="best.ckpt")
            run.log_artifact(artifact)

        for logger in _runs(trainer):
            if logger.log_checkpoints:
                logger.attempt(log)

    def teardown(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        """Close the run."""
        if stage == "fit":
            for logger in _runs(trainer):
                logger.finish(0)

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        """Close the run, as failed unless a signal stopped it."""
        for logger in _runs(trainer):
            logger.finish(0 if isinstance(exception, SystemExit) else 1)


def examples(
    view0_MD: Tensor, view1_MD: Tensor, length1_M: Tensor, kind_M: Tensor, families: list[str]
) -> dict[str, list[Any]]:
    """Columns of a table of some pairs: the rank of the partner by cosine to the first view, and the nearest view.

    A partner of rank 1 was retrieved; other pairs of the family do not count.
    """
    cosine_MM = F.normalize(view0_MD, dim=-1) @ F.normalize(view1_MD, dim=-1).T
    _, number_M = np.unique(families, return_inverse=True)
    same_MM = torch.from_numpy(number_M[:, None] == number_M)
    rival_MM = cosine_MM.masked_fill(same_MM, -torch.inf)
    rank_M = 1 + (rival_MM >= cosine_MM.diagonal()[:, None]).sum(dim=1)
    nearest_M = rival_MM.argmax(dim=1)
    shown = np.unique(np.linspace(0, len(families) - 1, _EXAMPLES).astype(int)).tolist()
    return {
        "family": [families[i] for i in shown],
        "kind": [PairKind(int(kind_M[i])).label for i in shown],
        "partner's length": [int(length1_M[i]) for i in shown],
        "partner's rank": [int(rank_M[i]) for i in shown],
        "partner's cosine": [round(float(cosine_MM[i, i]), 4) for i in shown],
        "nearest other family": [families[int(nearest_M[i])] for i in shown],
        "its cosine": [round(float(rival_MM[i, nearest_M[i]]), 4) for i in shown],
    }


def plane(embedding_ND: Tensor) -> NDArray[np.float32]:
    """The first two principal components, float32 (N, 2)."""
    centred_ND = F.normalize(embedding_ND.float(), dim=-1).nan_to_num()
    centred_ND = centred_ND - centred_ND.mean(dim=0)
    axes_DK = torch.linalg.svd(centred_ND, full_matrices=False).Vh[:2].T
    points: NDArray[np.float32] = (centred_ND @ axes_DK).numpy()
    return points


def draw_map(points_N2: NDArray[np.float32], family_M: NDArray[np.int64]) -> Figure:
    """Draw pairs as lines between their views, those of the largest families in colour."""
    figure = Figure(figsize=(6, 6), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    first_M2, second_M2 = np.split(points_N2, 2)
    names, counts = np.unique(family_M, return_counts=True)
    largest = names[np.argsort(-counts, kind="stable")[:_FAMILIES]]
    for number, family in enumerate([None, *largest]):
        chosen = ~np.isin(family_M, largest) if family is None else family_M == family
        colour = "0.8" if family is None else f"C{number - 1}"
        lines = np.stack([first_M2[chosen], second_M2[chosen]])
        axes.plot(lines[..., 0], lines[..., 1], color=colour, linewidth=0.6, marker="o", markersize=2.5)
    axes.set(
        xlabel="PC 1", ylabel="PC 2", title=f"{len(family_M):,} validation pairs, the {len(largest)} largest families"
    )
    return figure


def _runs(trainer: Trainer) -> list[WandbRun]:
    return [logger for logger in trainer.loggers if isinstance(logger, WandbRun)]
