"""Container engines: installed, reachable, and with which of our images."""

from __future__ import annotations

import shutil
from typing import get_args

from zoo.container.command import EngineName
from zoo.container.engine import Engine
from zoo.container.images import PREFIX
from zoo.doctor.finding import Finding
from zoo.errors import ZooError


def of_engines() -> list[Finding]:
    """Each engine that is installed; one line if none is."""
    present = [name for name in get_args(EngineName) if shutil.which(name)]
    if not present:
        message = "no container engine is installed (docker, podman or apptainer)"
        return [Finding("engine", "ok", message, "Only 'zoo run --docker' needs one.")]
    return [_of_engine(name) for name in present]


def _of_engine(name: EngineName) -> Finding:
    try:
        engine = Engine.reach(name)
        images = engine.images(PREFIX)
    except ZooError as error:
        return Finding("engine", "warn", error.message, error.hint)
    return judge_engine(engine, images)


def judge_engine(engine: Engine, images: list[str]) -> Finding:
    """An engine that answers, and its images."""
    how = ", without root" if engine.rootless else ""
    message = f"{engine.name} {engine.version} answers{how}"
    if engine.name == "apptainer":
        return Finding("engine", "ok", message)
    if not images:
        return Finding(
            "engine", "ok", f"{message}; it has no image of CellZoo",
            "Make one with 'zoo image build runner', or load a bundle.",
        )  # fmt: skip
    return Finding("engine", "ok", f"{message}; images: {', '.join(images)}")
