"""Debian's `docker-registry`, started for a test on a free port of this machine."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class ServedRegistry:
    """A registry that answers.

    Attributes
    ----------
    host
        Its address and port.
    folder
        Where it stores.
    log
        What it says, each request included.

    """

    host: str
    folder: Path
    log: Path

    def stored(self) -> int:
        """Bytes of all that it holds."""
        return sum(path.stat().st_size for path in self.folder.rglob("data") if path.is_file())

    def requests(self, pattern: str) -> list[str]:
        """The requests in its log that fit a pattern."""
        return [line for line in self.log.read_text().splitlines() if re.search(pattern, line)]


@contextmanager
def served_registry(folder: Path, settings: str = "") -> Iterator[ServedRegistry]:
    """Serve a folder; `settings` are further lines of its configuration."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed (Debian: apt install docker-registry)")
    port, log = _free_port(), folder / "log"
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {folder / 'blobs'}\n"
        f"http:\n  addr: 127.0.0.1:{port}\n{settings}"
    )
    with log.open("wb") as out:
        process = subprocess.Popen([program, "serve", config], stdout=out, stderr=out)
        try:
            _await(port)
            yield ServedRegistry(f"127.0.0.1:{port}", folder / "blobs", log)
        finally:
            process.terminate()
            process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("docker-registry did not start within 10 s")
