"""Names of species in tables of genes: NCBI's taxonomy number, the scientific name, and Ensembl's common names."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa

from orthrus.genome.files import open_bytes

_HEAD = 1 << 20
_TAXON = re.compile(rb"^##species .*?[?&]id=(\d+)|[;\t ]Dbxref=(?:[^;\n]*,)?taxon:(\d+)", re.MULTILINE)

_KNOWN = """
9606 Homo sapiens: human
9598 Pan troglodytes: chimpanzee, chimp
9597 Pan paniscus: bonobo
9593 Gorilla gorilla: gorilla
9595 Gorilla gorilla gorilla: gorilla
9601 Pongo abelii: sumatran orangutan, orangutan
9544 Macaca mulatta: macaque, rhesus, rhesus macaque, rhesus monkey
9541 Macaca fascicularis: crab-eating macaque, cynomolgus monkey
9483 Callithrix jacchus: marmoset, white-tufted-ear marmoset
10090 Mus musculus: mouse
10116 Rattus norvegicus: rat
10141 Cavia porcellus: guinea pig
10036 Mesocricetus auratus: golden hamster
9986 Oryctolagus cuniculus: rabbit
9615 Canis lupus familiaris: dog
9685 Felis catus: cat
9796 Equus caballus: horse
9823 Sus scrofa: pig
9913 Bos taurus: cow, cattle
9940 Ovis aries: sheep
9925 Capra hircus: goat
9785 Loxodonta africana: elephant
13616 Monodelphis domestica: opossum
9258 Ornithorhynchus anatinus: platypus
9031 Gallus gallus: chicken
59729 Taeniopygia guttata: zebra finch
28377 Anolis carolinensis: green anole, anole lizard
8364 Xenopus tropicalis: tropical clawed frog, frog
8355 Xenopus laevis: african clawed frog
7955 Danio rerio: zebrafish
8090 Oryzias latipes: medaka, japanese medaka hdrr
31033 Takifugu rubripes: fugu
69293 Gasterosteus aculeatus: stickleback, three-spined stickleback
7227 Drosophila melanogaster: fruit fly, fruitfly, drosophila melanogaster (fruit fly)
6239 Caenorhabditis elegans: c. elegans, nematode, worm
559292 Saccharomyces cerevisiae S288C: saccharomyces cerevisiae, yeast, budding yeast
4932 Saccharomyces cerevisiae: saccharomyces cerevisiae, yeast, budding yeast
4896 Schizosaccharomyces pombe: fission yeast
284812 Schizosaccharomyces pombe 972h-: schizosaccharomyces pombe, fission yeast
3702 Arabidopsis thaliana: thale cress
39947 Oryza sativa Japonica Group: oryza sativa, rice
4577 Zea mays: maize, corn
"""


class SpeciesNames:
    """The names of the spec's species in tables: their own names, in any case, and their aliases.

    If a name or alias is that of a well-known species, all names of that species count, and so does the taxonomy number
    that the annotation states (``taxa``, by species). The spec has precedence.
    """

    def __init__(
        self, species: Iterable[str], aliases: Mapping[str, Iterable[str]], taxa: Mapping[str, str] | None = None
    ) -> None:
        self._species = {_folded(name): name for name in species}
        for name, others in aliases.items():
            self._species |= {_folded(other): name for other in (*others, name)}
        for name, taxon in (taxa or {}).items():
            self._species.setdefault(taxon, name)
        for names in _well_known():
            ours = next((self._species[name] for name in names if name in self._species), None)
            if ours is not None:
                self._species = dict.fromkeys(names, ours) | self._species

    def translate(self, names: pa.ChunkedArray) -> pa.ChunkedArray:
        """The spec's names for ``names``, null for species that it does not have."""
        encoded = names.combine_chunks().dictionary_encode()
        known = [self._species.get(_folded(name)) for name in encoded.dictionary.to_pylist()]
        return pa.chunked_array([pa.array(known, pa.string()).take(encoded.indices)])


def _folded(name: str) -> str:
    return name.strip().casefold().replace("_", " ")


def _well_known() -> Iterable[list[str]]:
    """The names of each well-known species: taxonomy number, scientific, BioMart's (``mmusculus``), and common."""
    for line in _KNOWN.strip().splitlines():
        first, _, common = line.partition(": ")
        taxon, _, scientific = first.casefold().partition(" ")
        *others, epithet = scientific.split()
        short = {others[0][0] + epithet, "".join(word[0] for word in others) + epithet}
        yield [taxon, scientific, *sorted(short), *common.split(", ")]


def stated_taxon(annotation: Path) -> str | None:
    """The taxonomy number in the head of an annotation: NCBI's ``##species`` line or the ``Dbxref`` of a region."""
    with open_bytes(annotation) as stream:
        match = _TAXON.search(stream.read(_HEAD))
    return (match[1] or match[2]).decode() if match else None
