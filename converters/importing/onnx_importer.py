"""Foreign ONNX graphs: one matrix of normalized values in, class scores or named outputs out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from converters.importing.foreign_graph import SETTINGS, read_graph, wrapped
from converters.importing.importer import ImportedModel, Importer, Source
from zoo.errors import UnreadableWeights
from zoo.onnx_graph import require_onnx

MAXIMUM_BYTES = 1 << 30


class Onnx(Importer):
    """A graph that was made for another program."""

    name: ClassVar[str] = "onnx"
    summary: ClassVar[str] = "a foreign ONNX graph: normalized values in, class scores out"
    settings: ClassVar[Mapping[str, str]] = SETTINGS

    def read(self, source: Source) -> ImportedModel:
        """Check the graph and put it into one of the contract."""
        onnx = require_onnx("convert", "convert weights")
        if not source.path.is_file():
            raise UnreadableWeights(str(source.path), self.name, "it is no file")
        if source.path.stat().st_size > MAXIMUM_BYTES:
            detail = f"it is larger than {MAXIMUM_BYTES:,} bytes"
            raise UnreadableWeights(str(source.path), self.name, detail)
        model = read_graph(source.path.read_bytes(), source, onnx)
        return wrapped(model, source, architecture="onnx-graph")
