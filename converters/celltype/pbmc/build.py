"""`python -m converters.celltype STEP ... --data DIR -o cards/pbmc-celltype`: the whole build.

Steps, in their order: `train` the seeds, `export` the first one's files, `evaluate` every seed,
`unseen` types left out, `ablate`, then `card` writes measurements, figures and the card. Without a
step, all of them run. What `train` and the measuring steps find lies in `--work` until `card`.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from converters.celltype.confidence import CellTypeModel
from converters.celltype.fitting import load, save
from converters.celltype.limits import Limits, find_limits
from converters.celltype.pbmc import pbmc_cells
from converters.celltype.pbmc.ablation import (
    measure_sets_by_class_alone,
    measure_variant,
    variants,
)
from converters.celltype.pbmc.card import Findings, write_card
from converters.celltype.pbmc.choices import Choices
from converters.celltype.pbmc.evaluate import Evaluation, evaluate, keep_limits
from converters.celltype.pbmc.export import write_model
from converters.celltype.pbmc.fitting import fit, labelled
from converters.celltype.pbmc.pbmc_cells import PbmcCells
from converters.celltype.pbmc.unseen import detect_unseen
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
    choices: Choices

    def cells(self, seed: int) -> PbmcCells:
        """pbmc3k as split for a seed."""
        return pbmc_cells.load(self.data, self.choices, seed)

    def fitted(self, seed: int) -> tuple[CellTypeModel, float]:
        """The model that `train` kept, with the seconds that it took."""
        return load(self.work / f"seed-{seed}.pt", self.choices.settings)

    def train(self) -> None:
        """Train and calibrate every seed."""
        for seed in self.choices.seeds:
            cells, start = self.cells(seed), time.perf_counter()
            model = fit(cells, self.choices.settings, seed)
            seconds = time.perf_counter() - start
            save(self.work / f"seed-{seed}.pt", model, seconds)
            print(f"seed {seed}: trained in {seconds:.0f} s", flush=True)

    def export(self) -> None:
        """Write the model files of the shipped seed."""
        seed = self.choices.seeds[0]
        write_model(self.folder, self.fitted(seed)[0], self.cells(seed), self.choices)

    def evaluate(self) -> None:
        """Measure every seed; the shipped one's limits are the card's."""
        for seed in self.choices.seeds:
            cells, model = self.cells(seed), self.fitted(seed)[0]
            into = Measurements(seed)
            held_out, settings = labelled(cells, "calibration"), self.choices.settings
            limits = find_limits(model.answers, model.gene_weight, held_out, settings, seed)
            keep_limits(limits, len(held_out), into)
            evaluation = Evaluation.of(model, cells, limits.thresholds, seed)
            evaluate(evaluation, self.data)
            self.keep("evaluate", seed, [*into.rows, *evaluation.into.rows], limits)
            print(f"seed {seed}: evaluated, {limits}", flush=True)

    def unseen(self) -> None:
        """Leave out each type, for every seed."""
        for seed in self.choices.seeds:
            into = Measurements(seed)
            detect_unseen(self.cells(seed), self.choices, into)
            self.keep("unseen", seed, into.rows)
            print(f"seed {seed}: types left out", flush=True)

    def ablate(self) -> None:
        """Undo choices of the recipe, for the shipped seed."""
        seed = self.choices.seeds[0]
        into = Measurements(seed)
        for variant in variants(self.cells(seed), self.data, self.choices.settings):
            measure_variant(variant, self.data, into)
        shipped = self.fitted(seed)[0]
        measure_sets_by_class_alone(shipped, self.cells(seed), self.data, into)
        self.keep("ablate", seed, into.rows)

    def card(self) -> None:
        """Write `measurements.json`, figures and the card."""
        seeds = self.choices.seeds
        rows: list[Row] = []
        for step in ("evaluate", "unseen", "ablate"):
            files = [self.work / f"{step}-{seed}.json" for seed in seeds]
            runs = [measurements.read(file)[0] for file in files if file.exists()]
            rows += measurements.over_seeds(runs)
        facts = measurements.read(self.work / f"evaluate-{seeds[0]}.json")[1]
        model, seconds = self.fitted(seeds[0])
        facts["wall_seconds"] = round(seconds, 1)
        findings = Findings(rows, facts, model, self.cells(seeds[0]))
        write_card(self.folder, findings, self.choices)

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
    build = Build(arguments.data, arguments.output, arguments.work, Choices())
    for name, step in STEPS.items():
        if not arguments.steps or name in arguments.steps:
            step(build)
