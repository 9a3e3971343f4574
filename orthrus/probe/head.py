"""A fitted head: the linear model of one split, as a folder to keep, share and predict with.

``head.safetensors`` has the numbers and ``head.json`` their description (:class:`HeadDocument`): the target, the
readout and the model that the head reads, the split it was fitted on and its scores on the test rows.

A head is fitted on the training rows of a split, and its penalty is chosen on the validation rows. The test rows, which
it has not seen, give the score, the interval and the reference distribution. N transcripts, D features, T targets,
labels or classes, R held-out rows, Q = 201 quantiles.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.special import expit, softmax

from orthrus.embedding.file import Embeddings
from orthrus.errors import InputError
from orthrus.probe import linear
from orthrus.probe.metrics import Floats, score
from orthrus.probe.one_split import fit_on_axes
from orthrus.probe.splits import Split
from orthrus.probe.targets import Target, Task
from orthrus.spec_file import parse_json

HEAD_FOLDER = "head"
WEIGHTS_FILE, DESCRIPTION_FILE = "head.safetensors", "head.json"
FORMAT_VERSION: Literal[1] = 1
LEVEL = 0.9
_QUANTILES = np.linspace(0, 100, 201)


class Prediction(NamedTuple):
    """Predictions for N transcripts, float64 (N, T) each.

    ``values``: numbers in the unit of the labels, or probabilities. ``low`` and ``high``: ends of the interval, None
    for labels and classes. ``percentile``: the share, in percent, of held-out transcripts whose prediction is lower.
    """

    values: Floats
    low: Floats | None
    high: Floats | None
    percentile: Floats


class HeadDocument(BaseModel):
    """The content of ``head.json``.

    ``readout`` names the vectors that the head reads, ``model_sha256`` the weights of the encoder that made them (None:
    unknown), ``split`` the unit of its split and ``seed`` the split's number; ``rows`` has the number of rows of each
    side. ``scores`` are on the test rows of the split.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = FORMAT_VERSION
    task: Literal["regression", "classification", "multilabel"]
    target: str
    target_names: list[str]
    source: str
    licence: str
    features: Literal["embedding"] = "embedding"
    readout: str
    n_features: int
    model: str | None
    model_sha256: str | None
    split: str
    seed: int
    rows: dict[Literal["train", "validation", "test"], int]
    penalties: list[float | None]
    scores: dict[str, float]


@dataclass(frozen=True)
class Head:
    """A linear model of standardised vectors: ``((x - center_D) * scale_D) @ weight_DT + intercept_T``.

    ``description`` describes the head. ``residual_RT``: absolute errors on held-out rows, ascending (regression only).
    ``reference_QT``: quantiles of its predictions for held-out rows.
    """

    description: HeadDocument
    center_D: Floats
    scale_D: Floats
    weight_DT: Floats
    intercept_T: Floats
    residual_RT: Floats
    reference_QT: Floats

    def predict(self, vectors_ND: NDArray[Any], level: float = LEVEL) -> Prediction:
        """Values, interval and percentile for ``vectors_ND`` of the readout that the head reads.

        The interval is that of split conformal prediction (Lei et al., JASA 113:1094, 2018): its half-width is the
        ceil((R + 1) level)-th smallest of R held-out errors, the same for every transcript, so that it covers a share
        ``level`` of new transcripts that are similar to the held-out ones. It is infinite if R is too small for the
        level.

        Raises InputError for vectors of another width, or a level that is not between 0 and 1.
        """
        if vectors_ND.ndim != 2 or vectors_ND.shape[1] != self.description.n_features:
            raise InputError(
                f"vectors of shape {vectors_ND.shape}; the head of {self.description.target} reads"
                f" {self.description.n_features:,} features a transcript ({self.description.readout})"
            )
        if not 0 < level < 1:
            raise InputError(f"level is {level}; expected a share between 0 and 1, such as {LEVEL}")
        scores_NT = ((vectors_ND.astype(np.float64) - self.center_D) * self.scale_D) @ self.weight_DT + self.intercept_T
        values_NT = _values(self.description, scores_NT)
        pairs = zip(values_NT.T, self.reference_QT.T, strict=True)
        percentile_NT = np.stack([np.interp(values, reference, _QUANTILES) for values, reference in pairs], axis=1)
        if self.description.task != Task.REGRESSION.value:
            return Prediction(values_NT, None, None, percentile_NT)
        width_T = self._half_width(level)
        return Prediction(values_NT, values_NT - width_T, values_NT + width_T, percentile_NT)

    def _half_width(self, level: float) -> Floats:
        n = len(self.residual_RT)
        rank = int(np.ceil((n + 1) * level))
        return np.full(self.residual_RT.shape[1], np.inf) if rank > n else self.residual_RT[rank - 1]

    def vectors_of(self, embeddings: Embeddings) -> NDArray[np.float32]:
        """The vectors (N, D) of ``embeddings`` that the head reads; raises InputError for those of another model."""
        self.check_model(embeddings.metadata.get("checkpoint_sha256"))
        return embeddings.with_readout(self.description.readout).matrix

    def check_model(self, sha256: str | None) -> None:
        """Raise InputError unless the head was fitted to vectors of the encoder whose weights have this ``sha256``."""
        expected = self.description.model_sha256
        if expected is None or sha256 != expected:
            made_for = f"{self.description.model} ({expected[:12]}…)" if expected else "vectors of an unknown model"
            given = f"one of {sha256[:12]}…" if sha256 else "an unknown one"
            raise InputError(
                f"the head of {self.description.target} was fitted to {made_for}, not to {given}: vectors of two"
                " encoders are not interchangeable; embed with that model, or probe this one to get its own head"
            )

    def save(self, folder: Path) -> None:
        """Write the head into a new ``folder``."""
        folder.mkdir()
        arrays = {name: np.ascontiguousarray(value) for name, value in vars(self).items() if name != "description"}
        (folder / DESCRIPTION_FILE).write_text(self.description.model_dump_json(indent=2) + "\n", encoding="utf-8")
        save_file(arrays, folder / WEIGHTS_FILE)
        (folder / WEIGHTS_FILE).chmod((folder / DESCRIPTION_FILE).stat().st_mode)  # safetensors writes private files


def _values(description: HeadDocument, scores_NT: Floats) -> Floats:
    """Numbers, or probabilities of labels, or probabilities of classes, which sum to one."""
    if description.task == Task.REGRESSION.value:
        return scores_NT
    several_classes = description.task == Task.CLASSIFICATION.value and scores_NT.shape[1] > 1
    values: Floats = softmax(scores_NT, axis=1) if several_classes else expit(scores_NT)
    return values


def fit_head(
    features_MD: NDArray[np.float32],
    target: Target,
    split: Split,
    *,
    readout: str,
    metadata: dict[str, Any],
    name: str,
    unit: str,
    source: str = "",
    licence: str = "",
) -> Head:
    """Fit a head on one split of the M rows of ``target``.

    Args:
        features_MD: vectors of the rows, of the readout called ``readout``.
        target: what to predict. A label with only one value in the training rows is not part of the head.
        split: the sides.
        readout: the name of the vectors.
        metadata: the metadata of the embeddings, with the encoder's ``checkpoint`` and ``checkpoint_sha256``.
        name: the name of the task.
        unit: the unit that the split does not divide.
        source: the source of the labels.
        licence: the licence of the labels.
    """
    with linear.threads_for(features_MD.size):
        axes = linear.principal_axes(features_MD, split)
        fit = fit_on_axes(axes, target, split)
    kept = np.flatnonzero(np.isfinite(fit.intercept_T))
    of_label = score(target.task, target.values[split.test], fit.scores_NT)
    finite = {metric: values[np.isfinite(values)] for metric, values in of_label.items()}
    description = HeadDocument(
        task=target.task.value,
        target=name,
        target_names=[target.names[i] for i in kept],
        source=source,
        licence=licence,
        readout=readout,
        n_features=features_MD.shape[1],
        model=metadata.get("checkpoint"),
        model_sha256=metadata.get("checkpoint_sha256"),
        split=unit,
        seed=split.seed,
        rows={"train": len(split.train), "validation": len(split.validation), "test": len(split.test)},
        penalties=[None if np.isnan(penalty) else penalty for penalty in fit.penalties],
        scores={metric: float(values.mean()) for metric, values in finite.items() if len(values)},
    )
    values_NT = _values(description, fit.scores_NT[:, kept])
    residual_RT = np.sort(np.abs(target.values[split.test][:, kept] - values_NT), axis=0)
    return Head(
        description=description,
        center_D=axes.mean_D.numpy(),
        scale_D=axes.inverse_D.numpy(),
        weight_DT=axes.axes_DR.numpy() @ fit.weights_RT[:, kept],
        intercept_T=fit.intercept_T[kept],
        residual_RT=residual_RT if target.task is Task.REGRESSION else residual_RT[:0],
        reference_QT=np.quantile(values_NT, _QUANTILES / 100, axis=0),
    )


def load_head(folder: str | Path) -> Head:
    """Read a head from its ``folder``; raises InputError if there is none, or one of another version.

    Examples:
        >>> from orthrus.models import find_model
        >>> head = load_head(find_model() / "heads/half_life")
        >>> head.description.target_names, head.weight_DT.shape
        (['half_life_z'], (902, 1))
    """
    folder = Path(folder)
    try:
        description = HeadDocument.model_validate(parse_json((folder / DESCRIPTION_FILE).read_bytes()))
        arrays = load_file(folder / WEIGHTS_FILE)
        return Head(description=description, **{name: value.astype(np.float64) for name, value in arrays.items()})
    except (OSError, ValueError, ValidationError, SafetensorError, TypeError) as error:
        raise InputError(
            f"{folder} has no head of version {FORMAT_VERSION} ({str(error).splitlines()[0]}); make one with"
            " `orthrus probe`, which writes it into its output folder"
        ) from None
