"""The results of a probe as typed data: ``metrics.json`` is written and read through :class:`ProbeDocument`.

A document of another version is refused, because numbers that were computed differently are not comparable. Names of
feature sets are the keys of ``feature_sets`` and ``differences``; the first feature set is the one under test.
"""

from collections import Counter
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from orthrus.errors import InputError

DOCUMENT_FILE = "metrics.json"
FORMAT_VERSION: Literal[3] = 3

EMBEDDING = "embedding"
CODON = "codon"
EMBEDDING_AND_CODON = "embedding + codon control"
KMER = "k-mer"
COMPOSITION = "length + composition"
RANDOM_INIT = "random-init"
LABEL_SHUFFLE = "label shuffle"

Ends = tuple[float, float]
"""The lower and the upper end of a 95 % interval."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Mean(_Part):
    """A mean with its 95 % interval, None with fewer than two values."""

    mean: float
    interval95: Ends | None


class Score(Mean):
    """A metric over splits; ``interval95_families`` is over resampled test families, None if none can be scored."""

    per_seed: list[float]
    interval95_families: Ends | None


class Difference(Score):
    """A paired difference; interval and ``p_value`` (None with one split) are from the corrected resampled t-test."""

    p_value: float | None


class EncoderSpread(Mean):
    """A metric over encoders that were trained with several seeds."""

    per_encoder: list[float]


class FeatureSet(_Part):
    """Scores of one feature set by metric.

    ``n_features`` is the width of the readout that most splits chose. ``penalties_per_seed`` has the penalty of each
    target or label, None for a label with only one value in the training rows. ``readouts`` (name -> width) and
    ``readout_per_seed`` are empty if there was no choice; ``last.mean × 0.3`` means the features times 0.3, beside the
    codon control (:func:`orthrus.probe.one_split.probe_beside`). ``by_encoder`` is empty for one encoder, ``per_label``
    and ``labels_not_scored_per_seed`` for a single number.
    """

    n_features: int
    scores: dict[str, Score]
    penalties_per_seed: list[list[float | None]]
    readouts: dict[str, int] = {}
    readout_per_seed: list[str] = []
    by_encoder: dict[str, EncoderSpread] = {}
    labels_not_scored_per_seed: list[int] = []
    per_label: dict[str, dict[str, float | None]] = {}

    @property
    def readouts_chosen(self) -> list[tuple[str, int]]:
        """The readouts that splits chose, each with the number of splits, the most frequent first."""
        return Counter(self.readout_per_seed).most_common()


class PartScore(Mean):
    """A metric on a part of the test rows; ``per_seed`` is None for a split whose part cannot be scored."""

    per_seed: list[float | None]


class PartOfTest(_Part):
    """Scores on the test rows that pretraining saw, or on those that it did not see.

    ``rows_per_seed`` has their number in each split. ``feature_sets`` and ``differences`` (the first feature set minus
    this one, and ``added``) have a score for each feature set and metric.
    """

    rows_per_seed: list[int]
    feature_sets: dict[str, dict[str, PartScore]]
    differences: dict[str, dict[str, PartScore]]
    added: dict[str, PartScore]


class Curve(_Part):
    """The score of a feature set at each number of labels: by split, and as mean with 95 % interval."""

    per_seed: list[list[float]]
    mean: list[float]
    interval95: list[Ends | None]


class LabelEfficiency(_Part):
    """Scores by the number of ``labels`` for training and validation."""

    metric: str
    labels: list[int]
    feature_sets: dict[str, Curve]


class Shared(_Part):
    """Test rows that share something with other rows: their mean number over splits, and their share."""

    rows: float
    share: float


class Leaks(_Part):
    """The test rows that share something with training and validation rows, or with pretraining, by what they share.

    ``unknown_genes`` is the number of rows, on all sides, whose gene is not known; if there are any, the split may
    divide genes or families.
    """

    test_rows: float
    unknown_genes: int = 0
    training: dict[str, Shared]
    pretraining: dict[str, Shared]
    not_checked: dict[str, str]


class LabelsFile(_Part):
    """The file of the labels."""

    file: str
    sha256: str


class Bootstrap(_Part):
    """The unit that was resampled, and how often."""

    unit: Literal["row", "family"]
    samples: int


class ProbeDocument(_Part):
    """The content of ``metrics.json``.

    ``split`` is the unit that is never divided (:class:`orthrus.probe.splits.SplitUnit`), and ``grouped_by`` names the
    columns that define it. ``differences`` are the first feature set minus each other one. ``added`` is ``embedding +
    codon control`` minus ``codon`` by metric: what the embedding adds to codon counts; it is empty without these sets.
    ``by_pretraining`` has the scores on test rows whose family was in pretraining (``transductive``) and on the others
    (``inductive``), if both exist and the pretraining store is known. ``embeddings`` is the metadata of their file.
    """

    format_version: Literal[3] = FORMAT_VERSION
    task: Literal["regression", "classification", "multilabel"]
    target: str
    split: str
    source: str
    licence: str
    labels: LabelsFile
    store: str | None
    counts: dict[str, int]
    grouped_by: list[str]
    target_names: list[str]
    dropped: dict[str, str]
    embeddings: dict[str, Any]
    encoder_seeds: list[str | None]
    metrics: list[str]
    chance: dict[str, float]
    seeds: list[int]
    rows_by_seed: dict[Literal["train", "validation", "test"], list[int]]
    bootstrap: Bootstrap
    feature_sets: dict[str, FeatureSet]
    differences: dict[str, dict[str, Difference]]
    added: dict[str, Difference]
    by_pretraining: dict[Literal["transductive", "inductive"], PartOfTest]
    label_efficiency: LabelEfficiency | None
    leaks: Leaks
    missing_controls: dict[str, str]

    @property
    def subject(self) -> str:
        """The feature set under test, which others are compared with: ``embedding``, or ``fine-tuned``."""
        return next(iter(self.feature_sets))

    @property
    def headline(self) -> str:
        """The first metric."""
        return self.metrics[0]

    @property
    def splits(self) -> str:
        """The number of splits and their unit, for a title: ``10 family-disjoint splits``."""
        unit = "gene" if self.split == "family" and "family_id" not in self.grouped_by else self.split
        disjoint = f"splits by {unit}" if self.leaks.unknown_genes else f"{unit}-disjoint splits"
        kind = {"random": "random splits", "folds": "given folds"}.get(unit, disjoint)
        return f"{len(self.seeds)} {kind}"

    @property
    def step(self) -> int | None:
        """The training step of the checkpoint that made the embeddings, if it is known."""
        step = self.embeddings.get("step")
        return None if step is None else int(step)

    def write(self, path: Path) -> None:
        """Write the document to ``path`` as JSON."""
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_document(path: Path) -> ProbeDocument:
    """Read the ``metrics.json`` of a probe.

    Raises InputError if ``path`` cannot be read, has another version, or is not the document of a probe.

    Examples:
        >>> document = read_document(Path("runs/demo/probe/localization/metrics.json"))
        >>> document.task, document.headline, document.subject
        ('multilabel', 'auprc', 'embedding')
    """
    try:
        return ProbeDocument.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); make it with `orthrus probe`.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise InputError(
            f"{path} is not the document of a probe of version {FORMAT_VERSION}"
            f" ({where}: {first['msg'].lower()}); probe again."
        ) from None
