"""Subscriptions: the registries that a user has added, in order, each as it was when it was added.

A name stands for what the registry said then, until `zoo registry update` asks again; the digests
in it pin every byte. They are kept in `registries.json` of the configuration folder. A name belongs
to the first registry that knows it, the package's own before all others: nobody else can put a
newer version under a known name.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from zoo.card import CardModel, Line
from zoo.card_file import problems_of
from zoo.errors import InvalidRegistry
from zoo.registry import Entry, Registry
from zoo.settings import Settings
from zoo.staging import write_atomically

FILE_NAME = "registries.json"


class Subscription(CardModel):
    """One registry as it was when it was added or updated."""

    uri: Line
    registry: Registry


class Subscriptions(CardModel):
    """All registries that were added, the first to be asked first."""

    registries: list[Subscription] = []

    @classmethod
    def read(cls, settings: Settings) -> Subscriptions:
        """What the configuration folder says.

        Raises
        ------
        InvalidRegistry
            If its file is damaged.

        """
        path = _path(settings)
        if path is None or not path.is_file():
            return cls()
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise InvalidRegistry(str(path), problems_of(error)) from error

    def write(self, settings: Settings) -> None:
        """Keep them.

        Raises
        ------
        OSError

        """
        path = _path(settings)
        assert path is not None, "settings that are read have a configuration folder"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, f"{self.model_dump_json(indent=1)}\n".encode())

    def with_registry(self, added: Subscription) -> Subscriptions:
        """These with one more at the end, or with a newer state of a known one in its place."""
        uris = [known.uri for known in self.registries]
        if added.uri not in uris:
            return Subscriptions(registries=[*self.registries, added])
        return Subscriptions(
            registries=[added if known.uri == added.uri else known for known in self.registries]
        )

    def without(self, uri: str) -> Subscriptions:
        """These without one."""
        return Subscriptions(registries=[known for known in self.registries if known.uri != uri])


def merged(registry: Registry, added: Iterable[Registry]) -> Registry:
    """One registry: each name as the first that knows it has it."""
    models: list[Entry] = list(registry.models)
    for other in added:
        known = {entry.name for entry in models}
        models += [entry for entry in other.models if entry.name not in known]
    return Registry(registry_version=1, models=models)


def _path(settings: Settings) -> Path | None:
    return None if settings.config is None else settings.config / FILE_NAME
