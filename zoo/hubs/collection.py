"""Collections: places that hold many models and a registry of them, chosen by a URI's scheme.

What a `Hub` is for one model, a collection is for all: it knows where a model of a name and version
lies, and it takes new ones. Transports are found through the entry points of group
`cellzoo.collections`, whose names are the schemes, as hubs are. `registry.json` is written after
the model that it names, so a reader never meets a name without its files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

from zoo.errors import MissingExtra, NoCollection
from zoo.hubs import EXTRAS, scheme_of
from zoo.manifest import Manifest, ModelFile

GROUP = "cellzoo.collections"


@dataclass(frozen=True)
class Offer:
    """A model that is to be put into a collection.

    Attributes
    ----------
    manifest_bytes
        What `manifest.json` holds, byte for byte.
    read
        Gives the verified content of one of its files.
    attachment
        What is said of the model beside it: the report of its validation, as JSON.

    """

    manifest: Manifest
    manifest_bytes: bytes
    read: Callable[[ModelFile], bytes]
    attachment: bytes = b""


class Collection(Protocol):
    """Many models at one place."""

    @property
    def uri(self) -> str:
        """The place."""

    @property
    def needs_network(self) -> bool:
        """Whether `--offline` forbids it."""

    def place_of(self, name: str, version: str) -> str:
        """URI of a model, for `zoo.hubs.hub_for`."""

    def registry(self) -> bytes | None:
        """Content of `registry.json`; None where there is none yet.

        Raises
        ------
        HubUnreachable, HubDenied

        """

    def put_model(self, offer: Offer) -> None:
        """Store a model: all of it is visible at its place, or nothing.

        Raises
        ------
        HubUnreachable, HubDenied, PushRefused

        """

    def put_registry(self, content: bytes) -> None:
        """Replace `registry.json`.

        Raises
        ------
        HubUnreachable, HubDenied, PushRefused

        """


def collection_at(uri: str) -> Collection:
    """The collection at a URI or plain path; nothing is opened yet.

    Raises
    ------
    NoCollection
        If no installed package has a collection for its scheme.
    MissingExtra
        If a package that the transport needs is not installed.

    """
    scheme = scheme_of(uri)
    found = _transports()
    if scheme not in found:
        raise NoCollection(uri, sorted(found))
    try:
        collection: Collection = found[scheme].load()(uri.rstrip("/") or uri)
    except ModuleNotFoundError as error:
        raise MissingExtra(EXTRAS.get(scheme, "hub"), f"reach {scheme}: hubs") from error
    return collection


def _transports() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
