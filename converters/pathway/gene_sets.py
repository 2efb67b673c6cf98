"""Gene sets: the table beside the recipe, and what is left of it in a vocabulary."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from converters.pathway.recipe import PathwaySettings
from converters.training_cells import Float32, Int64, TrainingCells
from converters.vocabulary import detected_genes, variable_genes
from zoo.card import DataSource
from zoo.digest import sha256_of_file
from zoo.errors import TooFewPathways
from zoo.pathways import Pathway, PathwayTable

OWN = Path(__file__).with_name("gene_sets.tsv")
FEWEST = 2

_CYTOPUS = DataSource(
    name="Cytopus gene sets",
    role="reference",
    accession="PyPI cytopus 1.3.4",
    source="Knowledge base Cytopus_1.31nc.txt: sets that it marks as MIT (Cytopus), or CC BY "
    "4.0 (Gene Ontology 2019-01-01, MSigDB Hallmark); those of the size of a KEGG pathway left out",
    sha256="0" * 64,
    license="MIT (Cytopus); CC-BY-4.0 (Gene Ontology, MSigDB Hallmark)",
    attribution="Thomas Walle, Cytopus; The Gene Ontology Consortium; Liberzon et al. 2015, MSigDB "
    "Hallmark",
    cells=0,
    donors=None,
)


@dataclass(frozen=True)
class GeneSets:
    """Pathways with the columns of their genes.

    Attributes
    ----------
    columns
        int64 [genes of the pathway] each.

    """

    pathways: tuple[Pathway, ...]
    columns: tuple[Int64, ...]

    def __len__(self) -> int:
        return len(self.pathways)

    @property
    def genes(self) -> Int64:
        """Ascending columns of all genes that belong to a pathway."""
        return np.unique(np.concatenate(self.columns))

    @classmethod
    def within(cls, pathways: tuple[Pathway, ...], symbols: list[str], fewest: int) -> GeneSets:
        """The pathways with at least so many genes among some symbols, and these genes alone."""
        place = {symbol: i for i, symbol in enumerate(symbols)}
        kept: list[Pathway] = []
        columns: list[Int64] = []
        for pathway in pathways:
            known = [gene for gene in pathway.genes if gene in place]
            if len(known) >= fewest:
                kept.append(replace(pathway, genes=tuple(known)))
                columns.append(np.array([place[gene] for gene in known], dtype=np.int64))
        return cls(tuple(kept), tuple(columns))

    def shuffled(self, genes: int) -> GeneSets:
        """The same sizes with genes dealt out at random, under the same names."""
        dealt = np.random.default_rng(0).permutation(genes)
        return replace(self, columns=tuple(dealt[columns] for columns in self.columns))


def table_of(settings: PathwaySettings) -> tuple[Pathway, ...]:
    """All gene sets that a setting names."""
    path = Path(settings.gene_sets) if settings.gene_sets else OWN
    return PathwayTable.parse(path.read_bytes(), model=str(path)).pathways


def source_of(settings: PathwaySettings) -> DataSource:
    """The gene sets as the card names them, with their terms."""
    if not settings.gene_sets:
        return _CYTOPUS.model_copy(update={"sha256": sha256_of_file(OWN)})
    path = Path(settings.gene_sets)
    pathways = table_of(settings)
    terms = "; ".join(sorted({pathway.license for pathway in pathways}))
    told = "; ".join(sorted({pathway.source for pathway in pathways}))
    return DataSource(
        name=path.name,
        role="reference",
        accession="not stated",
        source=told,
        sha256=sha256_of_file(path),
        license=terms,
        attribution=told,
        cells=0,
        donors=None,
    )


def chosen_genes(cells: TrainingCells, settings: PathwaySettings) -> Int64:
    """Ascending columns of `cells`: the genes of the pathways that are large enough.

    Raises
    ------
    TooFewPathways

    """
    seen = np.flatnonzero(detected_genes(cells.counts, settings.min_cells))
    pathways, known = table_of(settings), cells.with_genes(seen)
    symbols = known.symbols.tolist()
    sets = GeneSets.within(_cut(pathways, known, settings.most_genes), symbols, settings.min_genes)
    if len(sets) < FEWEST:
        raise TooFewPathways(cells.path, len(pathways), len(sets), settings.min_genes)
    return seen[sets.genes]


def sets_of(cells: TrainingCells, settings: PathwaySettings) -> GeneSets:
    """The gene sets among the genes of a vocabulary."""
    pathways = _cut(table_of(settings), cells.of("train"), settings.most_genes)
    sets = GeneSets.within(pathways, cells.symbols.tolist(), settings.min_genes)
    return sets.shuffled(len(cells.symbols)) if settings.shuffled else sets


def _cut(pathways: tuple[Pathway, ...], training: TrainingCells, most: int) -> tuple[Pathway, ...]:
    """Of each pathway the genes that the cells have, at most so many, most variable first."""
    everything = np.ones(len(training.symbols), dtype=bool)
    order = variable_genes(training.counts, genes=len(everything), candidates=everything)
    rank = {str(training.symbols[column]): i for i, column in enumerate(order.tolist())}
    return tuple(
        replace(
            pathway,
            genes=tuple(sorted(set(pathway.genes) & rank.keys(), key=rank.__getitem__))[:most],
        )
        for pathway in pathways
    )


def padded(sets: GeneSets) -> tuple[Int64, Float32]:
    """Gene columns [pathways, most genes], 0 where there is none, and 1 where there is one."""
    most = max(map(len, sets.columns))
    index = np.zeros((len(sets), most), dtype=np.int64)
    real = np.zeros((len(sets), most), dtype=np.float32)
    for row, columns in enumerate(sets.columns):
        index[row, : len(columns)] = columns
        real[row, : len(columns)] = 1
    return index, real
