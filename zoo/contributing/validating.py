"""Validation of a model folder: is it complete, sound and honest, and what comes next?

    inspect   the files: listed, data, within bounds; card against its schema; nothing left to fill;
              claims backed by rows
    surface   the graph: the contract, a trial in a child process, one cell and many, the stored
              answers, invariance to a cell's scale where log values are taken
    deep      the numbers: the sample's labels found again, speed and memory measured anew

A level contains those before it. Checks after a failed one that they need are not made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from zoo.admission import ensure_graphs, ensure_spoken_for
from zoo.card import CellZooBlock
from zoo.contributing.hints import unfilled
from zoo.contributing.scaffold import PLAN, command_of
from zoo.contributing.trying import contract, parity, resources, sample_labels, scale
from zoo.errors import ValidationFailed, ZooError
from zoo.gate import files
from zoo.manifest import FILE_NAME, Manifest
from zoo.parts import ModelParts
from zoo.pull import PulledModel, in_place

Level = Literal["inspect", "surface", "deep"]
LEVELS: tuple[Level, ...] = get_args(Level)
CARD = "README.md"
Status = Literal["passed", "failed", "missing", "note"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    check
        What was looked at.
    status
        `missing` is what only the author can fill; `note` stops nothing.
    detail
        What was found.
    remedy
        What to do about it.

    """

    level: Level
    check: str
    status: Status
    detail: str
    remedy: str = ""

    @property
    def stops(self) -> bool:
        """Whether the folder may not be published with it."""
        return self.status in ("failed", "missing")


@dataclass
class Report:
    """All findings of a validation."""

    folder: Path
    level: Level
    findings: list[Finding] = field(default_factory=list)
    manifest: Manifest | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing stops the folder."""
        return not any(finding.stops for finding in self.findings)

    @property
    def next_step(self) -> str:
        """One sentence: where the author is, and what to do now."""
        stopping = [finding for finding in self.findings if finding.stops]
        if stopping:
            left = f" ({len(stopping) - 1} more after it)" if len(stopping) > 1 else ""
            return f"Next: {stopping[0].remedy or stopping[0].detail}{left}"
        if self.level != "deep":
            deeper = LEVELS[LEVELS.index(self.level) + 1]
            return f"Next: zoo validate {self.folder} --level {deeper}"
        return f"Next: zoo publish {self.folder} --to URI"


def validate(folder: Path, level: Level = "surface") -> Report:
    """Validate a model folder.

    Raises
    ------
    FileMissing
        If there is no such folder.
    MissingExtra
        If PyYAML, which reads cards, is not installed.

    """
    report = Report(folder, level)
    steps: list[tuple[Level, Callable[[Report], Iterator[Finding]]]] = [
        ("inspect", _inspect),
        ("surface", _surface),
        ("deep", _deep),
    ]
    for name, step in steps:
        if LEVELS.index(name) > LEVELS.index(level):
            break
        report.findings.extend(step(report))
        failed = any(finding.status == "failed" for finding in report.findings)
        if failed or report.manifest is None:
            break
    return report


def ensure_valid(folder: Path, level: Level) -> Report:
    """Validate a folder that must pass.

    Raises
    ------
    ValidationFailed

    """
    report = validate(folder, level)
    if not report.passed or report.manifest is None:
        checks = [finding.check for finding in report.findings if finding.stops]
        raise ValidationFailed(str(folder), level, checks)
    return report


# -- inspect -------------------------------------------------------------------------------------


def _inspect(report: Report) -> Iterator[Finding]:
    folder = report.folder
    is_scaffold = (folder / PLAN).is_file() and not (folder / CARD).is_file()
    what = "plan" if is_scaffold else "card"
    hints = unfilled(folder)
    for place, hint in hints:
        yield Finding("inspect", what, "missing", f"{place} is not filled", hint)
    if is_scaffold and not hints:
        detail = "the plan is filled, and the model is not made yet"
        yield Finding("inspect", what, "missing", detail, command_of(folder))
    if is_scaffold or hints:
        return
    try:
        manifest = Manifest.of_folder(folder)
    except ZooError as error:
        yield _failed("inspect", "card", error)
        return
    known = (folder / FILE_NAME).read_bytes() if (folder / FILE_NAME).is_file() else b""
    try:
        if known:
            Manifest.parse(known, str(folder / FILE_NAME))
    except ZooError as error:
        yield _failed("inspect", "manifest", error)
        return
    report.manifest = manifest
    yield Finding("inspect", "card", "passed", f"{manifest.reference} follows the schema")
    yield from _files(folder, manifest)
    yield from _claims(manifest.card)
    if known and known != manifest.render():
        detail = "manifest.json does not follow from the card and the files"
        remedy = f"zoo validate {folder} --write makes it anew"
        yield Finding("inspect", "manifest", "failed", detail, remedy)


def _files(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    try:
        files.ensure_bounded(manifest)
        if (folder / FILE_NAME).is_file():
            files.ensure_listed(folder, manifest)
        for file in manifest.files:
            content = (folder / file.path).read_bytes()
            files.ensure_data(file, content, manifest.reference)
            if file.role == "card":
                ensure_spoken_for(manifest, content, str(folder))
    except ZooError as error:
        yield _failed("inspect", "files", error)
        return
    size = sum(file.size for file in manifest.files)
    detail = f"{len(manifest.files)} regular files, {size / 1e6:.1f} MB, all data"
    yield Finding("inspect", "files", "passed", detail)
    for role, why in (
        ("sample", "a sample of cells lets everybody test the model: sample.h5ad"),
        ("expected", "the source framework's answers for the sample: expected.h5"),
    ):
        if manifest.file(role) is None:  # type: ignore[arg-type]
            yield Finding("inspect", "files", "missing", f"no file has the role {role}", why)


def _claims(card: CellZooBlock) -> Iterator[Finding]:
    measured = [row for row in card.evaluation if row.method == "model"]
    if not measured:
        remedy = f"zoo evaluate ./{card.name} --data FILE.h5ad --label COLUMN --write"
        yield Finding("inspect", "evaluation", "missing", "nothing was measured", remedy)
        return
    baselines = {row.method for row in card.evaluation} - {"model"}
    if not baselines:
        remedy = "zoo evaluate … --training FILE.h5ad puts baselines beside the model"
        yield Finding("inspect", "evaluation", "missing", "no baseline stands beside it", remedy)
    else:
        detail = f"{len(measured)} rows of the model beside {len(baselines)} baselines"
        yield Finding("inspect", "evaluation", "passed", detail)
    claims = [*card.scope.works_well, *card.scope.works_poorly]
    if not card.scope.works_poorly:
        remedy = "say in scope.works_poorly where it fails, with the rows that show it"
        yield Finding("inspect", "scope", "missing", "no claim says where it fails", remedy)
    else:
        yield Finding("inspect", "scope", "passed", f"{len(claims)} claims backed by rows")
    if card.headline is None:
        detail = f"no row is the headline of a model for {card.task}"
        yield Finding("inspect", "headline", "note", detail)


# -- surface -------------------------------------------------------------------------------------


def _surface(report: Report) -> Iterator[Finding]:
    # In a process of its own first: what takes all memory or time must not do so in this one.
    try:
        pulled = in_place_of(report)
        ensure_graphs(pulled.manifest.card, {f.role: pulled.load(f) for f in pulled.files})
    except ZooError as error:
        yield _failed("surface", "trial", error)
        return
    yield Finding("surface", "trial", "passed", "within the limits of memory and time")
    try:
        parts = ModelParts.of(pulled)
        session = contract(parts)
    except ZooError as error:
        yield _failed("surface", "contract", error)
        return
    detail = f"{', '.join(sorted(session.inputs))} → {', '.join(session.outputs)}"
    yield Finding("surface", "contract", "passed", f"{detail}; 1 and 3 cells")
    try:
        if "log_normalized" in parts.card.inputs.value_kinds:
            yield _told("surface", "scale", *scale(session, parts))
        if pulled.manifest.file("sample") and pulled.manifest.file("expected"):
            yield _told("surface", "parity", *parity(pulled))
    except ZooError as error:
        yield _failed("surface", "parity", error)


def in_place_of(report: Report) -> PulledModel:
    """The folder as a pulled model; one without a manifest is read by the one that follows."""
    if (report.folder / FILE_NAME).is_file() or report.manifest is None:
        return in_place(report.folder)
    manifest = report.manifest
    return PulledModel(
        manifest,
        manifest.render(),
        str(report.folder),
        lambda file: (report.folder / file.path).read_bytes(),
    )


# -- deep ----------------------------------------------------------------------------------------


def _deep(report: Report) -> Iterator[Finding]:
    pulled = in_place_of(report)
    parts = ModelParts.of(pulled)
    if pulled.manifest.file("sample") is None:
        return
    if parts.labels is not None:
        yield _told("deep", "evaluation", *sample_labels(pulled))
    yield _told("deep", "resources", *resources(pulled))


# -- pieces --------------------------------------------------------------------------------------


def _failed(level: Level, check: str, error: ZooError) -> Finding:
    return Finding(level, check, "failed", error.message, error.hint)


def _told(level: Level, check: str, status: Status, detail: str, remedy: str = "") -> Finding:
    return Finding(level, check, status, detail, remedy)
