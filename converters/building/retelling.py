"""A card told anew from its own measurements: other words, other claims, the same numbers.

`python -m converters.building.retelling FOLDER --config PLAN.toml`, after a plan's sentences or its
text were changed. Nothing is trained and nothing is measured; a claim that names a row which was
not measured is refused.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from converters.building.card import figures_of
from converters.building.folder import write_manifest
from converters.building.prose import card_text
from converters.building.told import Told
from converters.plan import Plan
from zoo.card import CellZooBlock, Scope
from zoo.card_file import ModelCard
from zoo.evaluation import measurements
from zoo.headline import headline_of
from zoo.staging import write_atomically


def retell(folder: Path, config: Path) -> None:
    """Write `README.md` and `manifest.json` of a model folder anew.

    Raises
    ------
    FileMissing, InvalidPlan, InvalidCard

    """
    plan = Plan.read(config)
    card = ModelCard.read(folder / "README.md")
    rows, _ = measurements.read(folder / "measurements.json")
    told = Told.of(plan.scope, rows, str(config))
    scope = Scope(
        intended=plan.scope.intended or card.block.scope.intended,
        out_of_scope=plan.scope.out_of_scope or card.block.scope.out_of_scope,
        works_well=told.works_well,
        works_poorly=told.works_poorly,
    )
    changes = {
        "summary": plan.summary or card.block.summary,
        "license": plan.license,
        "authors": plan.authors,
        "headline": headline_of(told.evaluation, plan.task or card.block.task),
        "scope": scope,
        "evaluation": told.evaluation,
        "robustness": told.robustness,
    }
    # Validated as a whole: `model_copy` would not look at what changed.
    block = CellZooBlock.model_validate(
        card.block.model_copy(update=changes).model_dump(mode="json")
    )
    text = card_text(plan, config.parent, block, rows, figures_of(folder))
    write_atomically(folder / "README.md", ModelCard(block, text).render().encode("utf-8"))
    write_manifest(folder)


def main() -> None:
    """Read the arguments and tell a card anew."""
    parser = argparse.ArgumentParser(prog="python -m converters.building.retelling")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--config", type=Path, required=True, metavar="PLAN.toml")
    arguments = parser.parse_args()
    retell(arguments.folder, arguments.config)


if __name__ == "__main__":
    main()
