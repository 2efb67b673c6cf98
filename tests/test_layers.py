"""Imports point downwards: each module of the package belongs to a layer and imports none above."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "zoo"

LAYERS = {
    4: """
        cli reporting __main__
    """,
    3: """
        searching runner model annotation preparing parity inference count_stream
        examination provenance training_data data portions domains run_options evaluation
        recipes importers calibrating explanation explaining container imaging doctor
        adoption contributing
    """,
    2: """
        checkout onnx_graph pull parts cache shelf hubs session reading writing loaded
        bundles gpu trial admission subscriptions
    """,
    1: """
        card gate card_file headline catalogue model_index manifest registry vocabulary
        labels table alignment block value_kind near_integers organism validation
        confidence predictions ordered categories splitting trainability cell_rows
        gene_axis shuffle_buffer spatial_graph slides file_order clustering pathways
        top_genes
    """,
    0: """
        errors digest file_part json_text settings staging version
    """,
}
LAYER_OF = {name: layer for layer, names in LAYERS.items() for name in names.split()}

# Third-party packages that only one place may import; the tests' own fakes rely on it.
ONLY_IN = {"onnxruntime": {"session"}, "yaml": {"card_file"}, "zarr": {"reading"},
           "onnx": {"onnx_graph"}}  # fmt: skip
NEVER = {"torch", "converters", "pickle", "scipy", "requests"}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def room(path):
    """The first part of a module's path inside the package: its file or folder."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(path):
    """Imported modules, without those for type checkers only."""
    found = []

    def visit(node):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.extend(
                [f"zoo.{alias.name}" for alias in node.names]
                if node.module == "zoo"
                else [node.module]
            )
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    if room(path) == "__init__":
        return
    here = LAYER_OF[room(path)]
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "zoo":
            assert len(parts) > 1, "nothing imports from zoo/__init__.py"
            assert LAYER_OF[parts[1]] <= here, f"{path.name} imports {name}, which lies above it"
        assert parts[0] not in NEVER, f"{path.name} imports {name}"
        if parts[0] in ONLY_IN:
            assert room(path) in ONLY_IN[parts[0]], f"{path.name} imports {name}"


def test_importing_the_package_imports_none_of_its_modules():
    assert imports(PACKAGE / "__init__.py") == ["__future__", "importlib", "os", "typing",
                                                "zoo.version"]  # fmt: skip


def test_no_drawers():
    assert not [p for p in modules() if p.stem in ("utils", "helpers", "common", "misc")]


def test_the_contributing_guide_draws_the_same_layers():
    guide = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for layer, names in LAYERS.items():
        row = next(line for line in guide.splitlines() if line.startswith(f"| {layer} |"))
        for name in names.split():
            assert name == "__main__" or f"`{name}`" in row, f"{name} is not in layer {layer}"
