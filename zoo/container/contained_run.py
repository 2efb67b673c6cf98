"""A run in a container, from what was asked to its exit code.

reference ─► image, and the model's folder if the image has no model
file, outputs ─► mounts          (`mounts`, pure)
all of it ─► argv                (`command`, pure)
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from zoo.container.command import DEFAULT_MEMORY, Containment, EngineName, argv
from zoo.container.engine import Engine
from zoo.container.images import Image, provide
from zoo.container.model_folder import model_folder
from zoo.container.mounts import Seen, inner_word, mounts_of, place
from zoo.errors import (
    ContainerFailed,
    ContainerKilled,
    FileMissing,
    ImageMissing,
    OutputUnwritable,
)
from zoo.pull import Notice, in_place, is_path, locate
from zoo.reading.opening import MATRIX_NAMES
from zoo.registry import Entry
from zoo.session import available_threads
from zoo.settings import Settings
from zoo.staging import left_by

OnLine = Callable[[str], None]

_KILLED, _ENGINE_FAILED = 137, (125, 126, 127)
_MATRIX_FILES = ("matrix.mtx", "genes.tsv", "features.tsv", "barcodes.tsv")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked of `zoo run --docker`.

    Attributes
    ----------
    reference, file
        The model and the input, as the user wrote them.
    outputs
        Paths that will be written, as the user wrote them; none is the default in `cwd`.
    options
        The options that the run inside takes.
    cwd
        The working folder, links followed.
    engine
        Which program runs the container.
    gpus
        `all` or the engine's name of some, or None.
    memory
        The most memory.
    threads
        Blocks side by side, or None.

    """

    reference: str
    file: str
    outputs: Sequence[str] = ()
    options: Sequence[str] = ()
    cwd: str
    engine: EngineName = "docker"
    gpus: str | None = None
    memory: str = DEFAULT_MEMORY
    threads: int | None = None


def dry_run(asked: Asked, settings: Settings) -> list[str]:
    """The command line of a run; no engine is asked, and no image is looked for.

    Raises
    ------
    NotFound, FileMissing, UnmountablePath

    """
    engine = Engine(asked.engine, "", rootless=asked.engine == "podman" and os.getuid() != 0)
    found = locate(asked.reference, settings)
    image = _images(asked, found)[0]
    is_sif = engine.name == "apptainer"
    name = str(image.sif(settings.cache)) if is_sif else image.name
    seen = [*_seen(asked), *_model_folder(asked, found, image, settings)]
    return argv(engine.name, _containment(asked, engine, name, seen))


def run(asked: Asked, settings: Settings, *, on_line: OnLine, on_notice: Notice) -> int:
    """Run it and return the exit code of `zoo run` inside.

    Raises
    ------
    NotFound, FileMissing, UnmountablePath, OutputUnwritable
        Before any engine is asked.
    EngineMissing, EngineUnreachable, ImageMissing, ImageMismatch, ImageUnusable
        Where there is nothing to run it with.
    ContainerFailed, ContainerKilled

    """
    found, seen = locate(asked.reference, settings), _seen(asked)
    mounts_of(seen, asked.cwd)
    engine = Engine.reach(asked.engine)
    image, name = _provided(_images(asked, found), engine, settings, on_notice)
    seen += _model_folder(asked, found, image, settings)
    containment = _containment(asked, engine, name, seen)
    with _output_folders(asked, containment.name) as keep:
        ended = engine.run(argv(engine.name, containment), containment.name, on_line)
        keep.append(ended.code == 0)
    if ended.code == _KILLED:
        raise ContainerKilled(asked.memory)
    if ended.code in _ENGINE_FAILED:
        raise ContainerFailed(engine.name, ended.code, ended.detail or "no reason was given")
    return ended.code


# -- the model and its image ---------------------------------------------------------------------


def _images(asked: Asked, found: Entry | Path) -> list[Image]:
    """The images that can do it, the one with the model inside first."""
    runner = Image.of_runner(gpu=asked.gpus is not None)
    if isinstance(found, Entry) and asked.gpus is None:
        return [Image.of_model(found), runner]
    return [runner]


def _provided(
    images: Sequence[Image], engine: Engine, settings: Settings, on_notice: Notice
) -> tuple[Image, str]:
    """The first image that there is, and what the engine calls it."""
    first, *others = images
    try:
        return first, provide(first, engine, settings)
    except ImageMissing:
        for image in others:
            with suppress(ImageMissing):
                name = provide(image, engine, settings)
                on_notice(f"No image {first.name!r} is here: {name!r} gets the model mounted.")
                return image, name
        raise


def _model_folder(
    asked: Asked, found: Entry | Path, image: Image, settings: Settings
) -> list[Seen]:
    """The model's folder, for an image that has no model inside."""
    if image.has_model:
        return []
    if isinstance(found, Entry):
        folder = model_folder(found, settings)
        return [Seen(str(folder), str(folder), inside=f"/models/{found.name}")]
    name = in_place(found).manifest.card.name
    inside = None if is_path(asked.reference) else f"/models/{name}"
    return [Seen(str(found), os.path.realpath(found), inside=inside)]


# -- what the container sees ---------------------------------------------------------------------


def _seen(asked: Asked) -> list[Seen]:
    """The input and the folders of the outputs."""
    if not os.path.exists(asked.file):
        raise FileMissing(asked.file)
    folders = _folders(asked)
    written = [Seen(folder, os.path.realpath(folder), writable=True) for folder in folders]
    return [*_input(asked, {place(folder, asked.cwd) for folder in folders}), *written]


def _input(asked: Asked, written: set[str]) -> list[Seen]:
    word = asked.file
    if os.path.basename(word) in MATRIX_NAMES:
        word = os.path.dirname(word) or "."
    if place(word, asked.cwd) not in written:
        return [Seen(word, os.path.realpath(word))]
    # The folder of a matrix takes the result too: its files at least stay as they are.
    files = sorted(name for name in os.listdir(word) if name.startswith(_MATRIX_FILES))
    paths = [os.path.join(word, name) for name in files]
    return [Seen(path, os.path.realpath(path)) for path in paths]


def _folders(asked: Asked) -> list[str]:
    """The folders of the outputs, as words; the working folder where no output is named."""
    return sorted({os.path.dirname(path) or "." for path in asked.outputs or [""]})


@contextmanager
def _output_folders(asked: Asked, host: str) -> Iterator[list[bool]]:
    """Make the outputs' folders as the caller: an engine would make them as root.

    The block appends whether the run went well. Otherwise what a killed container left half-written
    goes, and so do empty folders that were made here; `host` is the container's name for itself.
    """
    made, keep = [], list[bool]()
    for word in _folders(asked):
        folder = Path(place(word, asked.cwd))
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputUnwritable(word, error.strerror or str(error)) from error
        made += missing
    try:
        yield keep
    finally:
        if True not in keep:
            _tidy([Path(place(word, asked.cwd)) for word in _folders(asked)], made, host)


def _tidy(folders: Sequence[Path], made: Sequence[Path], host: str) -> None:
    for path in [path for folder in folders for path in left_by(host, folder)]:
        path.unlink(missing_ok=True)
    for folder in made:
        with suppress(OSError):
            folder.rmdir()


def _containment(asked: Asked, engine: Engine, image: str, seen: Sequence[Seen]) -> Containment:
    words = ["run", *asked.options, "--", inner_word(asked.reference), inner_word(asked.file)]
    return Containment(
        image=image,
        name=f"zoo-run-{os.getpid()}-{secrets.token_hex(4)}",
        words=words,
        mounts=mounts_of(seen, asked.cwd),
        cwd=asked.cwd,
        user=_user(engine),
        groups=_groups(engine),
        memory=asked.memory,
        cpus=asked.threads or available_threads(),
        gpus=asked.gpus,
    )


def _user(engine: Engine) -> str:
    """Who writes: the caller. Where the engine is without root, its root is the caller."""
    if engine.name == "docker" and engine.rootless:
        return "0:0"
    return f"{os.getuid()}:{os.getgid()}"


def _groups(engine: Engine) -> list[int]:
    """The caller's other groups, so that what a group may read is read inside too."""
    if engine.name != "docker" or engine.rootless:
        return []
    return sorted(set(os.getgroups()) - {os.getgid(), 0})
