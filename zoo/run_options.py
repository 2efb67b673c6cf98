"""How a run is done, and where it tells how it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from zoo.card import ValueKind
from zoo.errors import InvalidOption
from zoo.session import Device

DEFAULT_BATCH_SIZE = 256


@dataclass(frozen=True, kw_only=True)
class ExplanationOptions:
    """What is explained.

    Attributes
    ----------
    top
        Genes to list for each cell and for each group, present and absent ones apart.
    groups
        `label`, or a column of obs: whose cells are looked at together.
    label
        The class to explain for every cell; None explains each cell's own label.

    """

    top: int = 20
    groups: str = "label"
    label: str | None = None

    def __post_init__(self) -> None:
        if self.top < 1:
            raise InvalidOption("top", str(self.top), ("a whole number from 1",))

    def flags(self) -> list[str]:
        """The flags of `zoo explain` that change what is explained."""
        flags = ["--top", str(self.top)]
        flags += [] if self.groups == "label" else ["--groups", self.groups]
        return flags + ([] if self.label is None else ["--label", self.label])


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a run is done.

    Attributes
    ----------
    device
        `auto`, `cpu` or `cuda`.
    threads
        Blocks that are worked on side by side; None takes what this process may use.
    batch_size
        Cells in one block.
    groups
        A column of obs whose groups get one call each.
    slide_key
        A column of obs that names the slides, for a spatial model; None takes the file as one.
    outputs
        Outputs to write beyond the usual columns: `prob`, `conformal_p`, `in_set`, per-gene ones.
    source
        The matrix to read; None takes the first with counts.
    value_kind
        What the values are, where the evidence should be overruled.
    force
        Run outside the model's scope; the result is marked.
    allow_duplicate_cells
        Accept repeated cell names; results can then be joined back by order only.
    full_digest
        Put the sha256 of the whole file into the provenance.
    explanation
        Explain the labels, and how; None does not.

    """

    device: Device = "auto"
    threads: int | None = None
    batch_size: int = DEFAULT_BATCH_SIZE
    groups: str | None = None
    slide_key: str | None = None
    outputs: tuple[str, ...] = ()
    source: str | None = None
    value_kind: ValueKind | None = None
    force: bool = False
    allow_duplicate_cells: bool = False
    full_digest: bool = False
    explanation: ExplanationOptions | None = None

    def __post_init__(self) -> None:
        if self.device not in get_args(Device):
            raise InvalidOption("device", self.device, get_args(Device))
        if self.value_kind is not None and self.value_kind not in get_args(ValueKind):
            raise InvalidOption("value_kind", self.value_kind, get_args(ValueKind))
        for name, value in (("threads", self.threads), ("batch_size", self.batch_size)):
            if value is not None and value < 1:
                raise InvalidOption(name, str(value), ("a whole number from 1",))

    def flags(self) -> list[str]:
        """The flags of `zoo run` that change a result, for the command that makes it again."""
        flags: list[str] = []
        for name, value in (
            ("--source", self.source),
            ("--value-kind", self.value_kind),
            ("--groups", None if self.explanation else self.groups),
            ("--slide-key", self.slide_key),
        ):
            flags += [name, value] if value is not None else []
        for output in self.outputs:
            flags += ["--outputs", output]
        flags += self.explanation.flags() if self.explanation else []
        flags += ["--force"] if self.force else []
        return flags + (["--allow-duplicate-cells"] if self.allow_duplicate_cells else [])


@dataclass(frozen=True)
class Watch:
    """Where a run tells how it goes: `progress(cells done, cells)` and `notice(sentence)`."""

    progress: Callable[[int, int], None] = lambda done, total: None
    notice: Callable[[str], None] = lambda sentence: None


USUAL = RunOptions()
SILENT = Watch()
