"""The command line that starts a container: made here alone, of plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from zoo.container.mounts import Mount

EngineName = Literal["docker", "podman", "apptainer"]

DEFAULT_MEMORY = "4g"

_PIDS = 256
# The home of whoever has no name in the image; nothing of a run is written there.
_ENVIRONMENT = {"HOME": "/tmp", "ZOO_OFFLINE": "1"}


@dataclass(frozen=True, kw_only=True)
class Containment:
    """A run in a container.

    Attributes
    ----------
    image
        The image's name; for apptainer the path of a SIF file.
    name
        The container's own name, by which it is removed.
    words
        What follows `zoo` inside.
    mounts
        What of this machine is seen inside.
    cwd
        The working folder, inside as outside.
    user
        `uid:gid` of the files that are written; apptainer knows no other than the caller.
    groups
        The user's other groups.
    memory
        The most memory, in the engine's notation.
    cpus
        The most processors.
    gpus
        `all` or the engine's name of some, or None.

    """

    image: str
    name: str
    words: Sequence[str]
    mounts: Sequence[Mount]
    cwd: str
    user: str
    groups: Sequence[int] = ()
    memory: str = DEFAULT_MEMORY
    cpus: int = 1
    gpus: str | None = None


def argv(engine: EngineName, run: Containment) -> list[str]:
    """The words of the command line, ready for `subprocess` or, quoted, for a shell."""
    if engine == "apptainer":
        return _apptainer(run)
    return [
        # Never from a registry: docker would ask Docker Hub, where the name may be anybody's.
        engine, "run", "--rm", "--pull", "never", "--name", run.name, "--hostname", run.name,
        "--network", "none", "--read-only", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges",
        *_user(engine, run),
        "--tmpfs", "/tmp:rw,noexec,nosuid,nodev,size=256m",
        "--memory", run.memory, "--memory-swap", run.memory,
        "--pids-limit", str(_PIDS), "--cpus", str(run.cpus),
        *_gpus(engine, run.gpus),
        *(word for key, value in _ENVIRONMENT.items() for word in ("--env", f"{key}={value}")),
        *(word for mount in run.mounts for word in ("--mount", _mount(mount))),
        "--workdir", run.cwd,
        "--entrypoint", "zoo", run.image, *run.words,
    ]  # fmt: skip


def _apptainer(run: Containment) -> list[str]:
    # What a run may use is limited by the cluster's scheduler, not by apptainer.
    return [
        "apptainer", "exec", "--containall", "--no-home", "--no-privs",
        "--net", "--network", "none",
        *(["--nv"] if run.gpus else []),
        *(word for key, value in _ENVIRONMENT.items() for word in ("--env", f"{key}={value}")),
        *(word for mount in run.mounts for word in _apptainer_mount(mount)),
        "--pwd", run.cwd,
        run.image, "zoo", *run.words,
    ]  # fmt: skip


def _apptainer_mount(mount: Mount) -> list[str]:
    if mount.source is None:
        return ["--scratch", mount.target]
    return ["--mount", _fields("type=bind", *_ends(mount), *(["ro"] if mount.read_only else []))]


def _user(engine: EngineName, run: Containment) -> list[str]:
    user = ["--user", run.user]
    if engine == "docker":
        return [*user, *(word for group in run.groups for word in ("--group-add", str(group)))]
    # Without root, podman's own root is the caller; and where SELinux is on, it would deny a user's
    # folders to every container.
    keep = [] if run.user.startswith("0:") else ["--userns", "keep-id"]
    return [*keep, *user, "--security-opt", "label=disable"]


def _gpus(engine: EngineName, gpus: str | None) -> list[str]:
    if gpus is None:
        return []
    return ["--gpus", gpus] if engine == "docker" else ["--device", f"nvidia.com/gpu={gpus}"]


def _mount(mount: Mount) -> str:
    if mount.source is None:
        return _fields("type=tmpfs", f"dst={mount.target}", "tmpfs-size=65536")
    return _fields("type=bind", *_ends(mount), *(["readonly"] if mount.read_only else []))


def _ends(mount: Mount) -> tuple[str, str]:
    return f"src={mount.source}", f"dst={mount.target}"


def _fields(*fields: str) -> str:
    """The comma-separated value of `--mount`."""
    return ",".join(
        '"' + field.replace('"', '""') + '"' if set(field) & set(',"\r\n') else field
        for field in fields
    )
