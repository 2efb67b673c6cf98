"""Fixtures: a tiny model, a hub and a checkout that hold it, and the command in this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tiny_model import write_tiny_model

import zoo.cli
from zoo.checkout import Checkout
from zoo.manifest import Manifest
from zoo.registry import Entry, Registry
from zoo.settings import Settings

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees this machine's cache, models or wishes."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    for name in ("ZOO_MODELS", "ZOO_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def tiny_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, not to be changed."""
    return write_tiny_model(tmp_path_factory.mktemp("source") / "tiny")


@pytest.fixture
def tiny_hub(tiny_source: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model's folder, to be broken at will."""
    return Path(shutil.copytree(tiny_source, tmp_path / "hub" / "tiny"))


@pytest.fixture
def tiny_registry(tiny_hub: Path) -> Registry:
    """A registry that names `tiny_hub`."""
    return registry_of(tiny_hub)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache")


@pytest.fixture
def checkout(tiny_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A checkout with the tiny model, which stands for the embedded hub."""
    root = tmp_path / "checkout"
    shutil.copytree(tiny_source, root / "cards" / "tiny")
    made = Checkout(root)
    made.build()
    monkeypatch.setattr("zoo.hubs.embedded.embedded_root", lambda: root)
    return made


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run_zoo(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run `zoo` with these words in this process."""

    def run(*words: str | Path) -> Ran:
        capfd.readouterr()
        code = zoo.cli.execute([str(word) for word in words])
        return Ran(code, *capfd.readouterr())

    return run


def registry_of(*folders: Path) -> Registry:
    """A registry of model folders, by `file:` URIs."""
    models = []
    for folder in folders:
        manifest = Manifest.parse((folder / "manifest.json").read_bytes(), str(folder))
        models.append(Entry.of(manifest, [folder.as_uri()]))
    return Registry(registry_version=1, models=models)
