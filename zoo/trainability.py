"""Findings about a file as data to train on, and about a split; `zoo.training_data` reads facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.categories import Categories
from zoo.errors import SplitLeak
from zoo.splitting import PARTS, Split
from zoo.validation import Finding

# Below this a class has too few cells to be learnt and too few to calibrate a p-value on.
FEW_CELLS = 20
_ORIGIN = {
    "license": ("cellzoo/license", "license", "licence"),
    "source": ("cellzoo/source", "source", "citation", "doi"),
}


def label_findings(labels: Categories) -> list[Finding]:
    """Findings about the labels: missing ones, and classes of few cells."""
    findings = [_filled_finding("label", labels)]
    few = [
        f"{name!r} ({count})"
        for name, count in zip(labels.names, labels.cells.tolist(), strict=True)
        if count < FEW_CELLS
    ]
    if few:
        message = f"{len(few):,} label(s) have fewer than {FEW_CELLS} cells: {', '.join(few[:5])}"
        hint = "Join them with a broader type, or leave them out and say so on the card."
        more = ", …." if len(few) > 5 else "."
        findings.append(Finding("yellow", "few_cells", message + more, hint))
    elif labels.names:
        message = f"{len(labels.names):,} labels, each with {FEW_CELLS} cells or more."
        findings.append(Finding("green", "few_cells", message))
    return findings


def batch_findings(batches: Categories) -> list[Finding]:
    """Findings about the batches: missing ones, and whether there are two to compare."""
    findings = [_filled_finding("batch", batches)]
    if len(batches.names) == 1:
        message = f"obs[{batches.column!r}] has one value: what differs between batches stays open."
        hint = "Add data of another donor, slide or study before you claim that a model transfers."
        findings.append(Finding("yellow", "batches", message, hint))
    elif batches.names:
        found = f"{len(batches.names):,} batches in obs[{batches.column!r}]."
        findings.append(Finding("green", "batches", found))
    return findings


def _filled_finding(code: str, column: Categories) -> Finding:
    cells = len(column.codes)
    if not column.missing:
        return Finding("green", code, f"Every cell has a value in obs[{column.column!r}].")
    message = f"{column.missing:,} of {cells:,} cells have no value in obs[{column.column!r}]."
    if column.missing == cells:
        return Finding("red", code, message, "Fill in the column, or name another.")
    hint = "zoo.data.Loader gives them the code -1; leave them out of what needs the value."
    return Finding("yellow", code, message, hint)


def no_split_findings() -> list[Finding]:
    """A finding about a file without a split."""
    hint = "'zoo split FILE --by DONOR -o OUT.h5ad' assigns one by whole groups."
    return [Finding("yellow", "split", "There is no obs['split'].", hint)]


def split_findings(parts: Categories, groups: Categories | None) -> list[Finding]:
    """Findings about a split: its parts, and whether each group lies in one of them."""
    sizes = zip(parts.names, parts.cells.tolist(), strict=True)
    listed = ", ".join(f"{name} {count:,}" for name, count in sizes) or "nothing"
    findings = []
    if "train" not in parts.names or parts.missing:
        hint = "'zoo split FILE --by DONOR --resplit -o OUT.h5ad' assigns every cell."
        without = f", {parts.missing:,} without a part" if parts.missing else ""
        message = f"obs['split'] has cells of: {listed}{without}."
        findings.append(Finding("yellow", "split", message, hint))
    else:
        findings.append(Finding("green", "split", f"obs['split']: {listed}."))
    if groups is None:
        message = "Whether groups are whole is not known: the file does not say what it is split by"
        hint = "Name the column of the donor with --batch."
        return [*findings, Finding("yellow", "split_groups", message + ".", hint)]
    if torn := torn_groups(parts, groups):
        error = SplitLeak(groups.path, groups.column, torn)
        return [*findings, Finding.of_error("split_groups", error)]
    message = f"Each value of obs[{groups.column!r}] lies in one part."
    return [*findings, Finding("green", "split_groups", message)]


def torn_groups(parts: Categories, groups: Categories) -> list[str]:
    """Groups that lie in more than one part."""
    known = (parts.codes >= 0) & (groups.codes >= 0)
    pairs = np.unique(np.stack([groups.codes[known], parts.codes[known]]), axis=1)
    found, count = np.unique(pairs[0], return_counts=True)
    return [groups.names[code] for code in found[count > 1]]


def origin_findings(uns: Mapping[str, Any]) -> list[Finding]:
    """Findings about what uns says of licence and source."""
    findings = []
    for what, keys in _ORIGIN.items():
        said = next((str(uns[key]) for key in keys if str(uns.get(key, "")).strip()), None)
        if said:
            findings.append(Finding("green", what, f"The file says: {said[:200]}"))
            continue
        hint = f"Say it in the file: uns[{what!r}] = '…'."
        findings.append(Finding("yellow", what, f"uns says nothing of the data's {what}.", hint))
    return findings


# -- a split that is planned ---------------------------------------------------------------------


def plan_findings(split: Split, labels: Categories | None) -> list[Finding]:
    """Findings about a split: wanted parts that stayed empty, and labels that a part lacks."""
    findings = []
    for part, share, cells in zip(PARTS, split.wanted.as_array(), split.cells, strict=True):
        if share > 0 and not cells:
            findings.append(_empty_part(part, len(split.groups.names)))
    for part, names in missing_labels(split, labels).items() if labels else ():
        shown = ", ".join(repr(name) for name in names[:5]) + (", …" if len(names) > 5 else "")
        message = f"{part} has no cell of {len(names):,} label(s): {shown}."
        hint = "Another --seed, --hold-out or share may bring them in; else report it."
        findings.append(Finding("yellow", "missing_labels", message, hint))
    return findings


def missing_labels(split: Split, labels: Categories) -> dict[str, list[str]]:
    """For each part that has cells, the labels of the file that none of them carries."""
    found = {}
    for number, part in enumerate(PARTS):
        inside = labels.codes[split.codes == number]
        present = np.unique(inside[inside >= 0])
        absent = [name for code, name in enumerate(labels.names) if code not in present]
        if len(inside) and absent:
            found[part] = absent
    return found


def _empty_part(part: str, groups: int) -> Finding:
    return Finding(
        "yellow",
        "empty_part",
        f"{part} is empty: {groups} groups are too few for three parts.",
        f"Set its share to 0 (--{part} 0), or split by a column with more groups.",
    )
