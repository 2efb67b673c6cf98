"""Errors about a command's own words, the machine it runs on and where it writes."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.errors.base import OutputError, UsageError


class MissingExtra(UsageError):
    """An optional part of the package is not installed."""

    example = {"extra": "parquet", "purpose": "write .parquet"}

    def __init__(self, extra: str, purpose: str) -> None:
        self.extra, self.purpose = extra, purpose
        super().__init__(
            f"To {purpose}, CellZoo needs an extra that is not installed.",
            f"pip install 'cellzoo[{extra}]'",
        )


class DeviceUnavailable(UsageError):
    """The device that was asked for cannot be used."""

    example = {"device": "cuda", "reason": "this onnxruntime has only: CPUExecutionProvider"}

    def __init__(self, device: str, reason: str) -> None:
        self.device, self.reason = device, reason
        super().__init__(
            f"Cannot run on {device}: {reason}.",
            "Use --device cpu, or --device auto to take the GPU only where there is one.",
        )


class UnknownOutputs(UsageError):
    """Outputs were asked for that the model does not have."""

    example = {"model": "pbmc-celltype", "outputs": ["imputed"], "present": ["label", "prob"]}

    def __init__(self, model: str, outputs: Sequence[str], present: Sequence[str]) -> None:
        self.model, self.outputs, self.present = model, tuple(outputs), tuple(present)
        super().__init__(
            f"{model!r} has no output {', '.join(repr(o) for o in outputs)}.",
            f"It has: {', '.join(present)}.",
        )


class UnknownOutputFormat(UsageError):
    """The output's name does not end in a format that CellZoo writes."""

    example = {"path": "out.xlsx", "suffixes": [".h5ad", ".csv", ".parquet"]}

    def __init__(self, path: str, suffixes: Sequence[str]) -> None:
        self.path, self.suffixes = path, tuple(suffixes)
        super().__init__(
            f"Cannot tell the format of {path!r}.",
            f"Let its name end in {', '.join(suffixes)}.",
        )


class InvalidOption(UsageError):
    """An option has a value that it does not take."""

    example = {"option": "device", "value": "gpu", "accepted": ["auto", "cpu", "cuda"]}

    def __init__(self, option: str, value: str, accepted: Sequence[str]) -> None:
        self.option, self.value, self.accepted = option, value, tuple(accepted)
        super().__init__(f"{option} cannot be {value!r}.", f"It takes: {', '.join(accepted)}.")


class ConflictingOptions(UsageError):
    """Two options contradict each other."""

    example = {"detail": "--into and -o name the same file"}

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(f"Contradicting options: {detail}.", "Leave one of them out.")


class DomainNumber(UsageError):
    """So many domains cannot be found among so few cells, or fewer than two were asked for."""

    example = {"k": 30, "cells": 20, "slide": "A1"}

    def __init__(self, k: int, cells: int, slide: str | None) -> None:
        self.k, self.cells, self.slide = k, cells, slide
        where = "the result" if slide is None else f"slide {slide!r}"
        super().__init__(
            f"Cannot find {k:,} domains among the {cells:,} cells of {where}.",
            "Let --k be at least 2 and at most the number of cells.",
        )


class NoCheckout(UsageError):
    """A command that works on `cards/` was run where there is none."""

    example = {"root": "/home/me"}

    def __init__(self, root: str) -> None:
        self.root = root
        super().__init__(
            f"{root!r} is no checkout of CellZoo: it has no folder 'cards'.",
            "Run it in a checkout, or name one with --root.",
        )


class OutputExists(OutputError):
    """The output file is already there."""

    example = {"path": "my.pbmc-celltype.h5ad"}

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f"{path!r} exists already.",
            "Name another file with -o, or pass --overwrite to replace it.",
        )


class OutputIsInput(OutputError):
    """The output would replace the input."""

    example = {"path": "my.h5ad"}

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f"{path!r} is the input itself; CellZoo never writes over its input.",
            "Name another file.",
        )


class OutputUnwritable(OutputError):
    """The output's folder is missing, read-only or not a folder."""

    example = {"path": "results/out.h5ad", "reason": "Permission denied"}

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(
            f"Cannot write {path!r}: {reason}. Nothing was changed.",
            "Choose a folder that exists and that you may write to with -o.",
        )


class DiskFull(OutputError):
    """The disk is full; the part that was written is removed."""

    example = {"path": "out.h5ad", "free": 4096}

    def __init__(self, path: str, free: int, option: str = "-o") -> None:
        self.path, self.free, self.option = path, free, option
        super().__init__(
            f"The disk is full while writing {path!r} ({free:,} bytes free). The part that was "
            "written is removed.",
            f"Free some space, or write to another disk with {option}.",
        )


class CacheUnwritable(OutputError):
    """The cache's folder cannot be made or written to."""

    example = {"path": "/home/me/.cache/cellzoo", "reason": "Permission denied"}

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(
            f"Cannot write into the cache {path!r}: {reason}.",
            "Let ZOO_CACHE name a folder that you may write to, e.g. ZOO_CACHE=/scratch/$USER/zoo.",
        )
