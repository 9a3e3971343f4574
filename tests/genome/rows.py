"""Rows of GTF and GFF3, written one by one."""


def gtf(
    kind: str,
    start: int,
    end: int,
    transcript: str = "T",
    strand: str = "+",
    contig: str = "1",
    phase: int | str = ".",
    **more: str,
) -> str:
    """A row of gene G, unless ``more`` says otherwise; attributes that are empty are left out."""
    attributes = {"gene_id": "G", "transcript_id": transcript} | more
    text = " ".join(f'{key} "{value}";' for key, value in attributes.items() if value)
    return "\t".join([contig, "src", kind, str(start), str(end), ".", strand, str(phase), text])


def gff(
    kind: str, start: int, end: int, attributes: str, strand: str = "+", contig: str = "1", phase: int | str = "."
) -> str:
    """A row with these attributes."""
    return "\t".join([contig, "src", kind, str(start), str(end), ".", strand, str(phase), attributes])
