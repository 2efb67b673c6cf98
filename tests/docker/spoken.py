"""The engine's program and `zoo`, run as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BUILD_TIME = 1500
"""Seconds for an image to be built, its packages fetched."""

Ran = subprocess.CompletedProcess[str]


def docker(*words: str | Path, check: bool = True) -> Ran:
    """Run the engine's program."""
    return _spoken(["docker", *map(str, words)], dict(os.environ), check)


def zoo(*words: str | Path, check: bool = True, cache: Path | None = None) -> Ran:
    """Run `zoo` in a process of its own."""
    environment = dict(os.environ) | ({"ZOO_CACHE": str(cache)} if cache else {})
    return _spoken([sys.executable, "-m", "zoo", *map(str, words)], environment, check)


def has_image(name: str) -> bool:
    """Whether the engine has an image."""
    return docker("image", "inspect", name, check=False).returncode == 0


def _spoken(words: list[str], environment: dict[str, str], check: bool) -> Ran:
    ran = subprocess.run(words, capture_output=True, text=True, timeout=BUILD_TIME, env=environment)
    assert not check or ran.returncode == 0, f"{' '.join(words)}\n{ran.stderr[-4000:]}"
    return ran
