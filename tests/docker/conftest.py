"""A real engine, base images, the runner and models' images: made once, and only ours removed.

What is here before the tests stays: an image of the same name is built anew and kept. Bases are
taken from ZOO_BASE_IMAGE and ZOO_RUNTIME_IMAGE, else from `containers/base.sh` (mmdebstrap).
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASES = ("cellzoo/base:build", "cellzoo/base:run")
BUILD_TIME = 1500


def docker(*words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the engine's program."""
    ran = subprocess.run(
        ["docker", *map(str, words)], capture_output=True, text=True, timeout=BUILD_TIME
    )
    assert not check or ran.returncode == 0, f"docker {' '.join(map(str, words))}\n{ran.stderr}"
    return ran


def zoo(*words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `zoo` as a user does, in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-m", "zoo", *map(str, words)], capture_output=True, text=True,
        timeout=BUILD_TIME,
    )  # fmt: skip
    assert not check or ran.returncode == 0, f"zoo {' '.join(map(str, words))}\n{ran.stderr[-4000:]}"
    return ran


def has_image(name: str) -> bool:
    return docker("image", "inspect", name, check=False).returncode == 0


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
    remove_later(name)
    base, runtime = base_images
    zoo("image", "build", "runner", "--base-image", base, "--runtime-image", runtime,
        "--constraints", pins)  # fmt: skip
    return name


@pytest.fixture(scope="session")
def model_image(runner_image: str, remove_later: Callable[[str], None]) -> Callable[[str], str]:
    """Make the image of a model: `model_image("pbmc-celltype")` gives its name."""
    made: dict[str, str] = {}

    def make(name: str) -> str:
        if name not in made:
            from zoo.hubs.embedded import embedded_registry

            entry = embedded_registry().resolve(name)
            made[name] = f"cellzoo/{name}:{entry.version}"
            remove_later(made[name])
            zoo("image", "build", name)
        return made[name]

    return make


@dataclass(frozen=True)
class Registry:
    """A running `docker-registry`."""

    host: str
    folder: Path
    log: Path

    def stored(self) -> int:
        """Bytes of all blobs that it holds."""
        return sum(path.stat().st_size for path in self.folder.rglob("data") if path.is_file())

    def requests(self, pattern: str) -> list[str]:
        """The requests in its log that fit a pattern."""
        return [line for line in self.log.read_text().splitlines() if re.search(pattern, line)]


@pytest.fixture(scope="session")
def oci_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Debian's `docker-registry` on a free port of this machine."""
    yield from serve_registry(tmp_path_factory.mktemp("registry"))


def serve_registry(folder: Path, extra: str = "") -> Iterator[Registry]:
    """Start a registry that stores below a folder, and end it."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed (Debian: apt install docker-registry)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config, log = folder / "config.yml", folder / "log"
    config.write_text(
        f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {folder / 'blobs'}\n"
        f"http:\n  addr: 127.0.0.1:{port}\n{extra}"
    )
    with log.open("wb") as out:
        process = subprocess.Popen([program, "serve", config], stdout=out, stderr=out)
        try:
            for _ in range(100):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield Registry(f"127.0.0.1:{port}", folder / "blobs", log)
        finally:
            process.terminate()
            process.wait(10)
