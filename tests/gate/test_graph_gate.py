from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import onnx
import onnxruntime
import pytest
from hostile_graphs import HOSTILE, graph_of, harmless, with_properties
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from tiny_model import tiny_block, write_tiny_model

from zoo.errors import InvalidGraph, ZooError
from zoo.gate.graph import ensure_harmless, read_graph
from zoo.gate.wire import Malformed, fields
from zoo.session import Session

ROOT = Path(__file__).parents[2]
GENES = b"symbol\n"


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_a_hostile_graph_is_refused_by_what_it_does(make) -> None:
    graph = with_properties(make(), GENES)
    with pytest.raises(InvalidGraph) as refused:
        ensure_harmless(graph, tiny_block(), GENES)
    assert refused.value.message == f"The graph of 'tiny@1.0.0' was refused: {HOSTILE[make]}."


def test_a_harmless_graph_passes() -> None:
    facts = ensure_harmless(with_properties(harmless(), GENES), tiny_block(), GENES)
    assert (facts.inputs, facts.outputs) == (("counts",), ("embedding",))
    assert facts.operators == {"Identity"}


@pytest.mark.parametrize(
    "key", ["cellzoo_contract", "cellzoo_name", "cellzoo_version", "cellzoo_genes_sha256"]
)
def test_metadata_agree_with_card_and_genes(key: str) -> None:
    graph = with_properties(harmless(), GENES, **{key: "other"})
    with pytest.raises(InvalidGraph, match=f"its metadata says {key} = 'other'"):
        ensure_harmless(graph, tiny_block(), GENES)


def test_the_gate_comes_before_the_session(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    genes = (folder / "genes.tsv").read_bytes()
    loop = with_properties(next(iter(HOSTILE))(), genes)
    with pytest.raises(InvalidGraph, match="'Loop'"):
        Session.open(loop, card=tiny_block(), genes=genes)


@pytest.mark.parametrize("path", sorted((ROOT / "cards").glob("*/*.onnx")), ids=lambda p: f"{p.parent.name}-{p.stem}")  # fmt: skip  # noqa: E501
def test_it_reads_what_onnx_reads(path: Path) -> None:
    content = path.read_bytes()
    facts = read_graph(content, path.parent.name)
    model = onnx.load_model_from_string(content)
    stored = {tensor.name for tensor in model.graph.initializer}
    assert facts.inputs == tuple(v.name for v in model.graph.input if v.name not in stored)
    assert facts.outputs == tuple(value.name for value in model.graph.output)
    assert facts.operators == {node.op_type for node in model.graph.node}
    assert facts.metadata == {entry.key: entry.value for entry in model.metadata_props}


# -- what two readers could understand in two ways -----------------------------------------------


def field(tag: bytes, content: bytes) -> bytes:
    return tag + bytes([len(content)]) + content


def other_graph() -> bytes:
    """Serialized; it is small enough for a length of one byte."""
    graph = graph_of([helper.make_node("Identity", ["counts"], ["extra"])]).graph
    graph.ClearField("input")
    graph.output[0].ClearField("type")
    graph.output[0].name = "extra"
    content: bytes = graph.SerializeToString()
    return content


SOUND = with_properties(harmless(), GENES)


@pytest.mark.parametrize(
    ("more", "detail"),
    [
        (field(b"\x3a", other_graph()), "field 7 of a message comes twice"),
        # ONNX Runtime keeps 32 bits of a tag: to it, this is field 7 too, and both are merged.
        (field(b"\xba\x80\x80\x80\x10", other_graph()), "a field number beyond all bounds"),
        (b"\x08\x08", "field 1 of a message comes twice"),
        (b"\x3b\x3c", "wire type 3"),
        (field(b"\x72", b"\x0a\x0ccellzoo_name\x12\x01x"), "'cellzoo_name' twice"),
        (field(b"\x42", b"\x10\x11"), "its opsets are"),
    ],
)
def test_something_more_behind_a_sound_graph(more: bytes, detail: str) -> None:
    with pytest.raises(InvalidGraph, match=detail):
        read_graph(SOUND + more, "tiny@1.0.0")


def test_a_disguised_second_graph_is_real() -> None:
    """What the gate refuses above is what the runtime would have run."""
    content = SOUND + field(b"\xba\x80\x80\x80\x10", other_graph())
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert [node.name for node in session.get_outputs()] == ["embedding", "extra"]


def test_numbers_in_the_wrong_encoding() -> None:
    """A reader of protobuf skips dimensions of fixed width; here they are no dimensions at all."""
    tensor = b"\x09" + bytes(8) + b"\x10\x01" + field(b"\x42", b"w")
    graph = field(b"\x3a", field(b"\x2a", tensor))
    with pytest.raises(InvalidGraph, match="something else where an integer is expected"):
        read_graph(b"\x08\x08" + field(b"\x42", b"\x10\x11") + graph, "tiny@1.0.0")


def test_the_runtimes_own_format() -> None:
    """It would be told by four bytes, whatever the rest is to us."""
    with pytest.raises(InvalidGraph, match="in the format of ONNX Runtime"):
        read_graph(b"\x08\x08\x12\x04ORTM" + SOUND, "tiny@1.0.0")


def test_millions_of_nothing() -> None:
    with pytest.raises(InvalidGraph, match="it has more than 500,000 fields"):
        read_graph(b"\xd2\x01\x00" * 500_001, "tiny@1.0.0")


# -- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"", "it holds no graph"),
        (b"\x0f", "wire type 7"),
        (b"\x00", "a field without a number"),
        (b"\x3a\x7f", "it ends before the 127 bytes that it announces"),
        (b"\x80" * 12, "a number of more than 10 bytes"),
        (b"\x08\x80", "it ends in the middle of a number"),
        (b"<html>not found</html>", "it is no ONNX model"),
    ],
)
def test_what_is_no_model(content: bytes, detail: str) -> None:
    with pytest.raises(InvalidGraph, match=detail):
        read_graph(content, "tiny@1.0.0")


def test_every_truncation_is_refused_or_read() -> None:
    content = with_properties(harmless(), GENES)
    for length in range(len(content)):
        with pytest.raises(InvalidGraph):
            ensure_harmless(content[:length], tiny_block(), GENES)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=400))
def test_random_bytes_never_crash_the_reader(content: bytes) -> None:
    with suppress(Malformed):
        list(fields(memoryview(content)))
    with suppress(ZooError):
        read_graph(content, "tiny@1.0.0")


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_a_changed_byte_never_crashes_the_gate(data: st.DataObject) -> None:
    content = bytearray(with_properties(harmless(), GENES))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ZooError):
        ensure_harmless(bytes(content), tiny_block(), GENES)
