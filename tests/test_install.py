"""The embedded hub in a wheel and in an editable install, each used from another folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tiny_model import write_tiny_model

from zoo.checkout import Checkout

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.install

PACKAGING = ("pyproject.toml", "hatch_build.py", "LICENSE", "README.md")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout whose only model is the tiny one."""
    root = tmp_path_factory.mktemp("source")
    for name in ("zoo", "converters", "containers"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    for name in PACKAGING:
        shutil.copy(ROOT / name, root / name)
    write_tiny_model(root / "cards" / "tiny")
    Checkout(root).build()
    return root


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, source)
    (built,) = folder.glob("cellzoo-*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment that holds the wheel and what it declares to need."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder)
    run(folder / "bin" / "python", "-m", "pip", "install", "-q", wheel)
    return folder / "bin" / "python"


def run(*words: str | Path, cwd: Path | None = None) -> str:
    """Run a command without this process's own settings."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    ran = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def listed(python: Path, elsewhere: Path) -> Any:
    return json.loads(run(python.with_name("zoo"), "list", "--json", cwd=elsewhere))


def test_a_wheel_holds_the_hub_and_only_that(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "zoo/embedded/registry.json",
        "zoo/embedded/cards/tiny/manifest.json",
        "zoo/embedded/cards/tiny/model.onnx",
    } <= names
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.startswith("cellzoo-")} == {"zoo", "converters"}


def test_a_wheel_from_any_folder(python: Path, tmp_path: Path) -> None:
    assert [model["name"] for model in listed(python, tmp_path)] == ["tiny"]
    zoo = python.with_name("zoo")
    pulled = json.loads(run(zoo, "pull", "tiny", "--offline", "--json", cwd=tmp_path))
    assert pulled["origin"] == "embedded:tiny"
    assert json.loads(run(zoo, "cache", "verify", "--json", cwd=tmp_path))["models"] == 1


def test_a_wheel_holds_what_images_are_built_from(python: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from zoo.imaging.build_context import PipNeeds, write_context; "
        "write_context(Path('context'), PipNeeds({}))"
    )
    context = tmp_path / "context"
    context.mkdir()
    run(python, "-c", code, cwd=tmp_path)
    assert (context / "containers" / "runner.Dockerfile").is_file()
    assert not list(context.rglob("*.onnx"))
    # As the Dockerfile does it: a package with the registry and without a model.
    (context / "cards").mkdir()
    run(python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, context)
    (made,) = tmp_path.glob("cellzoo-*.whl")
    names = zipfile.ZipFile(made).namelist()
    assert "zoo/embedded/registry.json" in names
    assert not [name for name in names if name.startswith("zoo/embedded/cards/")]


def test_an_editable_install_sees_a_changed_card(
    python: Path, source: Path, tmp_path: Path
) -> None:
    # In the place of the wheel: nothing of its copy of the hub may be left.
    run(python, "-m", "pip", "install", "-q", "--no-deps", "-e", source)
    where = run(python, "-c", "import zoo; print(zoo.__file__)", cwd=tmp_path).strip()
    assert Path(where).parent == source / "zoo"
    assert [model["version"] for model in listed(python, tmp_path)] == ["1.0.0"]

    write_tiny_model(source / "cards" / "tiny", version="1.1.0")
    Checkout(source).build()
    assert [model["version"] for model in listed(python, tmp_path)] == ["1.1.0"]
    pulled = run(python.with_name("zoo"), "pull", "tiny", "--json", cwd=tmp_path)
    assert json.loads(pulled)["version"] == "1.1.0"
