"""Models in Python: `zoo.load(name)` gives a model that predicts on files and AnnData objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

from zoo import runner
from zoo.card import CellZooBlock, ValueKind
from zoo.parts import ModelParts
from zoo.predictions import Predictions
from zoo.pull import pull
from zoo.run_options import DEFAULT_BATCH_SIZE, RunOptions
from zoo.session import Device
from zoo.settings import Settings

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class Model:
    """A pretrained model, verified and loaded.

    Attributes
    ----------
    parts
        Card, vocabulary, labels and graph.

    """

    parts: ModelParts

    @property
    def card(self) -> CellZooBlock:
        """The model's card: scope, evaluation, thresholds, training."""
        return self.parts.card

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of `prob`'s columns; empty without classes."""
        return self.parts.labels.names if self.parts.labels else ()

    def __repr__(self) -> str:
        return f"<zoo.Model {self.card.reference} ({self.card.task})>"

    def predict(
        self,
        data: str | PathLike[str] | AnnData,
        *,
        outputs: str | Sequence[str] = (),
        groups: str | None = None,
        slide_key: str | None = None,
        source: str | None = None,
        value_kind: ValueKind | None = None,
        force: bool = False,
        allow_duplicate_cells: bool = False,
        device: Device = "auto",
        threads: int | None = None,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Predictions:
        """Predict every cell of a file or of an AnnData in memory, which is not changed.

        Parameters
        ----------
        data
            Path of an `.h5ad`, `.zarr`, Cell Ranger `.h5` or matrix folder, or an AnnData.
        outputs
            Outputs beyond the usual ones: `prob` [cells, classes], `conformal_p`, `in_set`.
        groups
            Column of obs whose groups get one call each (`group_call`).
        slide_key
            Column of obs that names the slides, for a spatial model.
        source
            The matrix to read: `X`, `raw/X` or a layer's name; by default the first with counts.
        value_kind
            What the values are, where the evidence should be overruled.
        force
            Predict outside the model's scope: every cell gets the column `forced`, and no verdict
            is better than `borderline`.
        allow_duplicate_cells
            Accept repeated cell names.
        device
            `auto`, `cpu` or `cuda`.
        threads
            Blocks worked on side by side; by default what this process may use.
        batch_size
            Cells in one block.

        Raises
        ------
        DataError
            If values, genes or cell names cannot be used.
        OutOfScope
            If the model was not made for this data and `force` is off.
        DeviceUnavailable, UnknownOutputs
            If what was asked for is not there.

        """
        options = RunOptions(
            device=device,
            threads=threads,
            batch_size=batch_size,
            groups=groups,
            slide_key=slide_key,
            outputs=(outputs,) if isinstance(outputs, str) else tuple(outputs),
            source=_source_of(source),
            value_kind=value_kind,
            force=force,
            allow_duplicate_cells=allow_duplicate_cells,
        )
        return runner.predict(self.parts, data, options)


def load(reference: str, *, settings: Settings | None = None) -> Model:
    """Pull a model by name (or take it from the cache) and load it.

    Parameters
    ----------
    reference
        `name`, `name@version`, or the path of a model folder.
    settings
        Cache, model folders and offline mode; by default from the environment.

    Raises
    ------
    NotFound
        If there is no such model or version.
    IntegrityError
        If a file is not what its manifest says.
    HubError
        If it has to be fetched and cannot be.

    """
    return Model(ModelParts.of(pull(reference, settings=settings or Settings.read())))


def _source_of(source: str | None) -> str | None:
    """The place of a matrix in a file, from how scanpy's users name it."""
    if source is None or source in ("X", "raw/X") or source.startswith("layers/"):
        return source
    return f"layers/{source}"
