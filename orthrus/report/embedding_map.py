"""A map of an embedding in two dimensions, with measures of the neighbourhoods in the full space.

PCA to 50 dimensions and t-SNE with a fixed seed map at most 3,000 transcripts of whole families, in about 15 s on two
cores.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from orthrus.embedding.file import Embeddings

MAX_POINTS = 3000
MIN_POINTS = 10
SEED = 0


@dataclass(frozen=True)
class EmbeddingMap:
    """``points`` (n, 2) of the transcripts in ``rows``.

    ``same_family`` and ``same_species`` are the shares of transcripts whose nearest neighbour by cosine in the full
    space, among those shown, is of their family (of transcripts that share a family with another) or species, each with
    the share for a random neighbour.
    """

    points: NDArray[np.float64]
    rows: NDArray[np.int64]
    same_family: tuple[float, float] | None
    same_species: tuple[float, float] | None


def map_embedding(embeddings: Embeddings) -> EmbeddingMap | str:
    """Map at most 3,000 transcripts, or return why there is no map: fewer than 10, or vectors that are all equal."""
    n = len(embeddings)
    if n < MIN_POINTS:
        return f"{n} transcripts are too few for one"
    species = [name or "" for name in embeddings.species or [""] * n]
    family = [name or "" for name in embeddings.family_id or embeddings.gene_name or [""] * n]
    rows = _whole_families(family)
    matrix = embeddings.matrix[rows].astype(np.float64)
    if np.linalg.norm(matrix - matrix.mean(axis=0)) <= 1e-6 * np.linalg.norm(matrix):  # t-SNE would crash on these
        return "all vectors are alike: the encoder has collapsed"
    reduced = PCA(min(50, *matrix.shape), random_state=SEED).fit_transform(matrix)
    perplexity = min(30.0, (len(rows) - 1) / 3)
    points = TSNE(perplexity=perplexity, init="pca", random_state=SEED).fit_transform(reduced)
    shares = _neighbour_shares(matrix, [family[row] for row in rows], [species[row] for row in rows])
    return EmbeddingMap(points.astype(np.float64), rows, *shares)


def _whole_families(family: Sequence[str]) -> NDArray[np.int64]:
    """Rows of families drawn at random until 3,000 are reached; a transcript without a family counts as one."""
    n = len(family)
    keys = [name or f"\0{row}" for row, name in enumerate(family)]
    names, number = np.unique(keys, return_inverse=True)
    order = np.random.default_rng(SEED).permutation(len(names))
    rows = np.argsort(order.argsort()[number], kind="stable")[: min(n, MAX_POINTS)]
    return np.sort(rows).astype(np.int64)


def _neighbour_shares(
    matrix: NDArray[np.float64], family: Sequence[str], species: Sequence[str]
) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    unit = matrix - matrix.mean(axis=0)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = similarity.argmax(axis=1)
    return _share(family, nearest), _share(species, nearest)


def _share(of_row: Sequence[str], nearest: NDArray[np.int64]) -> tuple[float, float] | None:
    counts = Counter(of_row)
    judged = np.array([bool(name) and counts[name] > 1 for name in of_row])
    if not judged.any() or len(counts) < 2:
        return None
    names = np.array(of_row, dtype=object)
    same = (names[nearest] == names)[judged].mean()
    chance = np.array([(counts[name] - 1) / (len(of_row) - 1) for name in names[judged]]).mean()
    return float(same), float(chance)
