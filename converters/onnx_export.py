"""From a torch module to an ONNX graph that keeps the contract."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from zoo.digest import sha256_of

OPSET = 18
MAXIMUM_IR = 10


def to_onnx(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    *,
    name: str,
    version: str,
    genes_table: bytes,
) -> bytes:
    """Export a module; the number of cells, and of a spatial graph's edges, is free.

    Parameters
    ----------
    module
        A module whose arguments are the inputs, in their order.
    inputs
        Example inputs, at least 3 cells: torch specialises on 0, 1 and sometimes 2.
    outputs
        Names of the outputs, in order.
    name, version, genes_table
        For the metadata by which a runner holds the graph against its card.

    """
    cells, edges = torch.export.Dim("cells", min=1), torch.export.Dim("edges", min=2)
    free = {
        "counts": {0: cells},
        "total_counts": {0: cells},
        "edge_index": {1: edges},
        "edge_weight": {0: edges},
    }
    shapes = {key: free.get(key) for key in inputs}
    with warnings.catch_warnings(), quiet_exporter():
        warnings.simplefilter("ignore")  # torch's exporter warns about its own future
        program = torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple(shapes.values()),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    buffer = io.BytesIO()
    program.save(buffer)
    metadata = {
        "cellzoo_contract": "1",
        "cellzoo_name": name,
        "cellzoo_version": version,
        "cellzoo_genes_sha256": sha256_of(genes_table),
    }
    return finished(buffer.getvalue(), metadata)


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Without the exporter's notes on packages that it would use if they were there."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def finished(graph: bytes, metadata: Mapping[str, str]) -> bytes:
    """Strip what training left behind, set the metadata and check the graph."""
    import onnx

    proto = onnx.load_from_string(graph)
    proto.ir_version = min(proto.ir_version, MAXIMUM_IR)
    for node in proto.graph.node:  # stack traces and paths of the exporting machine
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        value.ClearField("metadata_props")
    for tensor in proto.graph.initializer:
        tensor.ClearField("metadata_props")
    proto.graph.ClearField("metadata_props")
    proto.ClearField("metadata_props")
    proto.graph.ClearField("value_info")
    onnx.helper.set_model_props(proto, dict(metadata))
    onnx.checker.check_model(proto, full_check=True)
    _refuse_other_domains(proto)
    return proto.SerializeToString(deterministic=True)


def _refuse_other_domains(proto: Any) -> None:
    domains = {node.domain for node in proto.graph.node} - {"", "ai.onnx"}
    loops = {node.op_type for node in proto.graph.node} & {"Loop", "Scan", "If"}
    if domains or loops or proto.functions:
        raise ValueError(f"the graph uses {sorted(domains | loops)} or functions of its own")
