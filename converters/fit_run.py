"""The course of one fit: seed and device, progress, early stopping, and taking up where it stopped.

    for epoch in run.epochs("autoencoder", settings.epochs, keep={"network": network, ...}):
        ...
        run.report(loss, validation)

A stage's checkpoint holds everything in `keep`, the random state and the record of early stopping,
so a resumed fit gives the same weights as one that was never stopped.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from zoo.recipes import TrainWatch

SECONDS_BETWEEN_CHECKPOINTS = 10.0


class Stateful(Protocol):
    """A network, an optimizer, a schedule: whatever a checkpoint keeps."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that training changed."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Put it back."""


class FitRun:
    """One fit.

    Attributes
    ----------
    seed
        Seeds `generator` and, at construction, torch's own.
    generator
        On the CPU: draw batches and noise from it, so that a resumed fit goes on as it would have.
    device
        Where the network is trained.
    resumed
        Whether a stage was taken up from a checkpoint.

    """

    def __init__(
        self,
        seed: int,
        *,
        device: str = "cpu",
        watch: TrainWatch | None = None,
        folder: Path | None = None,
        fingerprint: str = "",
    ) -> None:
        """Begin.

        Parameters
        ----------
        folder
            Where checkpoints are kept; None keeps none.
        fingerprint
            Of data, recipe and settings: a checkpoint with another one is not taken up.

        """
        self.seed, self.device = seed, torch.device(device)
        self.generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        self.watch = watch or TrainWatch()
        self.resumed = False
        self._folder, self._fingerprint = folder, fingerprint
        self._told: tuple[float, float | None] = (float("nan"), None)

    def report(self, loss: float, validation: float | None = None) -> None:
        """Say how an epoch went: mean loss, and the loss on validation cells for early stopping."""
        self._told = (loss, validation)

    def epochs(
        self,
        stage: str,
        total: int,
        *,
        keep: Mapping[str, Stateful],
        best: str | None = None,
        patience: int | None = None,
    ) -> Iterator[int]:
        """The epochs that are left of a stage.

        Parameters
        ----------
        stage
            A name that is unique within the fit.
        total
            Most epochs.
        keep
            What a checkpoint holds; put back in place when it is taken up.
        best, patience
            The entry of `keep` that gets the state of the epoch with the smallest validation loss
            back at the end; stop after so many epochs without a smaller one.

        """
        course = _Course()
        if (state := self._read(stage)) is not None:
            self._put_back(state, keep)
            course = _Course(**state["course"])
            self.resumed = True
        saved = time.monotonic()
        while course.epoch < total and not course.is_over(patience):
            yield course.epoch
            course.add(*self._told, keep[best] if best else None)
            self.watch.epoch(stage, course.epoch, total, *self._told)
            if time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                self._write(stage, keep, course)
                saved = time.monotonic()
        self._write(stage, keep, course)
        if best is not None and course.best is not None:
            keep[best].load_state_dict(course.best)

    # -- checkpoints -----------------------------------------------------------------------------

    def _path(self, stage: str) -> Path | None:
        return None if self._folder is None else self._folder / f"{self.seed}-{stage}.pt"

    def _read(self, stage: str) -> dict[str, Any] | None:
        path = self._path(stage)
        if path is None or not path.exists():
            return None
        state: dict[str, Any] = torch.load(path, weights_only=True)
        return state if state["fingerprint"] == self._fingerprint else None

    def _put_back(self, state: dict[str, Any], keep: Mapping[str, Stateful]) -> None:
        for name, part in keep.items():
            part.load_state_dict(state["keep"][name])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["random"])

    def _write(self, stage: str, keep: Mapping[str, Stateful], course: _Course) -> None:
        path = self._path(stage)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = path.with_suffix(".part")
        torch.save(
            {
                "fingerprint": self._fingerprint,
                "keep": {name: part.state_dict() for name, part in keep.items()},
                "generator": self.generator.get_state(),
                "random": torch.get_rng_state(),
                "course": vars(course),
            },
            staging,
        )
        staging.replace(path)


class _Course:
    """How far a stage is: epochs done, and the best of them."""

    def __init__(
        self,
        epoch: int = 0,
        smallest: float = float("inf"),
        waited: int = 0,
        best: dict[str, Any] | None = None,
    ) -> None:
        self.epoch, self.smallest, self.waited, self.best = epoch, smallest, waited, best

    def add(self, loss: float, validation: float | None, network: Stateful | None) -> None:
        self.epoch += 1
        if validation is None:
            return
        self.waited += 1
        if validation < self.smallest:
            self.smallest, self.waited = validation, 0
            if network is not None:
                self.best = copy.deepcopy(network.state_dict())

    def is_over(self, patience: int | None) -> bool:
        return patience is not None and self.waited >= patience
