from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from tiny_model import tiny_block

from zoo.card import CellZooBlock
from zoo.card_file import MAXIMUM_BYTES, ModelCard
from zoo.errors import InvalidCard
from zoo.model_index import from_model_index, to_model_index

ROOT = Path(__file__).parents[1]

CARDS = sorted(ROOT.glob("cards/*/README.md"))


@pytest.fixture(params=["tiny", *(path.parent.name for path in CARDS)])
def card_path(request: pytest.FixtureRequest, tiny_source: Path) -> Path:
    """The tiny model's card, then each shipped one."""
    shipped = {path.parent.name: path for path in CARDS}
    return shipped.get(request.param, tiny_source / "README.md")


def test_a_card_is_what_its_block_renders(card_path: Path) -> None:
    card = ModelCard.read(card_path)
    assert card.render() == card_path.read_text(encoding="utf-8")
    assert card.prose.strip()


def test_hugging_face_loads_the_card(card_path: Path) -> None:
    huggingface_hub = pytest.importorskip("huggingface_hub")
    block = ModelCard.read(card_path).block
    loaded = huggingface_hub.ModelCard.load(card_path)
    assert loaded.data.library_name == "cellzoo"
    assert loaded.data.license == block.license
    assert loaded.data.to_dict()["cellzoo"]["name"] == block.name


def test_evaluation_rows_survive_hugging_face(card_path: Path) -> None:
    huggingface_hub = pytest.importorskip("huggingface_hub")
    block = ModelCard.read(card_path).block
    data = huggingface_hub.ModelCard.load(card_path).data
    assert {type(result).__name__ for result in data.eval_results} == {"EvalResult"}
    own = [row for row in block.evaluation if row.method == "model"]
    assert len(data.eval_results) == len(own)
    assert by_id(from_model_index(data.to_dict()["model-index"])) == by_id(own)


def by_id(rows: Any) -> list[Any]:
    # Hugging Face puts results of one data set together; an id says which row is which.
    return sorted(rows, key=lambda row: row.id)


def test_model_index_holds_the_models_own_rows() -> None:
    block = tiny_block()
    own = [row for row in block.evaluation if row.method == "model"]
    assert own
    assert from_model_index(to_model_index(block)) == own


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("# no front matter\n", "front matter"),
        ("---\na: [\n---\n", "not YAML"),
        ("---\n- a\n---\n", "not a mapping"),
        ("---\nlicense: mit\n---\n", "cellzoo: missing"),
        ("---\na: &a [1]\nb: *a\n---\n", "aliases"),
        ("---\ncellzoo: {card_version: 2}\n---\n", "card_version"),
    ],
)
def test_what_is_no_card(tmp_path: Path, text: str, detail: str) -> None:
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(InvalidCard, match=detail):
        ModelCard.read(path)


def test_bytes_that_are_no_card(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_bytes(b"---\n\xff\n---\n")
    with pytest.raises(InvalidCard, match="UTF-8"):
        ModelCard.read(path)
    path.write_bytes(b" " * (MAXIMUM_BYTES + 1))
    with pytest.raises(InvalidCard, match="larger"):
        ModelCard.read(path)


def test_a_model_index_of_its_own_is_refused(tiny_hub: Path) -> None:
    path = tiny_hub / "README.md"
    front, prose = path.read_text().removeprefix("---\n").split("---\n", 1)
    matter = yaml.safe_load(front)
    matter["model-index"][0]["results"][0]["metrics"][0]["value"] = 1.0
    path.write_text(f"---\n{yaml.dump(matter)}---\n{prose}")
    with pytest.raises(InvalidCard, match="does not follow"):
        ModelCard.read(path)


def _set(*keys: str | int, to: Any) -> Callable[[Any], None]:
    def change(block: Any) -> None:
        for key in keys[:-1]:
            block = block[key]
        block[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (_set("name", to="Not A Name"), "name"),
        (_set("version", to="1.0"), "version"),
        (_set("summary", to="\x1b[31mred"), "summary"),
        (_set("task", to="fortune_telling"), "task"),
        (_set("extra", to=1), "extra"),
        (_set("inputs", "gene_coverage", to=1.1), "gene_coverage"),
        (_set("inputs", "value_kinds", to=[]), "value_kinds"),
        (_set("outputs", 0, "name", to="guess"), "outputs.0.name"),
        (_set("scope", "works_well", 0, "rows", to=["none"]), "rows that do not exist"),
        (_set("tolerances", to={}), "outputs without a tolerance"),
        (_set("calibration", to=None), "no calibration"),
        (_set("evaluation", 1, "id", to="test.model"), "not unique"),
        (_set("changelog", 0, "version", to="0.9.0"), "changelog"),
        (_set("data", to=[]), "data"),
    ],
)
def test_a_block_that_breaks_the_schema(change: Callable[[Any], None], detail: str) -> None:
    block = tiny_block().model_dump(mode="json")
    change(block)
    with pytest.raises(ValidationError, match=detail):
        CellZooBlock.model_validate(block)


def test_a_card_cannot_be_changed_after_reading() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        tiny_block().name = "other"  # type: ignore[misc]


def test_generated_documents_are_up_to_date() -> None:
    """JSON Schemas, docs/errors.md and docs/cli.md: `python docs/generate.py` makes them."""
    documents = runpy.run_path(str(ROOT / "docs" / "generate.py"))["documents"]()
    outdated = [p for p, text in documents.items() if (ROOT / p).read_text("utf-8") != text]
    assert outdated == []
