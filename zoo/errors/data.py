"""Errors about an input file: its form, its values, its genes and cells."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.errors.base import DataError


def _some(names: Sequence[str], limit: int = 3) -> str:
    """Quote the first few names of a list that may be long."""
    shown = ", ".join(repr(str(name)) for name in names[:limit])
    return f"{shown}, …" if len(names) > limit else shown


# -- the file ------------------------------------------------------------------------------------


class FileMissing(DataError):
    """The input file or folder does not exist."""

    example = {"path": "my.h5ad"}

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f"No file or folder at {path!r}.",
            "Check the path; a relative path is taken from the current folder.",
        )


class FileUnreadable(DataError):
    """The input is there, but the system does not let it be read."""

    example = {"path": "my.h5ad", "reason": "Permission denied"}

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(
            f"Cannot read {path!r}: {reason}.",
            "Ask for read access, or copy the file to a place of your own.",
        )


class UnknownFormat(DataError):
    """The input is in none of the formats that CellZoo reads."""

    example = {"path": "my.rds", "detail": "its name ends in '.rds'"}

    def __init__(self, path: str, detail: str) -> None:
        self.path, self.detail = path, detail
        super().__init__(
            f"Cannot tell what {path!r} is: {detail}.",
            "CellZoo reads .h5ad, .zarr, Cell Ranger .h5 and folders with matrix.mtx(.gz); "
            "save others with anndata's write_h5ad first.",
        )


class NotAResult(DataError):
    """The file holds no results of a model."""

    example = {"path": "my.h5ad", "detail": "it has no uns/cellzoo"}

    def __init__(self, path: str, detail: str) -> None:
        self.path, self.detail = path, detail
        super().__init__(
            f"{path!r} is not a result of CellZoo: {detail}.",
            "Make one first: 'zoo run MODEL FILE -o RESULT.h5ad'; then give RESULT.h5ad. (A copy "
            "made with --into holds results among the file's own columns and is not read here.)",
        )


class NotHdf5(DataError):
    """A file that should be HDF5 is not."""

    example = {"path": "my.h5ad"}

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f"{path!r} is not an HDF5 file.",
            "Was it renamed, or is it a web page saved in place of the file? Download or export it "
            "again.",
        )


class TruncatedFile(DataError):
    """An HDF5 file ends before its own end."""

    example = {"path": "my.h5ad", "detail": "truncated file: eof = 4096, stored eof = 8192"}

    def __init__(self, path: str, detail: str) -> None:
        self.path, self.detail = path, detail
        super().__init__(
            f"{path!r} is damaged or incomplete: {detail}.",
            "Copy or download it again and compare its size with the original.",
        )


class NoValues(DataError):
    """The file has no matrix where one was looked for."""

    example = {"path": "my.h5ad", "looked_for": ["raw/X", "X"]}

    def __init__(self, path: str, looked_for: Sequence[str]) -> None:
        self.path, self.looked_for = path, tuple(looked_for)
        super().__init__(
            f"{path!r} holds no matrix of cells by genes (looked for {', '.join(looked_for)}).",
            "Is it a result or a header without values? Give the file that has the counts.",
        )


class MissingKey(DataError):
    """A column, layer or embedding that was asked for is not in the file."""

    example = {
        "path": "my.h5ad",
        "where": "obs",
        "key": "leiden",
        "present": ["louvain", "donor"],
    }

    def __init__(self, path: str, where: str, key: str, present: Sequence[str]) -> None:
        self.path, self.where, self.key, self.present = path, where, key, tuple(present)
        listed = ", ".join(repr(name) for name in present) or "nothing"
        super().__init__(f"{path!r} has no {key!r} in {where}.", f"In {where} there is: {listed}.")


class UnsupportedEncoding(DataError):
    """An element is stored in a form that CellZoo does not read."""

    example = {"path": "my.h5ad", "key": "X", "detail": "a compound type"}

    def __init__(self, path: str, key: str, detail: str) -> None:
        self.path, self.key, self.detail = path, key, detail
        super().__init__(
            f"Cannot read {key!r} of {path!r}: {detail}.",
            "Open it with a current anndata and write it again with write_h5ad.",
        )


class CorruptMatrix(DataError):
    """A sparse matrix contradicts itself."""

    example = {"path": "my.h5ad", "key": "X", "detail": "indptr decreases at row 17"}

    def __init__(self, path: str, key: str, detail: str) -> None:
        self.path, self.key, self.detail = path, key, detail
        super().__init__(
            f"The matrix {key!r} of {path!r} contradicts itself: {detail}.",
            "The file is damaged or was written by a faulty program; make it again.",
        )


class DeclaredSize(DataError):
    """An element declares a size that no honest file needs."""

    example = {"path": "my.h5ad", "key": "obs/_index", "declared": 2**62, "limit": 2**31}

    def __init__(self, path: str, key: str, declared: int, limit: int) -> None:
        self.path, self.key, self.declared, self.limit = path, key, declared, limit
        super().__init__(
            f"{key!r} of {path!r} declares {declared:,} where at most {limit:,} is accepted.",
            "The file is damaged or hostile; get it again from its source.",
        )


class UnsafeLink(DataError):
    """The file reaches outside itself, or round in a circle."""

    example = {"path": "my.h5ad", "key": "X/data", "kind": "an external link", "target": "other.h5"}

    def __init__(self, path: str, key: str, kind: str, target: str) -> None:
        self.path, self.key, self.kind, self.target = path, key, kind, target
        super().__init__(
            f"{key!r} of {path!r} is {kind} to {target!r}; such files are refused.",
            "CellZoo reads only what lies in the file itself: copy the data in, e.g. with "
            "anndata's read_h5ad and write_h5ad.",
        )


# -- cells and genes -----------------------------------------------------------------------------


class NoCells(DataError):
    """The file has no cell."""

    example = {"path": "my.h5ad", "genes": 2000}

    def __init__(self, path: str, genes: int) -> None:
        self.path, self.genes = path, genes
        super().__init__(
            f"{path!r} holds no cells (0 × {genes:,} genes).",
            "Was everything filtered out? Give a file with at least one cell.",
        )


class NoGenes(DataError):
    """The file has no gene."""

    example = {"path": "my.h5ad", "cells": 2700}

    def __init__(self, path: str, cells: int) -> None:
        self.path, self.cells = path, cells
        super().__init__(
            f"{path!r} holds no genes ({cells:,} cells × 0).",
            "Was everything filtered out? Give a file with genes.",
        )


class OnlyEmptyCells(DataError):
    """Every cell of the file is all zero."""

    example = {"path": "my.h5ad", "source": "X", "cells": 300}

    def __init__(self, path: str, source: str, cells: int) -> None:
        self.path, self.source, self.cells = path, source, cells
        super().__init__(
            f"All {cells:,} cells in {source} of {path!r} are zero.",
            "The values may lie elsewhere in the file: 'zoo check FILE' lists the matrices; name "
            "one with --source.",
        )


class DuplicateCells(DataError):
    """Two cells have one name, so results could not be joined back."""

    example = {"path": "my.h5ad", "names": ["AAACATACAACCAC-1"], "count": 1}

    def __init__(self, path: str, names: Sequence[str], count: int) -> None:
        self.path, self.names, self.count = path, tuple(names), count
        super().__init__(
            f"{count:,} cell name(s) of {path!r} occur more than once: {_some(names)}.",
            "Results are joined by cell name. Make the names unique (anndata: "
            "obs_names_make_unique), or pass --allow-duplicate-cells to rely on the order.",
        )


class DuplicateGenes(DataError):
    """A gene id occurs more than once."""

    example = {"path": "my.h5ad", "names": ["MATR3", "TBCE"], "count": 2}

    def __init__(self, path: str, names: Sequence[str], count: int) -> None:
        self.path, self.names, self.count = path, tuple(names), count
        super().__init__(
            f"{count:,} gene id(s) of {path!r} occur more than once: {_some(names)}.",
            "'zoo prepare FILE -o OUT.h5ad' sums duplicates and logs it.",
        )


class VersionedGeneIds(DataError):
    """Ensembl ids carry version suffixes, so they match no vocabulary."""

    example = {"path": "my.h5ad", "names": ["ENSG00000141510.18"], "count": 18211}

    def __init__(self, path: str, names: Sequence[str], count: int) -> None:
        self.path, self.names, self.count = path, tuple(names), count
        super().__init__(
            f"{count:,} gene ids of {path!r} are Ensembl ids with a version suffix "
            f"({_some(names)}).",
            "'zoo prepare FILE -o OUT.h5ad' removes the suffixes and logs it.",
        )


class NoSharedGenes(DataError):
    """The file and the model have no gene in common."""

    example = {
        "path": "my.h5ad",
        "model": "pbmc-celltype",
        "names": ["gene_0", "gene_1"],
        "expected": ["LYZ", "CD3D"],
    }

    def __init__(
        self, path: str, model: str, names: Sequence[str], expected: Sequence[str]
    ) -> None:
        self.path, self.model, self.names, self.expected = path, model, tuple(names), expected
        super().__init__(
            f"No gene of {path!r} ({_some(names)}) is in the vocabulary of {model!r} "
            f"({_some(expected)}).",
            f"'zoo info {model}' says which kinds of gene ids it knows; they must be var_names or "
            "a column of var.",
        )


# -- values --------------------------------------------------------------------------------------


class NotFinite(DataError):
    """The matrix holds NaN or infinity."""

    example = {"path": "my.h5ad", "source": "X", "cell": 12}

    def __init__(self, path: str, source: str, cell: int) -> None:
        self.path, self.source, self.cell = path, source, cell
        super().__init__(
            f"{source} of {path!r} holds NaN or infinity (first in row {cell:,}).",
            "Find what made it (a division by a cell's zero total?) and give the raw counts.",
        )


class NegativeValues(DataError):
    """The matrix holds negative values: scaled or corrected data."""

    example = {"path": "my.h5ad", "source": "X", "cell": 0, "value": -0.73}

    def __init__(self, path: str, source: str, cell: int, value: float) -> None:
        self.path, self.source, self.cell, self.value = path, source, cell, value
        super().__init__(
            f"{source} of {path!r} holds negative values ({value:.4g} in row {cell:,}): scaled or "
            "batch-corrected data.",
            "Models take raw counts: give the file from before that step, or another matrix of it "
            "with --source ('zoo check FILE' says which one is read).",
        )


class UnrecognizedValues(DataError):
    """The values are neither counts nor an invertible log of them."""

    example = {"path": "my.h5ad", "source": "X", "evidence": "12% near-integers at best (base e)"}

    def __init__(self, path: str, source: str, evidence: str) -> None:
        self.path, self.source, self.evidence = path, source, evidence
        super().__init__(
            f"{source} of {path!r} holds neither counts nor log-normalized counts: {evidence}. "
            "TPM, CPM without its log, and corrected values look like this.",
            "Give raw counts. If you know better, say so with --value-kind (for cytometry: "
            "--value-kind intensity); it is marked in the result.",
        )


class WrongValueKind(DataError):
    """The model does not take values of this kind."""

    example = {
        "path": "my.h5ad",
        "source": "X",
        "model": "pbmc-celltype",
        "value_kind": "log_normalized",
        "value_kinds": ["counts"],
        "evidence": "near-integers after inverting base e",
    }

    def __init__(
        self,
        path: str,
        source: str,
        *,
        model: str,
        value_kind: str,
        value_kinds: Sequence[str],
        evidence: str,
    ) -> None:
        self.path, self.source, self.model = path, source, model
        self.value_kind, self.value_kinds, self.evidence = value_kind, tuple(value_kinds), evidence
        super().__init__(
            f"{model!r} takes {' or '.join(value_kinds)}, but {source} of {path!r} holds "
            f"{value_kind} values ({evidence}).",
            "Give the file from before that step, or another matrix of it with --source ('zoo "
            "check FILE' says which one is read).",
        )


class MixedValueKinds(DataError):
    """Later cells are of another value kind than the first ones."""

    example = {"path": "my.h5ad", "source": "X", "cell": 4096, "value_kind": "counts"}

    def __init__(self, path: str, source: str, cell: int, value_kind: str) -> None:
        self.path, self.source, self.cell, self.value_kind = path, source, cell, value_kind
        super().__init__(
            f"{source} of {path!r} begins as {value_kind}, but from row {cell:,} on it is not.",
            "Were files of different normalization joined? Join raw counts instead.",
        )


# -- spots and slides ----------------------------------------------------------------------------


def _where(path: str, slide: str | None) -> str:
    return repr(path) if slide is None else f"slide {slide!r} of {path!r}"


class NoCoordinates(DataError):
    """A spatial model was given a file without coordinates."""

    example = {"path": "my.h5ad", "model": "brain-domains", "present": ["X_pca"]}

    def __init__(self, path: str, model: str, present: Sequence[str]) -> None:
        self.path, self.model, self.present = path, model, tuple(present)
        listed = f"obsm holds {_some(present)}" if present else "obsm is empty"
        super().__init__(
            f"{model!r} needs the place of each spot, and {path!r} has no obsm['spatial'] "
            f"({listed}).",
            "Put the coordinates there: adata.obsm['spatial'] = array of cells × 2, in the cells' "
            "order.",
        )


class NotCoordinates(DataError):
    """`obsm['spatial']` has a form that coordinates do not have."""

    example = {"path": "my.h5ad", "shape": [600, 5]}

    def __init__(self, path: str, shape: Sequence[int]) -> None:
        self.path, self.shape = path, tuple(shape)
        super().__init__(
            f"obsm['spatial'] of {path!r} is {' × '.join(map(str, self.shape))}; coordinates have "
            "2 or 3 columns.",
            "Keep the columns with x and y (and z) in one unit: "
            "adata.obsm['spatial'] = adata.obsm['spatial'][:, :2].",
        )


class CoordinatesNotFinite(DataError):
    """A spot has no place: NaN or infinity among the coordinates."""

    example = {"path": "my.h5ad", "cell": 12}

    def __init__(self, path: str, cell: int) -> None:
        self.path, self.cell = path, cell
        super().__init__(
            f"obsm['spatial'] of {path!r} holds NaN or infinity (first in row {cell:,}).",
            "Give those spots their place, or leave them out: "
            "adata[numpy.isfinite(adata.obsm['spatial']).all(axis=1)].",
        )


class SingleSpot(DataError):
    """A slide has one spot, which has no neighbours."""

    example = {"path": "my.h5ad", "slide": "A1"}

    def __init__(self, path: str, slide: str | None) -> None:
        self.path, self.slide = path, slide
        super().__init__(
            f"There is only one spot in {_where(path, slide)}; a spatial model reads a spot among "
            "its neighbours.",
            "Give the whole slide."
            if slide is None
            else "Is --slide-key the column of the slides, not of the spots? Leave out slides of "
            "one spot.",
        )


class CoincidentSpots(DataError):
    """Spots of a slide lie at the same places, so none is nearer than another."""

    example = {"path": "my.h5ad", "slide": "A1", "spots": 600, "places": 1}

    def __init__(self, path: str, slide: str | None, spots: int, places: int) -> None:
        self.path, self.slide, self.spots, self.places = path, slide, spots, places
        at = "one place" if places == 1 else f"only {places:,} places"
        super().__init__(
            f"The {spots:,} spots of {_where(path, slide)} lie at {at}.",
            "Are several slides lying over each other? Name their column with --slide-key. Else "
            "look at obsm['spatial']: coordinates may have been rounded or never filled in.",
        )


class SpotsWithoutSlide(DataError):
    """The slide column is empty for some spots."""

    example = {"path": "my.h5ad", "key": "batch", "count": 3}

    def __init__(self, path: str, key: str, count: int) -> None:
        self.path, self.key, self.count = path, key, count
        super().__init__(
            f"obs[{key!r}] of {path!r} is empty for {count:,} spot(s), so their slide is not "
            "known.",
            "Fill the column in, or leave those spots out.",
        )


# -- results -------------------------------------------------------------------------------------


class NoEmbedding(DataError):
    """A result without an embedding, which is what domains are found in."""

    example = {"path": "my.pbmc-celltype.h5ad", "model": "pbmc-celltype"}

    def __init__(self, path: str, model: str) -> None:
        self.path, self.model = path, model
        super().__init__(
            f"{path!r} has no obsm['X_embedding']: {model!r} gives none.",
            "'zoo info MODEL' lists a model's outputs; run one with 'embedding' among them.",
        )


class NoSlides(DataError):
    """A result lacks the column that should say which slide a cell lies on."""

    example = {"path": "my.brain.h5ad", "key": "batch", "present": ["label", "verdict"]}

    def __init__(self, path: str, key: str, present: Sequence[str]) -> None:
        self.path, self.key, self.present = path, key, tuple(present)
        listed = ", ".join(repr(name) for name in present) or "nothing"
        super().__init__(
            f"{path!r} has no column {key!r} in obs (it holds {listed}).",
            "A run of a spatial model writes its slides as 'slide': 'zoo run MODEL FILE "
            "--slide-key COLUMN', then 'zoo domains RESULT.h5ad --k N --slide-key slide'.",
        )
