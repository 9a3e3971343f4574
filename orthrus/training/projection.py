"""Contrastive training of a projection on the vectors of a frozen encoder.

A step of an encoder reads some ten pairs on a CPU, too few for a contrastive loss to teach it more than coarse features
(docs/log.md). Its vectors, computed once, are small: a step of the projection compares thousands of transcripts with
their isoforms, orthologs and paralogs, and the whole training takes minutes.

N transcripts, R numbers of the readout, B rows of a step.
"""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import dropout, normalize

from orthrus.embedding.embed import progress_bar
from orthrus.embedding.file import Embeddings, of_store
from orthrus.embedding.neighbours import nearest, retrieval, same_model
from orthrus.errors import InputError
from orthrus.loading.draws import seeded
from orthrus.messages import messages
from orthrus.nn.checkpoints import CONFIG_FILE, load_encoder, load_mlm_head, save_encoder
from orthrus.nn.projection import Projection
from orthrus.nn.readouts import LAST_MEAN, PROJECTION
from orthrus.objectives import InfoNCELoss
from orthrus.objectives.pair_rows import PastPairs
from orthrus.output import reserve_folder
from orthrus.store import TranscriptStore
from orthrus.store.families import split_of

STEPS = 300
_PAIRS, _OTHERS, _LEFT_OUT, _TEMPERATURE, _SHRINKAGE = 1_024, 4_096, 0.1, 0.1, 0.1  # measured: docs/log.md
_LEARNING_RATE, _WEIGHT_DECAY = 1e-3, 0.05
_HELD_OUT = {"val_fraction": 0.1, "test_fraction": 0.0}


class Relatives:
    """The transcripts of a training set by family and gene, to draw pairs of relatives from.

    Args:
        family_N: numbers of families.
        gene_N: numbers of genes; the transcripts of a gene are of one family.
    """

    def __init__(self, family_N: NDArray[np.int64], gene_N: NDArray[np.int64]) -> None:
        self._order_N = np.lexsort((gene_N, family_N))
        self._gene_N2 = _runs(gene_N[self._order_N])
        self._family_N2 = _runs(family_N[self._order_N])
        self._larger_F2 = np.unique(self._family_N2[np.diff(self._family_N2)[:, 0] > 1], axis=0)

    def __len__(self) -> int:
        """The number of families of two transcripts or more."""
        return len(self._larger_F2)

    def draw(self, n: int, generator: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Two transcripts of each of ``n`` families (or of all), of different genes where a family has several.

        They are indices of the training set, drawn from ``generator``.
        """
        first_P, end_P = generator.permutation(self._larger_F2)[:n].T
        draw_2P = generator.random((2, len(first_P)))
        one_P = first_P + (draw_2P[0] * (end_P - first_P)).astype(np.int64)
        own_P, own_end_P = self._gene_N2[one_P].T
        alone_P = own_end_P - own_P == end_P - first_P  # no other gene: another transcript of this one
        own_P, own_end_P = np.where(alone_P, [one_P, one_P + 1], [own_P, own_end_P])
        left_P = (end_P - first_P) - (own_end_P - own_P)
        other_P = first_P + (draw_2P[1] * left_P).astype(np.int64)
        other_P += np.where(other_P >= own_P, own_end_P - own_P, 0)
        return self._order_N[one_P], self._order_N[other_P]


def _runs(number_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """First and end of the run of equal numbers around each place, (N, 2)."""
    first_F = np.flatnonzero(np.diff(number_N, prepend=-1))
    run_N = np.searchsorted(first_F, np.arange(len(number_N)), side="right") - 1
    return np.stack([first_F, np.append(first_F[1:], len(number_N))], axis=1)[run_N]


def fit_projection(
    embeddings: Embeddings, chosen_N: NDArray[np.bool_], steps: int = STEPS, seed: int = 0
) -> Projection:
    """A projection in which relatives among the ``chosen_N`` transcripts of ``embeddings`` are close.

    Each of ``steps`` draws a pair of relatives from each of 1,024 families (:meth:`Relatives.draw`), and 4,096 other
    transcripts. InfoNCE (:func:`orthrus.objectives.contrastive.info_nce`) at temperature 0.1 draws relatives together
    and apart from all others; a tenth of the numbers of each vector is left out. It begins from vectors that are
    whitened by their covariance within families (WCCN; Hatch et al. 2006, Interspeech 2006-183), so that what differs
    between relatives counts little from the first step on. A linear map is all that is learned: one with a hidden layer
    learns the training families by heart. ``seed`` determines the weights and the pairs.

    Raises:
        InputError: if the embeddings do not name families, or no two of the chosen transcripts are related.

    Examples:
        >>> import numpy as np
        >>> from orthrus import Embeddings
        >>> vectors = np.float32([[1, 0], [0, 1], [1, 1], [0, 0]])
        >>> transcripts = Embeddings(("T1", "T2", "T3", "T4"), vectors, family_id=("F1", "F1", "F2", "F3"))
        >>> projection = fit_projection(transcripts, np.full(4, True), steps=2)
        >>> projection(torch.from_numpy(vectors)).shape
        torch.Size([4, 256])
    """
    index_N = np.flatnonzero(chosen_N)
    family_N, gene_N = (number_N[index_N] for number_N in _numbers(embeddings))
    relatives = Relatives(family_N, gene_N)
    if not len(relatives):
        raise InputError(
            "no two transcripts of the training families are related: a projection is fitted on isoforms, orthologs and"
            " paralogs; prepare the store with orthologs or homologs, and embed it whole"
        )
    vector_NR = embeddings.matrix[index_N]
    mean_R, whitening_RR = within_family_whitening(vector_NR, family_N)
    white_NR = torch.from_numpy((vector_NR - mean_R) @ whitening_RR)
    group_N, generator, loss_fn = torch.from_numpy(family_N), seeded([seed]), InfoNCELoss(_TEMPERATURE)
    with torch.random.fork_rng(devices=()), progress_bar("steps") as progress:
        torch.manual_seed(seed)
        projection = Projection(embeddings.readout, vector_NR.shape[1])
        weight = projection.linear.weight
        optimizer = torch.optim.AdamW([weight], _LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
        task = progress.add_task("projection", total=steps)
        for _ in range(steps):
            one_P, other_P = relatives.draw(_PAIRS, generator)
            apart_K = generator.integers(len(white_NR), size=min(_OTHERS, len(white_NR)))
            one_PD, other_PD, apart_KD = (
                dropout(white_NR[rows], _LEFT_OUT) @ weight.T for rows in (one_P, other_P, apart_K)
            )
            others = PastPairs(
                normalize(apart_KD, dim=1).expand(2, -1, -1), torch.zeros(len(apart_K)), group_N[apart_K]
            )
            loss = loss_fn(one_PD, other_PD, None, group_N[one_P], others)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            progress.advance(task)
    with torch.no_grad():
        weight.copy_(weight @ torch.from_numpy(whitening_RR).T)
        projection.mean.copy_(torch.from_numpy(mean_R))
    return projection.requires_grad_(False)


def within_family_whitening(
    vector_NR: NDArray[np.float32], family_N: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The mean (R,) of ``vector_NR``, and a matrix (R, R) after which relatives differ by as much in every direction.

        A = D^-1 (S + s I)^-1/2,  D the standard deviations, S the mean covariance within families of v D^-1, s a tenth
        of its mean variance

    scaled so that all numbers of (v - mean) A together have variance 1. A number that does not vary is left out.
    Relatives have the same number in ``family_N``.
    """
    mean_R, sd_R = vector_NR.mean(axis=0, dtype=np.float64), vector_NR.std(axis=0, dtype=np.float64)
    inverse_R = np.divide(1, sd_R, out=np.zeros_like(sd_R), where=sd_R > 0)
    scaled_NR = (vector_NR - mean_R.astype(np.float32)) * inverse_R.astype(np.float32)
    _, member_N, size_F = np.unique(family_N, return_inverse=True, return_counts=True)
    sum_FR = np.zeros((len(size_F), scaled_NR.shape[1]))
    np.add.at(sum_FR, member_N, scaled_NR)
    weight_F = np.divide(1, size_F - 1, out=np.zeros(len(size_F)), where=size_F > 1)
    apart_NR = scaled_NR - (sum_FR / size_F[:, None]).astype(np.float32)[member_N]
    apart_NR *= np.sqrt(weight_F).astype(np.float32)[member_N, None]
    covariance_RR = (apart_NR.T @ apart_NR).astype(np.float64) / np.count_nonzero(weight_F)
    variance_R, axes_RR = np.linalg.eigh(covariance_RR)
    root_R = np.sqrt(np.maximum(variance_R, 0) + _SHRINKAGE * variance_R.mean())
    whitening_RR = (inverse_R[:, None] * (axes_RR / root_R) @ axes_RR.T).astype(np.float32)
    whitening_RR /= np.square((vector_NR - mean_R.astype(np.float32)) @ whitening_RR).mean() ** 0.5
    return mean_R.astype(np.float32), whitening_RR


def project(
    embeddings: Embeddings,
    output: str | Path,
    model: str | Path | None = None,
    store: TranscriptStore | None = None,
    seed: int = 0,
) -> dict[str, dict[str, dict[str, float]]]:
    """Fit a projection on embeddings, and write their encoder with it as a folder, as ``orthrus export`` does.

    Families that the encoder's training left out are not used to fit it; if the encoder does not state which, a tenth
    of all. The default readout of the folder is the one of ``embeddings`` with the projection beside it.

    Args:
        embeddings: vectors of transcripts.
        output: folder to write, whole or not at all.
        model: the encoder that made the embeddings, by default the one that they name.
        store: gives the genes and families of the transcripts, in place of those in the embeddings; those that it lacks
            are left out.
        seed: seed of weights and pairs.

    Returns:
        The retrieval of relatives (:func:`orthrus.embedding.neighbours.retrieval`) of held-out transcripts among all,
        by the vectors as they were (``before``) and by the projection (``after``).

    Raises:
        InputError: as :func:`fit_projection`; if the encoder is not found; if its vectors are projected already.
    """
    with reserve_folder(Path(output), CONFIG_FILE):
        if embeddings.holds_projection:
            plain = embeddings.readout.removesuffix(PROJECTION).rstrip("+") or LAST_MEAN
            raise InputError(f"these vectors hold a projection already; embed with --readout {plain}")
        made_by = same_model(model, embeddings)
        encoder = load_encoder(made_by)
        if store is not None:
            embeddings = _with_families_of(store, embeddings)
        if embeddings.family_id is None:
            raise InputError("the embeddings do not name families; give the --store that does")
        held_out = encoder.held_out or _HELD_OUT
        validation, test = held_out["val_fraction"], held_out["test_fraction"]
        chosen_N = split_of([name or "" for name in embeddings.family_id], validation, test) == "train"
        whose = (
            "that the encoder's training left out" if encoder.held_out else "drawn here: the model does not state any"
        )
        messages().print(
            f"left out to measure it: {np.count_nonzero(~chosen_N):,} of {len(chosen_N):,} transcripts, in"
            f" {validation + test:.0%} of families, {whose}"
        )
        encoder.projection = fit_projection(embeddings, chosen_N, seed=seed)
        with torch.inference_mode():
            projected_NP = encoder.projection(torch.from_numpy(embeddings.matrix.copy())).numpy()
        readout = f"{embeddings.readout}+{PROJECTION}"
        save_encoder(encoder, output, made_by.name, readout, load_mlm_head(made_by))
    queried = np.flatnonzero(~chosen_N)
    found = {}
    for when, matrix in (("before", embeddings.matrix), ("after", projected_NP)):
        candidates = replace(embeddings, matrix=matrix)
        queries = candidates.with_rows(queried)
        found[when] = retrieval(queries, candidates, nearest(queries, candidates)) if len(queries) else {}
    return found


def _with_families_of(store: TranscriptStore, embeddings: Embeddings) -> Embeddings:
    """The transcripts that ``store`` has, with its genes and families."""
    described = of_store(store, np.empty((len(store), 0), dtype=np.float32))
    row_N = described.rows_of(embeddings.transcript_ids)
    if (row_N < 0).all():
        raise InputError(f"{store.path} has none of the embedded transcripts; give the store that they are from")
    kept, known = embeddings.with_rows(np.flatnonzero(row_N >= 0)), described.with_rows(row_N[row_N >= 0])
    return replace(kept, species=known.species, gene_id=known.gene_id, family_id=known.family_id)


def _numbers(embeddings: Embeddings) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the families and genes of N transcripts; one whose gene or family is not known has its own."""
    n = len(embeddings)
    species, genes, families = (
        getattr(embeddings, name) or (None,) * n for name in ("species", "gene_id", "family_id")
    )
    family = [("", name) if name else ("alone", i) for i, name in enumerate(families)]
    gene = [(where, name) if name else ("alone", i) for i, (where, name) in enumerate(zip(species, genes, strict=True))]
    return _numbered(family), _numbered(gene)


def _numbered(keys: Sequence[Hashable]) -> NDArray[np.int64]:
    number = {key: n for n, key in enumerate(dict.fromkeys(keys))}
    return np.array([number[key] for key in keys], dtype=np.int64)
