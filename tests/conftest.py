"""Fixtures: a tiny model, a hub and a checkout that hold it, and the command in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ran import Ran
from tiny_model import registry_of, write_tiny_model

import zoo.cli
from zoo.checkout import Checkout
from zoo.registry import Registry
from zoo.settings import Settings


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


@pytest.fixture
def run_zoo(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run `zoo` with these words in this process."""

    def run(*words: str | Path) -> Ran:
        capfd.readouterr()
        code = zoo.cli.execute([str(word) for word in words])
        return Ran(code, *capfd.readouterr())

    return run
