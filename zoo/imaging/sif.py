"""Apptainer's form of an image: one file, which a cluster runs without a daemon."""

from __future__ import annotations

import subprocess
from pathlib import Path

from zoo.container.images import Image
from zoo.errors import BuildFailed, EngineMissing, OutputExists, OutputUnwritable


def argv(image: Image, sif: Path, archive: Path | None) -> list[str]:
    """The command that makes it, from an archive of `docker save` or of the Docker daemon."""
    source = f"docker-archive:{archive}" if archive else f"docker-daemon:{image.name}"
    return ["apptainer", "build", str(sif), source]


def convert(image: Image, sif: Path, archive: Path | None) -> None:
    """Make it.

    Raises
    ------
    OutputExists, OutputUnwritable, EngineMissing, BuildFailed

    """
    if sif.exists():
        raise OutputExists(str(sif))
    try:
        sif.parent.mkdir(parents=True, exist_ok=True)
        made = subprocess.run(argv(image, sif, archive), stdout=2, check=False)
    except FileNotFoundError as error:
        raise EngineMissing("apptainer") from error
    except OSError as error:
        raise OutputUnwritable(str(sif), error.strerror or str(error)) from error
    if made.returncode:
        raise BuildFailed("apptainer", str(sif))
