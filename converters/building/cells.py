"""Reading a training file by `zoo.data.Loader`, with everything that recipes may need of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from converters.building.order import Order
from converters.recipe import Need, Recipe
from converters.training_cells import Flags, Int64, Strings, TrainingCells
from converters.vocabulary import unversioned
from zoo.categories import Categories
from zoo.data import Loader
from zoo.digest import sha256_of_file
from zoo.errors import (
    MissingColumn,
    MissingKey,
    MissingPerturbation,
    NoCoordinates,
    OneLabel,
    OtherDataFile,
    TooFewCells,
)
from zoo.examination import examine
from zoo.reading import Dataset, open_dataset
from zoo.slides import COORDINATES, Slides
from zoo.training_data import SPLIT

_AT_ONCE = 256
_ENSEMBL = re.compile(r"ENS[A-Z]*G\d{11}(\.\d+)?")
_ID_COLUMNS = ("gene_ids", "gene_id", "ensembl_id", "feature_id")
_SYMBOL_COLUMNS = ("feature_name", "gene_symbols", "gene_symbol", "symbol", "gene_name")
_FACTS = ("source", "license", "accession", "organism", "species", "tissue", "assay")
_TERM_COLUMNS = ("cell_type_ontology_term_id", "cell_ontology_id")


def read_cells(order: Order) -> TrainingCells:
    """The usable cells of the training file; all of them in the part `train` for now.

    Raises
    ------
    MissingColumn, MissingPerturbation, UnknownPerturbation
        If the recipe needs a column that nobody named, or a condition that no cell has.
    MissingKey, NotCounts, DuplicateGenes, NoCoordinates, TooFewCells, OneLabel
        If the file lacks something, besides what opening it raises.
    OtherDataFile
        If the plan names another file's sha256.

    """
    path, plan = order.request.data, order.plan.data
    _ensure_digest(Path(path), plan.sha256)
    kind: Any = "intensity" if "intensity" in order.recipe.value_kinds else "counts"
    with open_dataset(path) as dataset:
        _ensure_columns(order.recipe, dataset, order)
        loader = Loader(
            dataset, label=plan.label, batch=plan.batch, split=None, shuffle=False,
            batch_size=_AT_ONCE, value_kind=kind,
        )  # fmt: skip
        rows: list[sparse.csr_matrix] = []
        label: list[Int64] = []
        batch: list[Int64] = []
        for part in loader:
            rows.append(sparse.csr_matrix(part.counts))
            if part.label is not None:
                label.append(part.label)
            if part.batch is not None:
                batch.append(part.batch)
        counts = sparse.csr_matrix(sparse.vstack(rows), dtype=np.float32)
        symbols, gene_ids = _names(dataset, loader.genes)
        given = None
        if SPLIT in dataset.obs_columns and plan.split is None and not plan.leave_one_out:
            given = dataset.obs(SPLIT).astype(np.str_)
        cells = TrainingCells(
            path=path,
            counts=counts,
            symbols=symbols,
            gene_ids=gene_ids,
            names=dataset.cell_names(0, dataset.cells),
            part=np.full(dataset.cells, "train", dtype="<U10") if given is None else given,
            total_counts=np.asarray(counts.sum(axis=1), dtype=np.float32).ravel(),
            labels=loader.labels,
            label=np.concatenate(label) if label else None,
            batches=loader.batches,
            batch=np.concatenate(batch) if batch else None,
            slides=_slides(dataset, order),
            stimulated=_stimulated(dataset, order),
            facts=_facts(dataset, plan.label),
        )
    cells = _sampled(_with_labels(cells, order), plan.maximum_cells)
    if "label" in order.recipe.needs and len(cells.labels) < 2:
        raise OneLabel(path, str(plan.label), "".join(cells.labels), len(cells))
    if len(cells) < order.recipe.minimum_cells:
        raise TooFewCells(path, "whole", len(cells), order.recipe.minimum_cells)
    return cells


def column_of_groups(order: Order, path: str) -> Strings | None:
    """str [cells of the file]: the groups that are held out whole; None where nobody named any."""
    column = order.plan.data.split or order.plan.data.batch
    if column is None:
        return None
    with open_dataset(path) as dataset:
        return dataset.obs(column).astype(np.str_)


def _ensure_digest(path: Path, wanted: str | None) -> None:
    if wanted is not None and path.is_file() and (found := sha256_of_file(path)) != wanted:
        raise OtherDataFile(str(path), wanted, found)


def _ensure_columns(recipe: Recipe, dataset: Dataset, order: Order) -> None:
    """Make sure that every column is named and there, and coordinates where they are needed."""
    plan = order.plan.data
    needs: tuple[Need, ...] = ("label", "batch", "slide_key")
    for need in needs:
        column = getattr(plan, need)
        if column is None and need in recipe.needs:
            raise MissingColumn(recipe.name, need, dataset.obs_columns)
    for column in (plan.label, plan.batch, plan.split, plan.slide_key):
        if column is not None and column not in dataset.obs_columns:
            raise MissingKey(dataset.path, "obs", column, dataset.obs_columns)
    if recipe.graph_recipe is not None and COORDINATES not in dataset.obsm_keys:
        raise NoCoordinates(dataset.path, order.name, dataset.obsm_keys)


def _stimulated(dataset: Dataset, order: Order) -> Int64 | None:
    """int64 [cells]: 0 for control cells, 1 for stimulated ones; None without a perturbation."""
    perturbation = order.plan.data.perturbation
    if perturbation is None:
        if "perturbation" in order.recipe.needs:
            raise MissingPerturbation(order.recipe.name, dataset.obs_columns)
        return None
    if perturbation.column not in dataset.obs_columns:
        raise MissingKey(dataset.path, "obs", perturbation.column, dataset.obs_columns)
    column = perturbation.column
    conditions = Categories.of(dataset.obs(column), path=dataset.path, column=column)
    return perturbation.codes(conditions)


def _slides(dataset: Dataset, order: Order) -> Slides | None:
    if COORDINATES not in dataset.obsm_keys:
        return None
    key = order.plan.data.slide_key
    column = None if key is None else dataset.obs(key)
    slides = Slides.of(dataset.path, dataset.obsm(COORDINATES), key, column)
    if order.recipe.graph_recipe is not None:
        slides.ensure_spread(order.recipe.graph_recipe)
    return slides


def _names(dataset: Dataset, index: Strings) -> tuple[Strings, Strings | None]:
    """Symbols and unversioned Ensembl ids, whichever of them the index holds."""
    columns = dataset.genes(examine(dataset, unique_cells=False).source).columns
    ensembl = np.mean([_ENSEMBL.fullmatch(name) is not None for name in index.tolist()])
    if ensembl > 0.6:
        ids = np.array([unversioned(name) for name in index.tolist()])
        found = next((columns[c] for c in _SYMBOL_COLUMNS if c in columns), None)
        unique = found is not None and len(np.unique(found)) == len(found)
        return (found if found is not None and unique else ids), ids
    found = next((columns[c] for c in _ID_COLUMNS if c in columns), None)
    if found is None:
        return index, None
    return index, np.array([unversioned(name) for name in found.tolist()])


def _facts(dataset: Dataset, label: str | None) -> dict[str, Any]:
    """What the file says of itself, and the ontology term of each label where it has them."""
    facts: dict[str, Any] = {
        key: value
        for key in _FACTS
        if isinstance(value := dataset.uns.get(key), str) and value.strip()
    }
    terms = next((c for c in _TERM_COLUMNS if c in dataset.obs_columns), None)
    if label is not None and terms is not None:
        names, ids = dataset.obs(label).astype(np.str_), dataset.obs(terms).astype(np.str_)
        facts["label_ids"] = {
            str(name): str(np.unique(ids[names == name])[0])
            for name in np.unique(names)
            if len(np.unique(ids[names == name])) == 1
        }
    return facts


def _with_labels(cells: TrainingCells, order: Order) -> TrainingCells:
    """The cells with the model's labels; those without one are left out where labels are needed."""
    plan = order.plan.data
    if cells.label is None:
        return cells
    mapped = _mapped(cells.labels, plan.mapping, plan.leave_out)
    names = tuple(sorted({name for name in mapped if name is not None}, key=_in_order(order)))
    to_new = np.array([names.index(name) if name is not None else -1 for name in mapped] + [-1])
    label = to_new[cells.label].astype(np.int64)
    facts = dict(cells.facts)
    if "label_ids" in facts:
        facts["label_ids"] = {
            new: facts["label_ids"].get(old, "")
            for old, new in zip(cells.labels, mapped, strict=True)
            if new is not None
        }
    from dataclasses import replace

    cells = replace(cells, labels=names, label=label, facts=facts)
    keep: Flags = label >= 0
    return cells.where(keep) if "label" in order.recipe.needs and not spatial(order) else cells


def spatial(order: Order) -> bool:
    """Whether cells are read among their neighbours, so that none may be left out of a slide."""
    return order.recipe.graph_recipe is not None


def _sampled(cells: TrainingCells, maximum: int | None) -> TrainingCells:
    """At most so many cells, drawn with seed 0 whatever the seed of the fit."""
    if maximum is None or len(cells) <= maximum:
        return cells
    keep: Flags = np.zeros(len(cells), dtype=bool)
    keep[np.random.default_rng(0).choice(len(cells), maximum, replace=False)] = True
    return cells.where(keep)


def _mapped(
    labels: tuple[str, ...], mapping: dict[str, str], leave_out: list[str]
) -> list[str | None]:
    """The model's label for each published one; None for cells that do not count."""
    known = mapping if mapping else {label: label for label in labels}
    return [known.get(label) if label not in leave_out else None for label in labels]


def _in_order(order: Order) -> Any:
    """Labels in the plan's order, then by name."""
    planned = {label: i for i, label in enumerate(order.plan.labels)}
    return lambda name: (planned.get(name, len(planned)), name)
