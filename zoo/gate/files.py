"""What may lie in a model folder: listed regular files, of bounded size, that look like their role.

No file is executed or unpickled anywhere in CellZoo; these rules keep what is no data out of hubs
and caches, and what a page would take for markup out of cards.
"""

from __future__ import annotations

import html
import re
import stat
from pathlib import Path

from zoo.errors import ForeignFile, InvalidModelFile
from zoo.manifest import FILE_NAME, FileRole, Manifest, ModelFile

_MB = 1 << 20
LARGEST: dict[FileRole, int] = {
    "card": 4 * _MB,
    "graph": 512 * _MB,
    "genes": 16 * _MB,
    "labels": 4 * _MB,
    "sample": 64 * _MB,
    "expected": 64 * _MB,
    "measurements": 16 * _MB,
    "figure": 8 * _MB,
    "explain": 512 * _MB,
    "pathways": 16 * _MB,
    "variant": 512 * _MB,
}
"""Bytes that a file of each role may have."""

LARGEST_FOLDER = 2048 * _MB
"""Bytes that all files of a model may have together."""

_HDF5, _PNG = b"\x89HDF\r\n\x1a\n", b"\x89PNG\r\n\x1a\n"
_BEGINS: dict[FileRole, bytes] = {"sample": _HDF5, "expected": _HDF5, "figure": _PNG}
_TEXTS: frozenset[FileRole] = frozenset({"card", "genes", "labels", "measurements", "pathways"})

# Pickles of protocol 2 to 5, archives (torch's files are zip), programs and scripts.
_CODE = {
    b"PK\x03\x04": "an archive",
    b"\x1f\x8b": "a compressed file",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"#!": "a script",
}
_PICKLE = re.compile(rb"\A\x80[\x02-\x05]")

# Markdown is shown in web pages: no element, script address or event reaches a card. Comments that
# mark a section of the card are text to everybody. What is code to Markdown is no exception: where
# it begins and ends differs from one renderer to the next.
_MARKUP = re.compile(r"<(?:[a-z/?]|!(?!--))[^>]{0,80}", re.I)
_ADDRESS = re.compile(r"\b(?:javascript|vbscript)\s*:|\bdata\s*:\s*text/html", re.I)
# What a terminal obeys, and what turns the direction of writing, so that a text reads as another.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def ensure_listed(folder: Path, manifest: Manifest) -> None:
    """Refuse a folder that holds anything but the regular files of its manifest.

    Raises
    ------
    ForeignFile
        For a link, a device, an unlisted or a missing file.

    """
    listed = {file.path for file in manifest.files} | {FILE_NAME}
    found = set()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        mode = path.lstat()
        if stat.S_ISDIR(mode.st_mode):
            continue
        if stat.S_ISLNK(mode.st_mode):
            raise ForeignFile(str(folder), name, "it is a symbolic link")
        if not stat.S_ISREG(mode.st_mode):
            raise ForeignFile(str(folder), name, "it is no regular file")
        if mode.st_nlink > 1:
            raise ForeignFile(str(folder), name, "it is a hard link to another file")
        if name not in listed:
            raise ForeignFile(str(folder), name, "the manifest does not list it")
        found.add(name)
    if missing := sorted(listed - found):
        raise ForeignFile(str(folder), missing[0], "the manifest lists it, and it is not there")


def ensure_bounded(manifest: Manifest) -> None:
    """Refuse files that announce more bytes than their role may have, before any is fetched.

    Raises
    ------
    InvalidModelFile

    """
    for file in manifest.files:
        if file.size > LARGEST[file.role]:
            detail = f"{file.size:,} bytes, and a {file.role} has at most {LARGEST[file.role]:,}"
            raise InvalidModelFile(manifest.reference, file.path, detail)
    if (total := sum(file.size for file in manifest.files)) > LARGEST_FOLDER:
        detail = f"{total:,} bytes in all files, and a model has at most {LARGEST_FOLDER:,}"
        raise InvalidModelFile(manifest.reference, FILE_NAME, detail)


def ensure_data(file: ModelFile, content: bytes, reference: str) -> None:
    """Refuse bytes that are not what the file's role says.

    Raises
    ------
    InvalidModelFile

    """
    if (what := _code(content)) is not None:
        raise InvalidModelFile(reference, file.path, f"it is {what}, not data")
    begins = _BEGINS.get(file.role, b"")
    if not content.startswith(begins):
        kind = "PNG picture" if begins == _PNG else "HDF5 file"
        raise InvalidModelFile(reference, file.path, f"it is no {kind}")
    if file.role in _TEXTS:
        _ensure_text(file, content, reference)


def _code(content: bytes) -> str | None:
    if _PICKLE.match(content):
        return "a pickle, which can hold code"
    return next((what for start, what in _CODE.items() if content.startswith(start)), None)


def ensure_text(text: str, path: str, reference: str) -> None:
    """Refuse a text that a terminal would obey, or that a page would run or show as markup.

    Raises
    ------
    InvalidModelFile

    """
    if "\0" in text:
        raise InvalidModelFile(reference, path, "it holds a NUL character")
    if found := _CONTROL.search(text):
        detail = f"it holds the control character {found.group(0)!r}"
        raise InvalidModelFile(reference, path, detail)
    # Markdown takes entities and backslashes for what they stand for, in addresses too.
    plain = html.unescape(text).replace("\\", "")
    if found := _MARKUP.search(text) or _ADDRESS.search(plain):
        detail = f"it holds markup that a page would run or show: {found.group(0)[:40]!r}"
        raise InvalidModelFile(reference, path, detail)


def _ensure_text(file: ModelFile, content: bytes, reference: str) -> None:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidModelFile(reference, file.path, "it is no UTF-8 text") from error
    ensure_text(text, file.path, reference)
