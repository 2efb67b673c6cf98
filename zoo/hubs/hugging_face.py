"""Hugging Face as a hub: `hf://ORG/NAME@REVISION`, and an organisation as a collection, `hf://ORG`.

One repository a model; a version is the tag `v1.2.0` of a commit that holds exactly the model's
files. The registry is the file `registry.json` of the repository `ORG/cellzoo-registry`. Endpoint,
token, proxies and retries are those of huggingface_hub: `HF_ENDPOINT`, `HF_TOKEN`, `hf auth login`.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from zoo.errors import HubUnreachable, PushRefused
from zoo.hubs.collection import Offer
from zoo.manifest import FILE_NAME as MANIFEST
from zoo.registry import FILE_NAME as REGISTRY

REGISTRY_REPOSITORY = "cellzoo-registry"

_MODEL = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
_ORGANISATION = re.compile(r"hf://([\w.-]+)")


class HuggingFaceHub:
    """One model in a repository."""

    needs_network = True

    def __init__(self, uri: str) -> None:
        self.uri = uri
        match = _MODEL.fullmatch(uri)
        if match is None:
            raise HubUnreachable(uri, "a model is hf://ORG/NAME or hf://ORG/NAME@REVISION")
        self._repository, self._revision = match.groups()

    def open(self, path: str) -> BinaryIO:
        """Open one of the model's files, fetched into a file that has no name any more."""
        return download(self.uri, self._repository, path, self._revision)


class HuggingFaceCollection:
    """The models of an organisation or user."""

    needs_network = True

    def __init__(self, uri: str) -> None:
        self.uri = uri
        match = _ORGANISATION.fullmatch(uri)
        if match is None:
            raise HubUnreachable(uri, "a collection of models is hf://ORG")
        self._organisation = match.group(1)
        self._api = HfApi()

    def place_of(self, name: str, version: str) -> str:
        """URI of a model."""
        return f"hf://{self._organisation}/{name}@v{version}"

    def registry(self) -> bytes | None:
        """Content of `registry.json`."""
        try:
            with download(self.uri, self._registry_repository, REGISTRY, None) as stream:
                return stream.read()
        except HubUnreachable as error:
            if isinstance(error.__cause__, RepositoryNotFoundError | EntryNotFoundError):
                return None
            raise

    def put_model(self, offer: Offer) -> None:
        """Commit the model's files, and no others, then tag the commit with the version."""
        card = offer.manifest.card
        repository = f"{self._organisation}/{card.name}"
        with _failures_told(self.uri):
            self._api.create_repo(repository, exist_ok=True)
            wanted = {file.path for file in offer.manifest.files} | {MANIFEST}
            present = set(self._api.list_repo_files(repository))
            operations: list[CommitOperationAdd | CommitOperationDelete] = [
                CommitOperationAdd(file.path, offer.read(file)) for file in offer.manifest.files
            ]
            operations.append(CommitOperationAdd(MANIFEST, offer.manifest_bytes))
            stale = sorted(present - wanted - {".gitattributes"})
            operations.extend(CommitOperationDelete(path) for path in stale)
            commit = self._api.create_commit(
                repository, operations, commit_message=f"{card.reference}: {_changes(offer)}"
            )
            self._api.create_tag(repository, tag=f"v{card.version}", revision=commit.oid)

    def put_registry(self, content: bytes) -> None:
        """Commit `registry.json`."""
        with _failures_told(self.uri):
            self._api.create_repo(self._registry_repository, exist_ok=True)
            self._api.create_commit(
                self._registry_repository,
                [CommitOperationAdd(REGISTRY, content)],
                commit_message="Models of this collection",
            )

    @property
    def _registry_repository(self) -> str:
        return f"{self._organisation}/{REGISTRY_REPOSITORY}"


def download(uri: str, repository: str, path: str, revision: str | None) -> BinaryIO:
    """A file of a repository.

    Raises
    ------
    HubUnreachable

    """
    with _failures_told(uri), tempfile.TemporaryDirectory(prefix="zoo-hf-") as folder:
        found = hf_hub_download(repository, path, revision=revision, cache_dir=folder)
        return Path(found).open("rb")  # noqa: SIM115: it is the caller's to close


def _changes(offer: Offer) -> str:
    card = offer.manifest.card
    told = next(change for change in card.changelog if change.version == card.version)
    return " ".join(told.changes)[:200]


@contextmanager
def _failures_told(uri: str) -> Iterator[None]:
    try:
        yield
    except RevisionNotFoundError as error:
        raise HubUnreachable(uri, "it has no such version") from error
    except RepositoryNotFoundError as error:
        detail = "there is no such repository, or it wants a login ('hf auth login', HF_TOKEN)"
        raise HubUnreachable(uri, detail) from error
    except EntryNotFoundError as error:
        raise HubUnreachable(uri, "it has no such file") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no"
        said = error.server_message or "; ".join(str(error).split("\n")[:1])
        if status in (401, 403):
            said = f"access denied ('hf auth login', HF_TOKEN): {said}"
        if status in (400, 409, 413, 422):
            raise PushRefused(uri, "a commit", f"status {status}, {said}") from error
        raise HubUnreachable(uri, f"status {status}, {said}") from error
    except OSError as error:
        raise HubUnreachable(uri, " ".join(str(error).split())[:300]) from error
