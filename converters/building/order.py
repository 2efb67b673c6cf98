"""The order: what was asked for, by the command line, a plan and a card put together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converters.plan import Plan
from converters.recipe import Recipe, Settings
from zoo.card import CellZooBlock
from zoo.digest import sha256_of
from zoo.errors import ConflictingOptions, InvalidPlan
from zoo.recipes import TrainRequest

# Options of the command line that are fields of a plan's [data].
_COLUMNS = ("label", "batch", "split", "slide_key")


@dataclass(frozen=True)
class Order:
    """One training, wholly decided.

    Attributes
    ----------
    plan
        With the command line's options in it.
    folder
        Where the plan's prose lies.
    seeds
        The first is written, the others give the spread.

    """

    recipe: Recipe
    request: TrainRequest
    plan: Plan
    settings: Settings
    folder: Path
    seeds: tuple[int, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, recipe: Recipe, request: TrainRequest) -> Order:
        """Put an order together: the command line wins over the plan, the plan over the card.

        Raises
        ------
        FileMissing, InvalidPlan, UnknownSetting, ConflictingOptions

        """
        plan = Plan.read(request.config) if request.config else Plan()
        settings = dict(plan.settings)
        if request.like is not None:
            if request.config is not None:
                raise ConflictingOptions("--like and --config both say what to train")
            plan, settings = _repeated(request.like, recipe)
        data: dict[str, Any] = {c: v for c in _COLUMNS if (v := getattr(request, c)) is not None}
        if request.leave_one_out:
            data["leave_one_out"] = True
        plan = plan.model_copy(update={"data": plan.data.model_copy(update=data)})
        settings |= request.settings
        if request.epochs is not None:
            settings["epochs"] = request.epochs
        name = request.name or plan.name or _name_of(request.output)
        try:
            plan = Plan.model_validate({**plan.model_dump(), "name": name})
        except ValueError as error:
            detail = f"{name!r} is no model name: lower-case words joined by '-'; give --name"
            raise InvalidPlan(str(request.config or request.output), detail) from error
        return cls(
            recipe=recipe,
            request=request,
            plan=plan,
            settings=recipe.settings.of(recipe.name, settings),
            folder=request.config.parent if request.config else Path(),
            seeds=request.seeds or _seeds(plan, request.like),
        )

    @property
    def name(self) -> str:
        """Name of the model."""
        assert self.plan.name is not None
        return self.plan.name

    @property
    def neighbours(self) -> Mapping[str, Settings]:
        """Settings to measure beside the chosen ones."""
        wanted = self.request.neighbours or self.plan.neighbours
        return self.recipe.neighbours(self.settings) if wanted else {}

    def fingerprint(self, data: str, settings: Settings, fold: str) -> str:
        """Identity of one fit: a checkpoint with another one is of another training."""
        facts = {
            "recipe": self.recipe.name,
            "data": data,
            "plan": self.plan.data.model_dump(mode="json"),
            "settings": settings.as_json(),
            "fold": fold,
        }
        return sha256_of(json.dumps(facts, sort_keys=True).encode())


def _repeated(card: CellZooBlock, recipe: Recipe) -> tuple[Plan, dict[str, Any]]:
    """The plan behind a card, as far as training and its test go."""
    if card.training.recipe is None:
        raise ConflictingOptions(
            f"the card of {card.reference} does not say which recipe made it, so it cannot be "
            "repeated with --like"
        )
    if card.training.recipe != recipe.name:
        raise ConflictingOptions(
            f"{card.reference} was made by the recipe {card.training.recipe!r}, not {recipe.name!r}"
        )
    plan = Plan.model_validate(
        {
            "summary": card.summary,
            "license": card.license,
            "data": card.training.data_plan,
            "inputs": {
                "organism": card.inputs.organism,
                "tissues": card.inputs.tissues,
                "assays": card.inputs.assays,
                "gene_release": card.inputs.gene_release,
            },
        }
    )
    return plan, dict(card.training.hyper_parameters)


def _seeds(plan: Plan, like: CellZooBlock | None) -> tuple[int, ...]:
    return (like.training.seed,) if like is not None else tuple(plan.seeds)


def _name_of(output: Path) -> str:
    return output.resolve().name.lower().replace("_", "-").replace(" ", "-")
