"""Container engines, spoken to by their command lines; the one place that starts them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.container.command import EngineName
from zoo.errors import (
    BuildFailed,
    EngineMissing,
    EngineUnreachable,
    ImageUnusable,
    PushRefused,
)

# Seconds for a run to tidy up after itself, before it is killed.
_MERCY = "10"
_INTERRUPTED = 130


@dataclass(frozen=True)
class Ended:
    """How a container ended: its exit code, and what the engine itself had to say of a failure."""

    code: int
    detail: str


@dataclass(frozen=True)
class Engine:
    """A container engine that answers.

    Attributes
    ----------
    name
        Its name and its program.
    version
        Of the engine that does the work, not of its client.
    rootless
        Whether root inside a container is the caller outside.

    """

    name: EngineName
    version: str
    rootless: bool = False

    @classmethod
    def reach(cls, name: EngineName) -> Engine:
        """The engine of a name.

        Raises
        ------
        EngineMissing, EngineUnreachable

        """
        if shutil.which(name) is None:
            raise EngineMissing(name)
        if name == "apptainer":
            return cls(name, _asked(name, "version"))
        if name == "podman":
            version = _asked(name, "version", "--format", "{{.Client.Version}}")
            return cls(name, version, rootless=os.getuid() != 0)
        version = _asked(name, "version", "--format", "{{.Server.Version}}")
        options = _asked(name, "info", "--format", "{{.SecurityOptions}}")
        return cls(name, version, rootless="name=rootless" in options)

    def images(self, prefix: str) -> list[str]:
        """Names of the images that begin with `prefix`."""
        if self.name == "apptainer":
            return []
        listed = _output(self.name, "images", "--format", "{{.Repository}}:{{.Tag}}")
        names = {line.removeprefix("localhost/") for line in listed.stdout.splitlines()}
        return sorted(name for name in names if name.startswith(prefix))

    def label(self, image: str, key: str) -> str | None:
        """A label of an image, empty where it has none; None where the image is not here."""
        form = f'{{{{index .Config.Labels "{key}"}}}}'
        found = _output(self.name, "image", "inspect", "--format", form, image)
        return None if found.returncode else found.stdout.strip().replace("<no value>", "")

    def load(self, archive: Path, image: str) -> None:
        """Take an image from an archive that `docker save` made.

        Raises
        ------
        ImageUnusable

        """
        loaded = _output(self.name, "load", "--input", str(archive), patience=None)
        if loaded.returncode:
            raise ImageUnusable(image, str(archive), _reason(loaded))

    def save(self, image: str, archive: Path) -> None:
        """Write an image into an archive.

        Raises
        ------
        ImageUnusable

        """
        saved = _output(self.name, "save", "--output", str(archive), image, patience=None)
        if saved.returncode:
            raise ImageUnusable(image, self.name, _reason(saved))

    def pull(self, origin: str, image: str) -> None:
        """Fetch an image from a registry and give it its own name.

        Raises
        ------
        ImageUnusable

        """
        for words in (("pull", "--quiet", origin), ("tag", origin, image)):
            done = _output(self.name, *words, patience=None)
            if done.returncode:
                raise ImageUnusable(image, origin, _reason(done))

    def build(
        self, context: Path, dockerfile: str, tags: Sequence[str], options: Sequence[str]
    ) -> None:
        """Build an image; what the engine says of it goes to standard error.

        Raises
        ------
        BuildFailed

        """
        named = [word for tag in tags for word in ("--tag", tag)]
        words = ["build", "--file", str(context / dockerfile), *named, *options, str(context)]
        # Standard output is for the command's own answer.
        if subprocess.run([self.name, *words], stdout=2, check=False).returncode:
            raise BuildFailed(self.name, tags[0])

    def push(self, image: str, destination: str) -> None:
        """Send an image to a registry; the name that this needs does not stay behind.

        Raises
        ------
        PushRefused

        """
        _output(self.name, "tag", image, destination)
        pushed = _output(self.name, "push", destination, patience=None)
        if destination != image:
            _output(self.name, "rmi", destination)
        if pushed.returncode:
            raise PushRefused(destination, image, _reason(pushed))

    def run(self, argv: Sequence[str], name: str, on_line: Callable[[str], None]) -> Ended:
        """Run a container to its end; whatever happens, none of that name is left.

        Its standard output goes where ours goes, and each line of its standard error to `on_line`.
        Ctrl-C and SIGTERM are passed on, and the container gets some seconds to leave nothing
        half-written.

        Raises
        ------
        KeyboardInterrupt
            If the interrupted container could not say so itself.

        """
        # A session of its own: the terminal's Ctrl-C must not end the client before the container.
        process = subprocess.Popen(
            argv, stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True
        )
        assert process.stderr is not None, "asked for"
        code, said, last = None, "", ""
        try:
            for line in process.stderr:
                if line.startswith(f"{self.name}: "):
                    said = line.strip()
                else:
                    on_line(line)
                    last = line.strip() or last
            code = process.wait()
        except KeyboardInterrupt:
            if self._stop(process, name, on_line) != _INTERRUPTED:
                raise
            code = _INTERRUPTED
        finally:
            process.stderr.close()
            if code != 0:  # one that failed to start stays behind as "Created"
                self.remove(name)
        return Ended(code, said or last)

    def remove(self, name: str) -> None:
        """Remove a container, running or not, if there is one."""
        if self.name != "apptainer":
            _output(self.name, "rm", "--force", "--volumes", name)

    def _stop(
        self, process: subprocess.Popen[str], name: str, on_line: Callable[[str], None]
    ) -> int:
        if self.name == "apptainer" or _output(self.name, "stop", "-t", _MERCY, name).returncode:
            process.terminate()  # nothing to stop: the client is all there is
        try:
            _, told = process.communicate(timeout=2 * int(_MERCY))
        except subprocess.TimeoutExpired:
            process.kill()
            _, told = process.communicate()
        on_line(told)
        return process.returncode


def _asked(*words: str) -> str:
    """What an engine answers to a question that only a working one can answer."""
    answer = _output(*words)
    if answer.returncode:
        raise EngineUnreachable(words[0], _reason(answer))
    return answer.stdout.strip()


def _output(*words: str, patience: float | None = 60) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=patience,
            check=False, errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        detail = f"no answer to '{' '.join(words[:2])}' within {patience:.0f} s"
        raise EngineUnreachable(words[0], detail) from None
    except OSError as error:
        raise EngineUnreachable(words[0], error.strerror or str(error)) from error


def _reason(failed: subprocess.CompletedProcess[str]) -> str:
    """The last line of what a failed command said: engines end with the cause."""
    lines = [line.strip() for line in failed.stderr.splitlines() if line.strip()]
    return (lines[-1] if lines else f"exit code {failed.returncode}").rstrip(".")
