"""Reading and writing a card's file: YAML front matter between `---` lines, then prose.

Reading a card needs PyYAML (the `hub`, `train` and `convert` extras); the runner reads the manifest
instead, which holds the same block as JSON.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from zoo.card import CellZooBlock
from zoo.errors import InvalidCard, MissingExtra
from zoo.model_index import to_model_index

MAXIMUM_BYTES = 4_000_000
MAXIMUM_FRONT_MATTER = 1_000_000
"""Characters: a megabyte of YAML takes seconds to read."""

_DEEPEST = 32
_PROBLEMS = 5

_FRONT_MATTER = re.compile(r"\A---\r?\n(.*?)^---\r?\n?(.*)\Z", re.S | re.M)


@dataclass(frozen=True)
class ModelCard:
    """A card: its front matter's `cellzoo` block and its prose.

    Attributes
    ----------
    block
        The validated block.
    prose
        Markdown below the front matter.

    """

    block: CellZooBlock
    prose: str

    @classmethod
    def read(cls, path: Path) -> ModelCard:
        """Read and validate a card.

        Raises
        ------
        InvalidCard
            If the file has no front matter, is not YAML, breaks the schema, or its `model-index`
            is not the one that follows from its evaluation rows.
        MissingExtra
            If PyYAML is not installed.

        """
        if path.stat().st_size > MAXIMUM_BYTES:
            raise InvalidCard(str(path), f"larger than {MAXIMUM_BYTES:,} bytes")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InvalidCard(str(path), f"not UTF-8 text ({error.reason})") from error
        return parse_card(text, str(path))

    def render(self) -> str:
        """The text of the card's file."""
        return f"---\n{_dump(front_matter(self.block))}---\n{self.prose}"


def parse_card(text: str, path: str) -> ModelCard:
    """Validate the text of a card; as `ModelCard.read`."""
    front, prose = split(text, path)
    matter = load_yaml(front, path)
    if "cellzoo" not in matter:
        raise InvalidCard(path, "cellzoo: missing")
    try:
        block = CellZooBlock.model_validate(matter["cellzoo"])
    except ValidationError as error:
        raise InvalidCard(path, problems_of(error, "cellzoo")) from error
    if matter.get("model-index") != to_model_index(block):
        raise InvalidCard(path, "model-index: does not follow from cellzoo.evaluation")
    return ModelCard(block, prose)


def front_matter(block: CellZooBlock) -> dict[str, Any]:
    """Hugging Face's standard keys, as they follow from the block, and the block itself."""
    return {
        "license": block.license,
        "library_name": "cellzoo",
        "pipeline_tag": "other",
        "tags": [
            "single-cell",
            "biology",
            "onnx",
            block.task.replace("_", "-"),
            block.architecture,
        ],
        "datasets": sorted({source.accession for source in block.data}),
        "metrics": sorted({row.metric for row in block.evaluation}),
        "model-index": to_model_index(block),
        "cellzoo": block.model_dump(mode="json", exclude_none=False),
    }


def _dump(matter: dict[str, Any]) -> str:
    """Front matter as YAML, with each measured row in as few lines as its text needs."""
    yaml = require_yaml()

    class Dumper(yaml.SafeDumper):  # type: ignore[name-defined, misc]
        """Writes no aliases, which a reader refuses."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    class Flow(dict[str, Any]):
        """A mapping written as `{key: value, …}`."""

    Dumper.add_representer(
        Flow,
        lambda dumper, row: dumper.represent_mapping("tag:yaml.org,2002:map", row, flow_style=True),
    )
    block = dict(matter["cellzoo"])
    for rows in ("evaluation", "robustness"):
        block[rows] = [Flow(row) for row in block[rows]]
    if block["explanation"] is not None:
        explained = block["explanation"]
        block["explanation"] = {**explained, "rows": [Flow(row) for row in explained["rows"]]}
    index = [
        {**entry, "results": [Flow(result) for result in entry["results"]]}
        for entry in matter["model-index"]
    ]
    text: str = yaml.dump(
        {**matter, "model-index": index, "cellzoo": block},
        Dumper=Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )
    return text


def split(text: str, path: str) -> tuple[str, str]:
    """Front matter and prose of a card's text."""
    match = _FRONT_MATTER.match(text)
    if match is None:
        raise InvalidCard(path, "no front matter between two '---' lines at the top")
    return match.group(1), match.group(2)


def problems_of(error: ValidationError, prefix: str = "") -> str:
    """The first problems of a validation, each as `field.path: what is wrong`."""
    told = []
    for problem in error.errors(include_url=False, include_input=False)[:_PROBLEMS]:
        place = (*([prefix] if prefix else []), *problem["loc"])
        where = ".".join(str(part) for part in place)
        told.append(f"{where}: {problem['msg']}" if where else problem["msg"].rstrip("."))
    more = error.error_count() - len(told)
    return "; ".join(told) + (f"; and {more} more" if more else "")


def require_yaml(extra: str = "hub", purpose: str = "read or write model cards") -> Any:
    """The package PyYAML.

    Raises
    ------
    MissingExtra

    """
    try:
        import yaml
    except ImportError as error:
        raise MissingExtra(extra, purpose) from error
    return yaml


def load_yaml(front: str, path: str) -> dict[str, Any]:
    """Front matter, read as plain data within limits.

    Raises
    ------
    InvalidCard
        If it is too large or no YAML, has an alias, a key twice, or a tag of its own.
    MissingExtra

    """
    yaml = require_yaml()
    if len(front) > MAXIMUM_FRONT_MATTER:
        detail = f"its front matter has more than {MAXIMUM_FRONT_MATTER:,} characters"
        raise InvalidCard(path, detail)
    try:
        _ensure_simple(front, path)
        loader = yaml.SafeLoader(front)
        node = loader.get_single_node()
        _ensure_each_key_once(node, path)
        matter = loader.construct_document(node) if node is not None else None
    except yaml.YAMLError as error:
        raise InvalidCard(path, f"not YAML: {' '.join(str(error).split())[:200]}") from error
    except (ValueError, OverflowError) as error:  # a date or number that is none
        raise InvalidCard(path, f"not YAML: {str(error)[:200]}") from error
    if not isinstance(matter, dict):
        raise InvalidCard(path, "the front matter is not a mapping")
    return matter


def _ensure_simple(front: str, path: str) -> None:
    """Refuse aliases, which let a small text expand without bound, and nesting that takes hours."""
    yaml = require_yaml()
    opening = (yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken,
               yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken)  # fmt: skip
    closing = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
    depth = 0
    for token in yaml.scan(front):
        if isinstance(token, yaml.AliasToken):
            raise InvalidCard(path, "YAML aliases are not accepted")
        depth += isinstance(token, opening) - isinstance(token, closing)
        if depth > _DEEPEST:
            raise InvalidCard(path, f"its YAML is nested more than {_DEEPEST} deep")


def _ensure_each_key_once(node: Any, path: str) -> None:
    """Refuse a mapping with a key twice: two readers would understand two things."""
    yaml = require_yaml()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            seen = set[str]()
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise InvalidCard(path, "a key is no text")
                if key.value in seen:
                    raise InvalidCard(path, f"the key {key.value[:80]!r} comes twice")
                seen.add(key.value)
                waiting.append(value)
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
