"""An order: one conversion, wholly decided from the command line and the plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from converters.importing.importer import TARGET_SUM, Importer, Source
from converters.importing.names import GeneTable, read_labels
from converters.importing.plan import ImportPlan
from converters.plan import read_plan
from zoo.errors import ConflictingOptions, FileMissing, InvalidPlan, UnknownSetting
from zoo.importers import ConvertRequest


@dataclass(frozen=True)
class ImportOrder:
    """One conversion.

    Attributes
    ----------
    plan
        With the command line's options in it.
    folder, data
        Where the plan's prose lies, and its data sets.

    """

    importer: Importer
    request: ConvertRequest
    plan: ImportPlan
    folder: Path
    data: Path

    @classmethod
    def of(cls, importer: Importer, request: ConvertRequest) -> ImportOrder:
        """Put an order together: the command line wins over the plan.

        Raises
        ------
        FileMissing, InvalidPlan, UnknownSetting, ConflictingOptions

        """
        plan = read_plan(request.config, ImportPlan) if request.config else ImportPlan()
        folder = request.config.parent if request.config else Path()
        settings = {**plan.settings, **request.settings}
        if unknown := sorted(set(settings) - set(importer.settings)):
            has = ", ".join(sorted(importer.settings)) or "none"
            raise UnknownSetting(importer.name, unknown[0], f"the importer has: {has}")
        name = request.name or plan.name or _name_of(request.output)
        try:
            plan = ImportPlan.model_validate(
                {**plan.model_dump(), **_told(plan, request), "name": name, "settings": settings}
            )
        except ValueError as error:
            detail = f"{name!r} or {request.version!r} is no name or version of a model"
            raise InvalidPlan(str(request.config or request.output), detail) from error
        order = cls(importer, request, plan, folder, request.data or folder)
        if order.calibration_file is not None and plan.calibration.label is None:
            raise ConflictingOptions("--calibrate needs --label with the column of the labels")
        if request.reference is not None and order.sample_file is None:
            raise ConflictingOptions("--reference holds answers for the cells of --sample: give it")
        for path in (request.source, order.calibration_file, order.sample_file, request.reference):
            if path is not None and not path.exists():
                raise FileMissing(str(path))
        return order

    @property
    def name(self) -> str:
        """Name of the model."""
        assert self.plan.name is not None, "an order has a name"
        return self.plan.name

    @property
    def calibration_file(self) -> Path | None:
        """Labelled cells to calibrate on."""
        planned = self.plan.calibration.file
        return self.request.calibrate or (self.data / planned if planned else None)

    @property
    def sample_file(self) -> Path | None:
        """Cells to take the sample from; None for made-up ones."""
        planned = self.plan.sample.file
        return self.request.sample or (self.data / planned if planned else None)

    @property
    def source(self) -> Source:
        """What the importer is given.

        Raises
        ------
        FileMissing, UnreadableWeights, RepeatedNames

        """
        request, plan = self.request, self.plan
        return Source(
            path=request.source,
            format=self.importer.name,
            genes=GeneTable.read(request.genes) if request.genes else None,
            labels=read_labels(request.labels) if request.labels else None,
            values=plan.values,
            target_sum=plan.target_sum or TARGET_SUM,
            settings=plan.settings,
        )


def _told(plan: ImportPlan, request: ConvertRequest) -> dict[str, object]:
    """The fields of the plan about which the command line says something."""
    told: dict[str, object] = {
        name: value
        for name in ("version", "values", "target_sum")
        if (value := getattr(request, name)) is not None
    }
    calibration = {
        name: value
        for name in ("label", "mapping", "group", "alpha")
        if (value := getattr(request, name))
    }
    if calibration:
        told["calibration"] = {**plan.calibration.model_dump(), **calibration}
    return told


def _name_of(output: Path) -> str:
    return output.resolve().name.lower().replace("_", "-").replace(" ", "-")
