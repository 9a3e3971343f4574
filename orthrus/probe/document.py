"""What a probe found, as typed data: the content of ``metrics.json``, written and read through :class:`ProbeDocument`.

A document of another version is refused: numbers that were computed otherwise should not stand beside these. Names of
feature sets are the keys of ``feature_sets`` and ``differences``; the first feature set is the one that is judged.
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
    """A metric over splits; ``interval95_families`` is over resampled test families, None where none can be scored."""

    per_seed: list[float]
    interval95_families: Ends | None


class Difference(Score):
    """A paired difference; interval and ``p_value`` (None with one split) are of the corrected resampled t-test."""

    p_value: float | None


class EncoderSpread(Mean):
    """A metric over encoders that were trained with several seeds."""

    per_encoder: list[float]


class FeatureSet(_Part):
    """Scores of one feature set by metric.

    ``n_features`` is the width of the readout that most splits chose. ``penalties_per_seed`` are those of each target
    or label, None for a label that the training rows hold one value of. ``readouts`` (name -> width) and
    ``readout_per_seed`` are empty where there was nothing to choose (``last.mean × 0.3``: beside the codon control, its
    features times 0.3, see :func:`orthrus.probe.one_split.probe_beside`), as are ``by_encoder`` for one encoder,
    ``per_label`` and ``labels_not_scored_per_seed`` for a single number.
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
        """Each readout that a split chose, and how many did, the commonest first."""
        return Counter(self.readout_per_seed).most_common()


class PartScore(Mean):
    """A metric on a part of the test rows; ``per_seed`` is None for a split whose part cannot be scored."""

    per_seed: list[float | None]


class PartOfTest(_Part):
    """Scores on those test rows that pretraining saw, or on those that it did not.

    ``rows_per_seed`` counts them in each split. ``feature_sets`` and ``differences`` (the first feature set minus this
    one, and ``added``) hold a score for each feature set and metric.
    """

    rows_per_seed: list[int]
    feature_sets: dict[str, dict[str, PartScore]]
    differences: dict[str, dict[str, PartScore]]
    added: dict[str, PartScore]


class Curve(_Part):
    """A feature set's score at each number of labels: by split, their means and 95 % intervals."""

    per_seed: list[list[float]]
    mean: list[float]
    interval95: list[Ends | None]


class LabelEfficiency(_Part):
    """Scores by the number of ``labels`` to train and validate on."""

    metric: str
    labels: list[int]
    feature_sets: dict[str, Curve]


class Shared(_Part):
    """Test rows that share something with other rows: their number, mean over splits, and their share."""

    rows: float
    share: float


class Leaks(_Part):
    """What test rows share with training and validation rows, and with pretraining, by what is shared.

    ``unknown_genes`` are the rows, of all sides, of which nothing names the gene: with any, no split is known to keep
    genes or families apart.
    """

    test_rows: float
    unknown_genes: int = 0
    training: dict[str, Shared]
    pretraining: dict[str, Shared]
    not_checked: dict[str, str]


class LabelsFile(_Part):
    """Where the labels were read from."""

    file: str
    sha256: str


class Bootstrap(_Part):
    """What was resampled, and how often."""

    unit: Literal["row", "family"]
    samples: int


class ProbeDocument(_Part):
    """The content of ``metrics.json``.

    ``split`` is what never straddles the sides of a split (:class:`orthrus.probe.splits.SplitUnit`), ``grouped_by`` the
    columns that told. ``differences`` are the first feature set minus each other. ``added`` is ``embedding + codon
    control`` minus ``codon`` by metric: what the embedding adds to what anyone can count, empty without them.
    ``by_pretraining`` has the scores on test rows whose family was in pretraining (``transductive``) and on the others
    (``inductive``), where both exist and the pretraining store is known. ``embeddings`` is what their file says of
    them.
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
        """The feature set that is judged, and that others are compared with: ``embedding``, or ``fine-tuned``."""
        return next(iter(self.feature_sets))

    @property
    def headline(self) -> str:
        """The metric that comes first."""
        return self.metrics[0]

    @property
    def splits(self) -> str:
        """How many splits there are and what they keep apart, as a title says it: ``10 family-disjoint splits``."""
        unit = "gene" if self.split == "family" and "family_id" not in self.grouped_by else self.split
        disjoint = f"splits by {unit}" if self.leaks.unknown_genes else f"{unit}-disjoint splits"
        kind = {"random": "random splits", "folds": "given folds"}.get(unit, disjoint)
        return f"{len(self.seeds)} {kind}"

    @property
    def step(self) -> int | None:
        """The training step of the checkpoint that made the embeddings, where they say so."""
        step = self.embeddings.get("step")
        return None if step is None else int(step)

    def write(self, path: Path) -> None:
        """Write the document as JSON."""
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_document(path: Path) -> ProbeDocument:
    """Read a ``metrics.json``; raises InputError if it is of another version or is no probe's."""
    try:
        return ProbeDocument.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); make it with `orthrus probe`.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise InputError(
            f"{path} is no probe's document of version {FORMAT_VERSION} ({where}: {first['msg'].lower()}); probe again."
        ) from None
