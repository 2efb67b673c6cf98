"""Recipes: how models are trained, found by name through the entry points `cellzoo.recipes`.

`zoo` itself trains nothing and never imports torch: a recipe is an object of another package that
keeps the protocol below. Those that come with CellZoo are the folders of `converters/`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

from zoo.card import CellZooBlock, Row
from zoo.errors import MissingExtra, UnknownRecipe
from zoo.session import Device

GROUP = "cellzoo.recipes"


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """What to train on, how, and where the model folder goes.

    Attributes
    ----------
    data
        A DL-ready file: what `zoo.reading.open_dataset` opens.
    output
        The model folder to write.
    name
        Name of the model; by default the output folder's.
    label, batch, slide_key
        Columns of obs: what to learn, whose differences to overcome, which slide a spot is on.
    split
        The column of obs whose groups are held out whole; None takes obs['split'] where the file
        has it, else `batch`.
    leave_one_out
        Measure by leaving out each group of `split` in turn, and fit the model that is written to
        all cells.
    seeds
        The model of the first one is written; the others give the spread on its card. By default
        those of the plan or the card, else 0.
    neighbours
        Also measure one neighbouring setting of each main hyper-parameter.
    epochs, settings
        Changes to the recipe's hyper-parameters.
    config
        A TOML file that holds all of this, the card's words and the data sets to evaluate with.
    like
        The card whose recipe is repeated.
    fresh
        Begin anew where an interrupted training could be resumed.

    """

    data: str
    output: Path
    name: str | None = None
    label: str | None = None
    batch: str | None = None
    split: str | None = None
    leave_one_out: bool = False
    slide_key: str | None = None
    seeds: tuple[int, ...] = ()
    neighbours: bool = False
    epochs: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    device: Device = "auto"
    config: Path | None = None
    like: CellZooBlock | None = None
    overwrite: bool = False
    fresh: bool = False


@dataclass(frozen=True)
class TrainWatch:
    """Where a training tells how it goes.

    Attributes
    ----------
    epoch
        `(stage, epochs done, epochs, loss, validation loss or None)`.
    notice
        A sentence.

    """

    epoch: Callable[[str, int, int, float, float | None], None] = lambda *told: None
    notice: Callable[[str], None] = lambda sentence: None


@dataclass(frozen=True)
class TrainReport:
    """What a training made.

    Attributes
    ----------
    folder
        The model folder.
    rows
        What was measured on cells held out.
    seconds
        Wall time of the fit that is in the folder.
    resumed
        Whether an interrupted training was taken up.

    """

    folder: Path
    rows: list[Row]
    seconds: float
    resumed: bool = False


@dataclass(frozen=True)
class DescribedSetting:
    """A hyper-parameter of a recipe.

    Attributes
    ----------
    default
        Plain data.
    meaning
        One or two sentences.

    """

    name: str
    default: Any
    meaning: str


class TrainableRecipe(Protocol):
    """A way to make a model."""

    @property
    def name(self) -> str:
        """As it is named on the command line."""

    @property
    def summary(self) -> str:
        """One line."""

    def describe(self) -> list[DescribedSetting]:
        """Its hyper-parameters."""

    def train(self, request: TrainRequest, watch: TrainWatch) -> TrainReport:
        """Write a complete model folder."""


def setting_of(entry: str) -> tuple[str, Any]:
    """Name and value of `NAME=VALUE`, with the value as TOML has it, else as a word."""
    name, _, text = entry.partition("=")
    try:
        return name.strip(), tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), text


def recipe_names() -> list[str]:
    """Names of all installed recipes, sorted."""
    return sorted(_entries())


def find_recipe(name: str) -> TrainableRecipe:
    """Load a recipe.

    Raises
    ------
    UnknownRecipe
    MissingExtra
        If a package that the recipe needs is not installed.

    """
    entries = _entries()
    if name not in entries:
        raise UnknownRecipe(name, sorted(entries))
    try:
        recipe: TrainableRecipe = entries[name].load()()
    except ModuleNotFoundError as error:
        raise MissingExtra("train", f"train with {name!r}") from error
    return recipe


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
