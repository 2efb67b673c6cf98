"""Shipped models that were imported: their stored answers are those of the source package."""

from pathlib import Path

import pytest

from zoo.card import CellZooBlock
from zoo.card_file import ModelCard
from zoo.parity import check_parity
from zoo.pull import in_place

CARDS = Path(__file__).parents[2] / "cards"


def shipped(name: str) -> Path:
    """The folder of a shipped model."""
    folder = CARDS / name
    if not (folder / "manifest.json").is_file():
        pytest.skip(f"cards/{name} is not in this checkout")
    return folder


def ensure_same_answers(name: str) -> CellZooBlock:
    """Run the model on its sample, compare with the source package's answers, give the card."""
    pytest.importorskip("yaml")
    folder = shipped(name)
    results = list(check_parity(in_place(folder)))
    assert results
    assert all(result.holds for result in results), [result.sentence() for result in results]
    return ModelCard.read(folder / "README.md").block
