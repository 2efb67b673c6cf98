"""Errors about collections of models: registries, names, publishing."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.errors.base import HubError, IntegrityError, UsageError


class NoCollection(HubError):
    """No installed transport can hold many models at a URI."""

    example = {"uri": "ftp://example.org/models", "schemes": ["file", "hf", "oci", "s3"]}

    def __init__(self, uri: str, schemes: Sequence[str]) -> None:
        self.uri, self.schemes = uri, tuple(schemes)
        super().__init__(
            f"Nothing that is installed can hold models at {uri!r}.",
            f"Known schemes: {', '.join(schemes)}. A plain path is a folder.",
        )


class NoRegistryThere(HubError):
    """A place has no registry.json."""

    example = {"uri": "s3://models"}

    def __init__(self, uri: str) -> None:
        self.uri = uri
        super().__init__(
            f"There is no registry at {uri!r}.",
            "Name the place that 'zoo publish --to URI' was given: the root, not a model's own.",
        )


class UnknownSubscription(UsageError):
    """The registry was never added."""

    example = {"uri": "s3://models", "known": ["oci://registry.example.org/zoo"]}

    def __init__(self, uri: str, known: Sequence[str]) -> None:
        self.uri, self.known = uri, tuple(known)
        super().__init__(
            f"No registry at {uri!r} was added.",
            f"Added: {', '.join(known) or 'none'}. 'zoo registry list' shows them.",
        )


class NameTaken(IntegrityError):
    """The machine knows another model under the same name and version."""

    example = {"reference": "pbmc-celltype@1.0.0", "known": "a" * 64, "brought": "b" * 64}

    def __init__(self, reference: str, known: str, brought: str) -> None:
        self.reference, self.known, self.brought = reference, known, brought
        super().__init__(
            f"The {reference!r} there has the digest {brought[:12]}…, but here that name is "
            f"{known[:12]}….",
            "Nothing of it was kept. One word must mean one model: if it was changed, it needs a "
            f"new version; 'zoo cache rm {reference}' forgets the one that is here.",
        )


class VersionPublished(IntegrityError):
    """Other bytes were published under the version before."""

    example = {
        "reference": "pbmc-celltype@1.0.0",
        "uri": "s3://models",
        "known": "a" * 64,
        "offered": "b" * 64,
    }

    def __init__(self, reference: str, uri: str, known: str, offered: str) -> None:
        self.reference, self.uri = reference, uri
        self.known, self.offered = known, offered
        super().__init__(
            f"{reference!r} was published to {uri!r} before with other bytes "
            f"({known[:12]}…, not {offered[:12]}…).",
            "A published version never changes. Raise version in the card, say in its changelog "
            "what changed, and publish again.",
        )


class CannotPublishTo(HubError):
    """The place can only be read."""

    example = {"uri": "https://models.example.org", "detail": "https: can only be read"}

    def __init__(self, uri: str, detail: str) -> None:
        self.uri, self.detail = uri, detail
        super().__init__(
            f"Nothing can be published to {uri!r}: {detail}.",
            "Publish to a folder, s3://, hf:// or oci://; what is read by https: is put there by "
            "whoever runs the server.",
        )


class PublishedUnseen(HubError):
    """The registry did not name the model after it was written."""

    example = {"reference": "pbmc-celltype@1.0.0", "uri": "s3://models"}

    def __init__(self, reference: str, uri: str) -> None:
        self.reference, self.uri = reference, uri
        super().__init__(
            f"The files of {reference!r} are at {uri!r}, but its registry does not name them: "
            "others write to it at the same time.",
            "Publish again; nothing is sent twice.",
        )
