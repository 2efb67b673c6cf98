"""A real engine, base images, the runner and models' images: made once, and only ours removed.

What is here before the tests stays: an image of the same name is built anew and kept. Bases are
taken from ZOO_BASE_IMAGE and ZOO_RUNTIME_IMAGE, else from `containers/base.sh` (mmdebstrap).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest
from registry_server import ServedRegistry, served_registry
from spoken import BUILD_TIME, docker, has_image, zoo

ROOT = Path(__file__).parents[2]
BASES = ("cellzoo/base:build", "cellzoo/base:run")


@pytest.fixture(scope="session")
def engine() -> str:
    """The name of an engine that answers."""
    if shutil.which("docker") is None or docker("version", check=False).returncode:
        pytest.skip("no Docker engine answers: .ci/run starts one")
    return "docker"


@pytest.fixture(scope="session")
def remove_later(engine: str) -> Iterator[Callable[[str], None]]:
    """Note an image to be removed after the tests, unless it is there already."""
    ours: list[str] = []

    def note(name: str) -> None:
        if name not in ours and not has_image(name):
            ours.append(name)

    yield note
    for name in reversed(ours):
        docker("rmi", name, check=False)


@pytest.fixture(scope="session")
def base_images(engine: str, remove_later: Callable[[str], None]) -> tuple[str, str]:
    """What the runner is built in, and what it runs on."""
    if "ZOO_BASE_IMAGE" in os.environ:
        base = os.environ["ZOO_BASE_IMAGE"]
        return base, os.environ.get("ZOO_RUNTIME_IMAGE", base)
    if not all(map(has_image, BASES)):
        if shutil.which("mmdebstrap") is None:
            pytest.skip("no base image: set ZOO_BASE_IMAGE, or install mmdebstrap")
        for name in BASES:
            remove_later(name)
        subprocess.run([ROOT / "containers" / "base.sh"], check=True, timeout=BUILD_TIME)
    return BASES


@pytest.fixture(scope="session")
def pins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The versions of this environment: the image is held against the bare run bit for bit."""
    path = tmp_path_factory.mktemp("pins") / "constraints.txt"
    found = {str(d.metadata["Name"]).lower(): d.version for d in distributions()}
    named = ("numpy", "h5py", "onnxruntime", "click", "pydantic", "platformdirs", "rich")
    path.write_text("".join(f"{name}=={found[name]}\n" for name in named))
    return path


@pytest.fixture(scope="session")
def runner_image(
    base_images: tuple[str, str], pins: Path, remove_later: Callable[[str], None]
) -> str:
    """The runner, built from this checkout: `cellzoo/runner:<version>`."""
    from zoo.version import __version__

    name = f"cellzoo/runner:{__version__}"
    for tag in (name, "cellzoo/runner:latest"):
        remove_later(tag)
    base, runtime = base_images
    zoo("image", "build", "runner", "--base-image", base, "--runtime-image", runtime,
        "--constraints", pins, cache=pins.parent)  # fmt: skip
    return name


@pytest.fixture(scope="session")
def model_image(
    runner_image: str,
    remove_later: Callable[[str], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], str]:
    """Make the image of a model: `model_image("pbmc-celltype")` gives its name."""
    made: dict[str, str] = {}
    cache = tmp_path_factory.mktemp("cache")

    def make(name: str) -> str:
        if name not in made:
            from zoo.hubs.embedded import embedded_registry

            entry = embedded_registry().resolve(name)
            made[name] = f"cellzoo/{name}:{entry.version}"
            for tag in (made[name], f"cellzoo/{name}:latest"):
                remove_later(tag)
            zoo("image", "build", name, cache=cache)
        return made[name]

    return make


@pytest.fixture(scope="session")
def oci_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedRegistry]:
    """Debian's `docker-registry` on a free port of this machine."""
    with served_registry(tmp_path_factory.mktemp("registry")) as served:
        yield served
