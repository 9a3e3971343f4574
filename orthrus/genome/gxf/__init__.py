"""GTF and GFF3 annotation of Ensembl, GENCODE, NCBI RefSeq and others, as transcript models.

===================  ================================================================================================
``lines``            blocks of lines; the format; the end of the annotation; truncated files; the first bad line
``attributes``       the ninth column
``rows``             the rows that make transcripts, in columns; the phase of column 8 is read here
``ownership``        which rows make which transcript
``structure``        exons, CDS and, through :mod:`orthrus.genome.reading_frame`, where codons begin
``transcripts``      names, genes and biotypes: the transcript models
``gene_numbers``     NCBI's GeneIDs of genes that go by other ids
===================  ================================================================================================
"""

from orthrus.genome.gxf.attributes import GFF3, GTF
from orthrus.genome.gxf.gene_numbers import gene_numbers
from orthrus.genome.gxf.transcripts import read_gxf

__all__ = ["GFF3", "GTF", "gene_numbers", "read_gxf"]
