"""Under which names an engine would store the image of an archive.

`manifest.json` is what docker and podman wrote and read for years; `index.json` is OCI's, which
newer engines write beside it and read first. Both must say the same.
"""

from __future__ import annotations

import json
import tarfile
from typing import Any, BinaryIO

_LARGEST = 1 << 20
_OCI_NAME = "io.containerd.image.name"


def image_names(archive: BinaryIO) -> list[str]:
    """The names in an image archive, sorted; none if it cannot be understood."""
    try:
        with tarfile.open(fileobj=archive, mode="r|") as tar:
            documents = {
                member.name: json.loads(_content(tar, member))
                for member in tar
                if member.name in ("manifest.json", "index.json") and member.isreg()
            }
        names = {tag for image in documents["manifest.json"] for tag in image["RepoTags"] or ()}
        for image in documents.get("index.json", {}).get("manifests", ()):
            names |= _oci_names(image.get("annotations") or {})
        return sorted(names)
    except (tarfile.TarError, LookupError, TypeError, ValueError, AttributeError, OSError):
        return []


def _oci_names(annotations: dict[str, Any]) -> set[str]:
    name = annotations.get(_OCI_NAME)
    return set() if name is None else {str(name).removeprefix("docker.io/")}


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > _LARGEST:
        raise ValueError("too large")
    stream = tar.extractfile(member)
    return b"" if stream is None else stream.read()
