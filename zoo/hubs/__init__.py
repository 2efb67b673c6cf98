"""Hubs: places that models come from, chosen by the scheme of a URI.

A hub moves bytes and is never trusted: what it gives is checked against the registry's and the
manifest's sha256. A transport is a callable that takes a URI and gives a `Hub`; it is found through
the entry points of group `cellzoo.hubs`, whose names are the schemes. CellZoo's own are registered
in the same way as those of other packages.
"""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint, entry_points
from typing import BinaryIO, Protocol

from zoo.errors import MissingExtra, UnknownScheme

GROUP = "cellzoo.hubs"

# Two letters at least: `C:` is a drive.
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):")


EXTRAS = {"s3": "s3", "gs": "s3", "https": "s3", "http": "s3", "hf": "hub"}
"""Scheme → the extra whose packages its transport needs."""


class Hub(Protocol):
    """One model at one place."""

    @property
    def uri(self) -> str:
        """The place, as the registry names it."""

    @property
    def needs_network(self) -> bool:
        """Whether `--offline` forbids it."""

    def open(self, path: str) -> BinaryIO:
        """A stream of one of the model's files; `path` is relative to the model, with `/`.

        Raises
        ------
        HubUnreachable
            If the hub does not answer or does not have the file.

        """


def hub_for(uri: str) -> Hub:
    """The hub at a URI or plain path; nothing is opened yet.

    Raises
    ------
    UnknownScheme
        If no installed package has a transport for it.
    MissingExtra
        If a package that the transport needs is not installed.

    """
    scheme = scheme_of(uri)
    found = _transports()
    if scheme not in found:
        raise UnknownScheme(uri, sorted(found))
    try:
        hub: Hub = found[scheme].load()(uri)
    except ModuleNotFoundError as error:
        raise MissingExtra(EXTRAS.get(scheme, "hub"), f"reach {scheme}: hubs") from error
    return hub


def scheme_of(uri: str) -> str:
    """The scheme of a URI; `file` for a plain path."""
    match = _SCHEME.match(uri)
    return match.group(1) if match else "file"


def _transports() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
