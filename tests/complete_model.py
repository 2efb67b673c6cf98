"""A tiny model folder that lacks nothing: sample, expected answers, a claim about its failures."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
from labelled_file import write_labelled
from tiny_model import write_manifest, write_tiny_model

from zoo.card import CellZooBlock
from zoo.card_file import ModelCard
from zoo.parity import sample_outputs
from zoo.parts import ModelParts
from zoo.pull import in_place


def write_complete_model(folder: Path, *, version: str = "1.0.0", name: str = "tiny") -> Path:
    """Write it and return its folder."""
    write_tiny_model(folder, version=version, name=name)
    sample = write_labelled(folder / "sample.h5ad", 30)
    outputs = sample_outputs(ModelParts.of(in_place(folder)), Path(sample))
    with h5py.File(folder / "expected.h5", "w") as file:
        for output, values in outputs.items():
            file[output] = values
    change_card(folder, scope__works_poorly=[{"statement": "nowhere", "rows": ["test.model"]}])
    return folder


def change_card(folder: Path, **changes: Any) -> None:
    """Change fields of the card (`scope__intended` is `scope.intended`) and make the manifest."""
    card = ModelCard.read(folder / "README.md")
    block = card.block.model_dump(mode="json")
    for place, value in changes.items():
        *path, last = place.split("__")
        inner = block
        for key in path:
            inner = inner[key]
        inner[last] = value
    changed = ModelCard(CellZooBlock.model_validate(block), card.prose)
    (folder / "README.md").write_text(changed.render(), encoding="utf-8")
    write_manifest(folder)


def copy_of(folder: Path, target: Path) -> Path:
    """A copy of a model folder."""
    return Path(shutil.copytree(folder, target))
