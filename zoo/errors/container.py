"""Errors about running in a container: the engine, its images and the container itself."""

from __future__ import annotations

from zoo.errors.base import HubError, IntegrityError, UsageError


class EngineMissing(HubError):
    """The container engine is not installed."""

    example = {"engine": "docker"}

    def __init__(self, engine: str) -> None:
        self.engine = engine
        super().__init__(
            f"There is no {engine!r} on the PATH.",
            "Install it, name another engine with --engine (docker, podman, apptainer), or leave "
            "out --docker.",
        )


class EngineUnreachable(HubError):
    """The container engine is installed and does not answer."""

    example = {"engine": "docker", "detail": "Cannot connect to the Docker daemon"}

    def __init__(self, engine: str, detail: str) -> None:
        self.engine, self.detail = engine, detail
        remedy = "Start it (Linux: 'sudo systemctl start docker'; elsewhere: Docker Desktop)."
        if "permission denied" in detail.lower():
            remedy = (
                "You may not use it: 'sudo usermod -aG docker $USER', then log in again; or try "
                "--engine podman."
            )
        super().__init__(
            f"{engine!r} does not answer: {detail}.", f"{remedy} 'zoo doctor' looks again."
        )


class ImageMissing(HubError):
    """The image is neither here, nor in a loaded bundle, nor in a registry that was named."""

    example = {
        "image": "cellzoo/pbmc-celltype:1.0.0",
        "engine": "docker",
        "command": "zoo image build pbmc-celltype",
        "detail": "",
    }

    def __init__(self, image: str, engine: str, command: str, detail: str = "") -> None:
        self.image, self.engine, self.command, self.detail = image, engine, command, detail
        why = f" ({detail})" if detail else ""
        super().__init__(
            f"{engine} has no image {image!r}{why}.",
            f"Make it with '{command}', load a bundle that holds it ('zoo bundle load FILE'), or "
            "let ZOO_IMAGES name a registry.",
        )


class ImageUnusable(HubError):
    """An engine refuses an image that it was given."""

    example = {
        "image": "cellzoo/pbmc-celltype:1.0.0",
        "origin": "the bundle in the cache",
        "detail": "no space left on device",
    }

    def __init__(self, image: str, origin: str, detail: str) -> None:
        self.image, self.origin, self.detail = image, origin, detail
        super().__init__(
            f"The image {image!r} cannot be taken from {origin}: {detail}.",
            "'zoo doctor' looks at the engine and the cache.",
        )


class ImageMismatch(IntegrityError):
    """An image holds another model than the one that was asked for."""

    example = {
        "image": "cellzoo/pbmc-celltype:1.0.0",
        "expected": "a" * 64,
        "actual": "b" * 64,
        "command": "zoo image build pbmc-celltype",
    }

    def __init__(self, image: str, expected: str, actual: str, command: str) -> None:
        self.image, self.expected, self.actual, self.command = image, expected, actual, command
        super().__init__(
            f"The image {image!r} holds the model {actual[:12]}… where the registry says "
            f"{expected[:12]}….",
            f"Make it again: {command}",
        )


class ContainerFailed(HubError):
    """The engine could not start the container."""

    example = {"engine": "docker", "code": 125, "detail": "could not select device driver"}

    def __init__(self, engine: str, code: int, detail: str) -> None:
        self.engine, self.code, self.detail = engine, code, detail
        hint = "'zoo doctor' looks at the engine; --dry-run prints the command, to try it by hand."
        if "device driver" in detail or "nvidia" in detail.lower():
            hint = (
                f"GPUs in containers need nvidia-container-toolkit; else leave out --gpus. {hint}"
            )
        super().__init__(f"{engine} could not start the container (exit {code}): {detail}.", hint)


class ContainerKilled(HubError):
    """The container was killed: most often, it wanted more memory than its limit."""

    example = {"memory": "4g"}

    def __init__(self, memory: str) -> None:
        self.memory = memory
        super().__init__(
            f"The container was killed, most likely because the run needed more than {memory} of "
            "memory. Nothing was written.",
            "Raise the limit with --memory, or lower --batch-size or --threads.",
        )


class UnmountablePath(UsageError):
    """A file lies where the image has its own files."""

    example = {"path": "/usr/share/my.h5ad", "own": "/usr"}

    def __init__(self, path: str, own: str) -> None:
        self.path, self.own = path, own
        super().__init__(
            f"A container cannot see {path!r}: the image has files of its own at {own!r}.",
            "Put the file, its output and yourself into a folder of your own, e.g. in your home.",
        )
