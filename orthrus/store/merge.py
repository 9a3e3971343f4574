"""Joins shards, stores of some species each, into one store.

The merged store equals a single build of the transcripts of all shards, in their order: ids, orthologs and families are
computed again, from the pairs and groups that each shard kept, also those with genes that the shard lacks. Codes are
copied once, by the kernel; memory is that of :class:`~orthrus.store.builder.StoreBuilder`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.progress import track

from orthrus.errors import InputError
from orthrus.genome.findings import Findings
from orthrus.messages import messages
from orthrus.store.builder import StoreBuilder
from orthrus.store.reader import TranscriptStore


def merge_stores(paths: Sequence[Path], output: Path, overwrite: bool = False) -> TranscriptStore:
    """Join the stores at ``paths`` into one at ``output``, with progress.

    Raises InputError if one of ``paths`` is not a store of this format version or is given twice, if the stores differ
    in ``cds_frame``, if ``output`` exists and ``overwrite`` is false, or if it cannot be written; ``output`` is then
    unchanged.
    """
    resolved = [path.resolve() for path in paths]
    for path in resolved:
        if resolved.count(path) > 1 or path == output.resolve():
            what = "is also the output" if path == output.resolve() else "is given twice"
            raise InputError(f"{path} {what}; name each shard once, and another folder for the merged store.")
    shards = [TranscriptStore.open(path) for path in paths]
    for shard in shards:
        if shard.cds_frame != shards[0].cds_frame:
            raise InputError(
                f"{shard.path} has cds_frame {shard.cds_frame}, {shards[0].path} {shards[0].cds_frame}; prepare both"
                " with the same."
            )
    try:
        with StoreBuilder(output, overwrite=overwrite) as builder:
            console = messages()
            for shard in track(shards, "merging", console=console):
                builder.extend_from(shard)
            with console.status("families, tables, checksums"):
                builder.finish(
                    _together(shards, "orthologs", "unmatched_orthologs"),
                    _together(shards, "homologs"),
                    findings=_findings(shards),
                    meta=_provenance(shards),
                    join_similar=any("similar_sequences" in shard.meta for shard in shards),
                )
    except OSError as error:
        raise InputError(f"the store {output} cannot be written ({error}); nothing is left of it.") from None
    return TranscriptStore.open(output)


def _together(shards: list[TranscriptStore], *names: str) -> pa.Table:
    return pa.concat_tables(shard.table(name) for shard in shards for name in names)


def _findings(shards: list[TranscriptStore]) -> dict[str, Findings]:
    """The findings of all shards' sources; equal lines of two shards are from the same table and count once."""
    found: dict[str, Findings] = {}
    counted: set[tuple[Any, ...]] = set()
    for shard in shards:
        for source, findings in shard.findings().items():
            mine = found.setdefault(source, Findings())
            for name in ("dropped", "noted") if source else ():  # findings on the store as a whole are computed again
                tally = getattr(findings, name)
                for reason, count in tally.counts.items():
                    line = (source, name, reason, count, *tally.examples[reason])
                    if line not in counted:
                        getattr(mine, name).add_counted(reason, count, tally.examples[reason])
                    counted.add(line)
    found.pop("", None)
    return found


def _provenance(shards: list[TranscriptStore]) -> dict[str, Any]:
    """The sources of the shards, each once, and the provenance of each shard."""
    sources: list[dict[str, Any]] = []
    for shard in shards:
        sources += [source for source in shard.meta.get("sources", ()) if source not in sources]
    made: list[dict[str, Any]] = []
    for shard in shards:
        kept = ("created_by", "species", "counts", "filters", "clustering", "sources")
        one = {"path": str(shard.path), **{name: shard.meta[name] for name in kept if name in shard.meta}}
        made += shard.meta.get("shards", [one])
    return {
        "created_by": shards[0].meta.get("created_by", "unknown"),
        "cds_frame": shards[0].cds_frame,
        "sources": sources,
        "shards": made,
    }
