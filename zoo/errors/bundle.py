"""Errors about bundles: each is a reason to refuse one, and nothing of a refused one is kept."""

from __future__ import annotations

from zoo.errors.base import IntegrityError

_AGAIN = "Nothing of it was kept. Copy the bundle again, or make it again with 'zoo bundle NAME'."
_HOSTILE = "Nothing of it was kept. 'zoo bundle' makes no such file: ask where it comes from."


class NotABundle(IntegrityError):
    """The file is no bundle."""

    example = {"path": "my.tar.gz", "detail": "it is no plain tar archive"}

    def __init__(self, path: str, detail: str) -> None:
        self.path, self.detail = path, detail
        super().__init__(
            f"{path!r} is no bundle: {detail}.",
            "'zoo bundle NAME' makes one; it is not compressed.",
        )


class InvalidBundle(IntegrityError):
    """The index of a bundle is not valid."""

    example = {"path": "my.zoo.tar", "detail": "bundle_version: input should be 1"}

    def __init__(self, path: str, detail: str) -> None:
        self.path, self.detail = path, detail
        super().__init__(
            f"The bundle {path!r} is not valid: {detail}.",
            "Nothing of it was kept. Make it again with 'zoo bundle NAME', by a CellZoo that is no "
            "newer than this one.",
        )


class BundleUnsafe(IntegrityError):
    """A bundle holds something else than plain files."""

    example = {"path": "my.zoo.tar", "member": "model/genes.tsv", "detail": "it is a symbolic link"}

    def __init__(self, path: str, member: str, detail: str) -> None:
        self.path, self.member, self.detail = path, member, detail
        super().__init__(f"{member!r} in the bundle {path!r} was refused: {detail}.", _HOSTILE)


class BundleUnlisted(IntegrityError):
    """A bundle holds a file that its index does not list, or the same one twice."""

    example = {"path": "my.zoo.tar", "member": "../../.bashrc", "is_twice": False}

    def __init__(self, path: str, member: str, *, is_twice: bool = False) -> None:
        self.path, self.member, self.is_twice = path, member, is_twice
        what = "twice" if is_twice else "though its index does not list it"
        super().__init__(f"The bundle {path!r} holds {member!r} {what}.", _HOSTILE)


class BundleTooLarge(IntegrityError):
    """A file in a bundle claims another size than its index allows."""

    example = {"path": "my.zoo.tar", "member": "model/model.onnx", "allowed": 10, "claimed": 1000}

    def __init__(self, path: str, member: str, allowed: int, claimed: int) -> None:
        self.path, self.member, self.allowed, self.claimed = path, member, allowed, claimed
        super().__init__(
            f"{member!r} in the bundle {path!r} claims {claimed:,} bytes where {allowed:,} are "
            "allowed.",
            _HOSTILE,
        )


class BundleTruncated(IntegrityError):
    """A bundle ends before all of its files."""

    example = {"path": "my.zoo.tar", "member": "model/model.onnx"}

    def __init__(self, path: str, member: str) -> None:
        self.path, self.member = path, member
        super().__init__(f"The bundle {path!r} ends before {member!r} is whole.", _AGAIN)


class BundleDamaged(IntegrityError):
    """A file in a bundle is not the one that its index lists."""

    example = {
        "path": "my.zoo.tar",
        "member": "model/model.onnx",
        "expected": "a" * 64,
        "actual": "b" * 64,
    }

    def __init__(self, path: str, member: str, expected: str, actual: str) -> None:
        self.path, self.member, self.expected, self.actual = path, member, expected, actual
        super().__init__(
            f"{member!r} in the bundle {path!r} is damaged: sha256 {actual[:12]}… where its index "
            f"says {expected[:12]}….",
            _AGAIN,
        )


class ImageTagged(IntegrityError):
    """The image in a bundle would be stored under other names than it says."""

    example = {
        "path": "my.zoo.tar",
        "image": "cellzoo/pbmc-celltype:1.0.0",
        "names": ["python:3.12-slim"],
    }

    def __init__(self, path: str, image: str, names: list[str]) -> None:
        self.path, self.image, self.names = path, image, names
        super().__init__(
            f"The image in the bundle {path!r} should be {image!r}, but would be stored as "
            f"{', '.join(map(repr, names)) or 'nothing'}.",
            _HOSTILE,
        )
