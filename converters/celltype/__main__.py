"""`python -m converters.celltype STEP ... --data DIR -o cards/pbmc-celltype`: the whole build.

Steps, in their order: `train` the seeds, `export` the first one's files, `evaluate` every seed,
`unseen` types left out, `ablate`, then `card` writes measurements, figures and the card. Without a
step, all of them run. What `train` and the measuring steps find lies in `--work` until `card`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch

from converters.celltype import fitting, training_cells
from converters.celltype.ablation import (
    measure_sets_by_class_alone,
    measure_variant,
    variants,
)
from converters.celltype.card import Findings, write_card
from converters.celltype.evaluate import Evaluation, evaluate
from converters.celltype.export import write_model
from converters.celltype.limits import Limits, find_limits
from converters.celltype.recipe import Recipe
from converters.celltype.training_cells import TrainingCells
from converters.celltype.unseen import detect_unseen
from converters.datasets import data_folder
from zoo.card import Row
from zoo.evaluation import measurements
from zoo.evaluation.measurements import Measurements


@dataclass(frozen=True)
class Build:
    """Where a build reads and writes."""

    data: Path
    folder: Path
    work: Path
    recipe: Recipe

    def cells(self, seed: int) -> TrainingCells:
        """pbmc3k as split for a seed."""
        return training_cells.load(self.data, self.recipe, seed)

    def fitted(self, seed: int) -> fitting.Fitted:
        """The model that `train` kept."""
        return fitting.load(self.work / f"seed-{seed}.pt", self.recipe)

    def train(self) -> None:
        """Train and calibrate every seed."""
        for seed in self.recipe.seeds:
            fitted = fitting.fit(self.cells(seed), self.recipe, seed)
            fitting.save(self.work / f"seed-{seed}.pt", fitted)
            print(f"seed {seed}: trained in {fitted.seconds:.0f} s", flush=True)

    def export(self) -> None:
        """Write the model files of the shipped seed."""
        seed = self.recipe.seeds[0]
        write_model(self.folder, self.fitted(seed).model, self.cells(seed), self.recipe)

    def evaluate(self) -> None:
        """Measure every seed; the shipped one's limits are the card's."""
        for seed in self.recipe.seeds:
            cells, model = self.cells(seed), self.fitted(seed).model
            into = Measurements(seed)
            limits = find_limits(model, cells, self.recipe, into)
            evaluation = Evaluation.of(model, cells, limits.thresholds, seed)
            evaluate(evaluation, self.data, self.recipe)
            self.keep("evaluate", seed, [*into.rows, *evaluation.into.rows], limits)
            print(f"seed {seed}: evaluated, {limits}", flush=True)

    def unseen(self) -> None:
        """Leave out each type, for every seed."""
        for seed in self.recipe.seeds:
            into = Measurements(seed)
            detect_unseen(self.cells(seed), self.recipe, into)
            self.keep("unseen", seed, into.rows)
            print(f"seed {seed}: types left out", flush=True)

    def ablate(self) -> None:
        """Undo choices of the recipe, for the shipped seed."""
        seed = self.recipe.seeds[0]
        into = Measurements(seed)
        for variant in variants(self.cells(seed), self.data, self.recipe):
            measure_variant(variant, self.data, into)
        shipped = self.fitted(seed).model
        measure_sets_by_class_alone(shipped, self.cells(seed), self.data, into)
        self.keep("ablate", seed, into.rows)

    def card(self) -> None:
        """Write `measurements.json`, figures and the card."""
        seeds = self.recipe.seeds
        rows: list[Row] = []
        for step in ("evaluate", "unseen", "ablate"):
            files = [self.work / f"{step}-{seed}.json" for seed in seeds]
            runs = [measurements.read(file)[0] for file in files if file.exists()]
            rows += measurements.over_seeds(runs)
        facts = measurements.read(self.work / f"evaluate-{seeds[0]}.json")[1]
        fitted = self.fitted(seeds[0])
        facts["wall_seconds"] = round(fitted.seconds, 1)
        findings = Findings(rows, facts, fitted, self.cells(seeds[0]))
        write_card(self.folder, findings, self.recipe)

    def keep(self, step: str, seed: int, rows: list[Row], limits: Limits | None = None) -> None:
        """Write the rows of one step and seed."""
        facts = {}
        if limits is not None:
            facts = {
                "thresholds": limits.thresholds.model_dump(),
                "gene_coverage": limits.gene_coverage,
            }
        measurements.write(self.work / f"{step}-{seed}.json", rows, facts)


STEPS = {
    "train": Build.train,
    "export": Build.export,
    "evaluate": Build.evaluate,
    "unseen": Build.unseen,
    "ablate": Build.ablate,
    "card": Build.card,
}


def main() -> None:
    """Read the arguments and run the steps in their order."""
    parser = argparse.ArgumentParser(prog="python -m converters.celltype", description=__doc__)
    parser.add_argument("steps", nargs="*", metavar="STEP", help=", ".join(STEPS))
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of the data sets")
    parser.add_argument("-o", "--output", type=Path, default=Path("cards/pbmc-celltype"))
    parser.add_argument("--work", type=Path, default=Path("build/pbmc-celltype"))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if unknown := set(arguments.steps) - set(STEPS):
        parser.error(f"no step {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}")
    torch.set_num_threads(arguments.threads)
    build = Build(arguments.data, arguments.output, arguments.work, Recipe())
    for name, step in STEPS.items():
        if not arguments.steps or name in arguments.steps:
            step(build)


if __name__ == "__main__":
    main()
