"""Whatever the bytes are: an answer or an error of CellZoo's own, and nothing else happens."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnxruntime
import pytest
from fuzzing import FACTOR, JSON, changed, damaged, examples
from hostile_graphs import with_properties
from hypothesis import given
from hypothesis import strategies as st
from labelled_file import write_labelled
from tiny_model import labels_table, tiny_block, tiny_graph, write_tiny_model

from zoo.bundles.archive import read_bundle
from zoo.bundles.packing import write_bundle
from zoo.card_file import ModelCard, front_matter, parse_card
from zoo.errors import ZooError
from zoo.gate.graph import ensure_harmless, read_graph
from zoo.gate.wire import Malformed, fields
from zoo.labels import LabelTable
from zoo.manifest import Manifest
from zoo.pathways import PathwayTable
from zoo.pull import in_place
from zoo.registry import Entry, Registry
from zoo.settings import Settings
from zoo.subscriptions import Subscriptions
from zoo.vocabulary import GeneVocabulary

GENES = b"symbol\n"
CARD = ModelCard(tiny_block(), "# tiny\n").render()
GRAPH = with_properties(tiny_graph(6, 3), GENES)


@cache
def made() -> tuple[Manifest, bytes]:
    """A manifest, and a bundle."""
    with TemporaryDirectory() as folder:
        pulled = in_place(write_tiny_model(Path(folder) / "tiny"))
        entry = Entry.of(pulled.manifest, ["bundle:"])
        write_bundle(pulled, entry, Path(folder) / "tiny.tar")
        return pulled.manifest, (Path(folder) / "tiny.tar").read_bytes()


def registry() -> Registry:
    return Registry(registry_version=1, models=[Entry.of(made()[0], ["embedded:tiny"])])


# -- texts ---------------------------------------------------------------------------------------


@examples(60)
@given(damaged(CARD.encode()).map(lambda content: content.decode("utf-8", "replace")))
def test_card(text: str) -> None:
    with suppress(ZooError):
        assert parse_card(text, "README.md").render()


@examples(60)
@given(changed(json.loads(json.dumps(front_matter(tiny_block())))))
def test_card_with_other_values(matter: Any) -> None:
    with suppress(ZooError):  # JSON is YAML, but for some characters
        parse_card(f"---\n{json.dumps(matter)}\n---\n", "README.md").render()


@examples(60)
@given(st.text(alphabet="[]{}&*!|>-:,?#'\"%@` \n\tab0.~<", max_size=60))
def test_yaml(text: str) -> None:
    with suppress(ZooError):
        parse_card(f"---\n{text}\n---\n", "README.md")


@examples(60)
@given(st.data())
def test_manifest(data: st.DataObject) -> None:
    told = data.draw(changed(json.loads(made()[0].render())))
    with suppress(ZooError):
        manifest = Manifest.parse(json.dumps(told).encode(), "manifest.json")
        assert manifest.render()
        assert all(not file.path.startswith(("/", ".")) for file in manifest.files)


@examples(40)
@given(st.data())
def test_registry(data: st.DataObject) -> None:
    told = data.draw(changed(json.loads(registry().render())))
    with suppress(ZooError):
        read = Registry.parse(json.dumps(told).encode(), "registry.json")
        assert read.render()
        read.resolve(data.draw(st.text(max_size=20)))


@examples(40)
@given(st.data())
def test_subscriptions(data: st.DataObject) -> None:
    known = {"registries": [{"uri": "s3://x", "registry": json.loads(registry().render())}]}
    with TemporaryDirectory() as folder:
        (Path(folder) / "registries.json").write_text(json.dumps(data.draw(changed(known))))
        with suppress(ZooError):
            Subscriptions.read(Settings(cache=Path(folder), config=Path(folder)))


@examples(40)
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_json_of_any_kind(content: bytes) -> None:
    for parse in (Manifest.parse, Registry.parse):
        with suppress(ZooError):
            parse(content, "x")


@pytest.mark.parametrize("table", [GeneVocabulary, LabelTable, PathwayTable])
@examples(40)
@given(data=st.data())
def test_tables(table: Any, data: st.DataObject) -> None:
    sound = {
        GeneVocabulary: b"symbol\tweight\nA\t0.5\nB\t0.5\n",
        LabelTable: labels_table(3).encode(),
        PathwayTable: b"pathway\tsource\tlicense\tgenes\na\tx\ty\tA B\n",
    }[table]
    with suppress(ZooError):
        table.parse(data.draw(damaged(sound)), model="tiny@1.0.0")


# -- graphs --------------------------------------------------------------------------------------


FIELDS = st.integers(1, 30) | st.integers(1 << 29, 1 << 40)


def varint(number: int) -> bytes:
    pieces = []
    while number >= 0x80:
        pieces.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*pieces, number])


def encoded(number: int, value: int | float | memoryview, tag_bits: int = 0) -> bytes:
    """A field; `tag_bits` are added to its tag."""
    kind = {int: 0, float: 5}.get(type(value), 2)
    tag = varint((number << 3 | kind) | tag_bits)
    if isinstance(value, int):
        return tag + varint(value)
    if isinstance(value, float):
        return tag + struct.pack("<f", value)
    return tag + varint(len(value)) + bytes(value)


@st.composite
def message(draw: Any, depth: int = 4) -> bytes:
    """A message of protobuf with any fields, nested ones too."""
    content = b""
    for _ in range(draw(st.integers(0, 5))):
        anything = st.integers(0, (1 << 64) - 1) | st.floats(width=32) | st.binary(max_size=9)
        nested = message(depth - 1) if depth else anything
        content += encoded(draw(FIELDS), draw(anything | nested))
    return content


@st.composite
def remade(draw: Any, content: bytes, depth: int = 5) -> bytes:
    """A message with one of its fields dropped, doubled, moved, disguised or changed inside."""
    pieces = [(number, value, 0) for number, value in fields(memoryview(content))]
    if not pieces:
        return content
    at = draw(st.integers(0, len(pieces) - 1))
    number, value, _ = pieces[at]
    match draw(st.sampled_from(["inside"] * 6 + ["drop", "double", "move", "disguise", "number"])):
        case "drop":
            del pieces[at]
        case "double":
            pieces.insert(draw(st.integers(0, len(pieces))), pieces[at])
        case "move":
            pieces.insert(draw(st.integers(0, len(pieces) - 1)), pieces.pop(at))
        case "disguise":  # a tag that some readers cut to 32 bits
            pieces.insert(at, (number, value, 1 << draw(st.integers(32, 40))))
        case "number":
            pieces[at] = (draw(FIELDS), value, 0)
        case _ if isinstance(value, memoryview):
            pieces[at] = (number, draw(inside(bytes(value), depth)), 0)
        case _:
            pieces[at] = (number, draw(st.integers(0, 40) | st.integers(0, (1 << 64) - 1)), 0)
    return b"".join(encoded(*piece) for piece in pieces)


def inside(content: bytes, depth: int) -> st.SearchStrategy[bytes]:
    """Bytes that may be a message, a text or numbers, with something else in them."""
    names = st.sampled_from([b"counts", b"prob", b"label", b"weights", b"Identity", b"Loop", b""])
    try:
        list(fields(memoryview(content)))
    except Malformed:
        return damaged(content) | names
    return remade(content, depth - 1) if depth and content else damaged(content) | names


@examples(150)
@given(damaged(GRAPH) | remade(GRAPH))
def test_damaged_graph(content: bytes) -> None:
    with suppress(ZooError):
        ensure_harmless(content, tiny_block(), GENES)


@examples(150)
@given(message(), st.booleans())
def test_any_message(content: bytes, is_behind: bool) -> None:
    """By itself, and as more fields of a sound graph."""
    with suppress(ZooError):
        read_graph(GRAPH + content if is_behind else content, "tiny@1.0.0")


@examples(200)
@given(remade(GRAPH) | message().map(lambda content: GRAPH + content))
def test_what_passes_is_what_the_runtime_reads(content: bytes) -> None:
    """The gate and ONNX Runtime must not understand two things by the same bytes."""
    try:
        facts = read_graph(content, "tiny@1.0.0")
    except ZooError:
        return
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception:  # a dozen unrelated classes
        return
    assert {node.name for node in session.get_inputs()} == set(facts.inputs)
    assert {node.name for node in session.get_outputs()} == set(facts.outputs)
    assert session.get_modelmeta().custom_metadata_map == facts.metadata


# -- bundles and samples -------------------------------------------------------------------------


@examples(60)
@given(st.data())
def test_bundle(data: st.DataObject) -> None:
    sound = made()[1]
    at = 512 * data.draw(st.integers(0, 6))
    content = sound[:at] + data.draw(damaged(sound[at : at + 512])) + sound[at + 512 :]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.tar"
        path.write_bytes(content)
        with suppress(ZooError):
            read_bundle(path).verify()
        assert [entry.name for entry in Path(folder).iterdir()] == ["x.tar"]


_READER = """
import json, os, resource, signal, sys
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
from zoo.errors import ZooError
from zoo.reading import open_dataset


def read(path):
    with open_dataset(path) as dataset:
        for matrix in dataset.matrices:
            dataset.genes(matrix.source)
            for block in dataset.blocks(matrix.source):
                pass
        for column in dataset.obs_columns:
            dataset.obs(column)
        dataset.cell_names(0, min(dataset.cells, 1000))
        dict(dataset.uns)


ended = {}
for path in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        signal.setitimer(signal.ITIMER_REAL, 2)
        code = 0
        try:
            read(path)
        except ZooError:
            pass
        except BaseException:
            import traceback
            traceback.print_exc()
            code = 1
        os._exit(code)
    ended[path] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(ended))
"""


def test_damaged_h5ad(tmp_path: Path) -> None:
    """Each in a child of two seconds, since HDF5 itself may loop or crash on damage.

    What Python raises is ours, and only errors of ours may come; a child that a signal ends is
    HDF5's, known and rare.
    """
    sound = write_labelled(tmp_path / "sound.h5ad", 20).read_bytes()
    draw = random.Random(0)
    paths = []
    for number in range(120 * FACTOR):
        data = bytearray(sound)
        for _ in range(draw.choice([1, 1, 4, 40])):
            # Most of what HDF5 says of itself lies at the front of such a file.
            at = draw.randrange(len(data) if draw.random() < 0.5 else 4096)
            data[at] = draw.choice([0, 1, 0x7F, 0xFF, draw.randrange(256)])
        if draw.random() < 0.1:
            del data[draw.randrange(len(data)) :]
        paths.append(tmp_path / f"{number}.h5ad")
        paths[-1].write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", _READER, *map(str, paths)], capture_output=True, check=True
    )
    codes = json.loads(done.stdout).values()
    assert 1 not in codes, done.stderr.decode()[-3000:]
    ended = [code for code in codes if code < 0]
    assert len(ended) <= max(2, len(paths) // 30), f"HDF5 ended by signals {ended}"
