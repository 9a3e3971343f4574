"""GTF and GFF3 annotation, of Ensembl, GENCODE, NCBI RefSeq and their kin, as transcript models.

===================  ================================================================================================
``lines``            blocks of lines; which of the two formats it is; where it ends or breaks off; the first bad line
``attributes``       the ninth column
``rows``             rows in columns, only those that make transcripts; the phase of column 8 is read here
``ownership``        which rows make which transcript
``structure``        what they make: exons, CDS and, through :mod:`orthrus.genome.reading_frame`, where codons begin
``transcripts``      names, genes and biotypes: the transcript models
``gene_numbers``     NCBI's GeneIDs of genes that go by other ids
===================  ================================================================================================
"""

from orthrus.genome.gxf.attributes import GFF3, GTF
from orthrus.genome.gxf.gene_numbers import gene_numbers
from orthrus.genome.gxf.transcripts import read_gxf

__all__ = ["GFF3", "GTF", "gene_numbers", "read_gxf"]
