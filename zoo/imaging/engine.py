"""The container engine's program: `docker`, or `podman`, which takes the same words."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zoo.errors import EngineFailed, EngineSilent

EngineName = Literal["docker", "podman"]


@dataclass(frozen=True)
class Engine:
    """An engine on this machine.

    Attributes
    ----------
    name
        Its program.

    """

    name: EngineName = "docker"

    def require(self) -> None:
        """Ask whether it answers.

        Raises
        ------
        EngineSilent
            If its program is missing or its daemon does not answer.

        """
        if shutil.which(self.name) is None:
            raise EngineSilent(self.name, f"there is no program {self.name!r}")
        ran = self._run("version", "--format", "{{.Server.Version}}", check=False)
        if ran.returncode:
            raise EngineSilent(self.name, _last_line(ran.stderr))

    def has(self, image: str) -> bool:
        """Whether it holds an image."""
        return self._run("image", "inspect", image, check=False).returncode == 0

    def build(
        self, context: Path, dockerfile: str, *, tag: str, args: Mapping[str, str], network: str
    ) -> None:
        """Build an image; the engine's own messages go to standard error.

        Raises
        ------
        EngineFailed

        """
        words = ["build", "--network", network, "--file", str(context / dockerfile), "--tag", tag]
        for name, value in args.items():
            words += ["--build-arg", f"{name}={value}"]
        ran = subprocess.run([self.name, *words, str(context)], stdout=2, check=False)
        if ran.returncode:
            raise EngineFailed(self.name, f"build of {tag}", "see its messages above")

    def save(self, image: str, path: Path) -> None:
        """Write an image as an archive.

        Raises
        ------
        EngineFailed

        """
        self._run("save", "--output", str(path), image)

    def load(self, path: Path) -> None:
        """Take an archive's image.

        Raises
        ------
        EngineFailed

        """
        self._run("load", "--input", str(path))

    def push(self, image: str, destination: str) -> None:
        """Push an image under another name, which does not stay behind.

        Raises
        ------
        EngineFailed

        """
        self._run("tag", image, destination)
        try:
            self._run("push", destination)
        finally:
            if destination != image:
                self._run("rmi", destination, check=False)

    def _run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        ran = subprocess.run([self.name, *words], capture_output=True, text=True, check=False)
        if check and ran.returncode:
            raise EngineFailed(self.name, " ".join(words[:2]), _last_line(ran.stderr))
        return ran


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip().rstrip(".") if lines else "it said nothing"
