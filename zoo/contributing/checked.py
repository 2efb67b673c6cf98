"""Validating every model of a checkout; its registry says at which level they passed."""

from __future__ import annotations

from collections.abc import Callable

from zoo.checkout import CARDS, Checkout
from zoo.contributing.validating import Level, ensure_valid
from zoo.registry import FILE_NAME, Registry
from zoo.staging import write_atomically


def validate_all(checkout: Checkout, level: Level, on_model: Callable[[str], None]) -> None:
    """Validate the models whose digest the registry does not know as valid at this level.

    Parameters
    ----------
    on_model
        Told which model comes next.

    Raises
    ------
    ValidationFailed
        For the first model that does not pass; the registry stays as it was.

    """
    checkout.build()
    path = checkout.root / FILE_NAME
    registry = Registry.parse(path.read_bytes(), str(path))
    entries = []
    for entry in registry.models:
        if entry.validated != level:
            on_model(entry.reference)
            ensure_valid(checkout.root / CARDS / entry.name, level)
        entries.append(entry.model_copy(update={"validated": level}))
    write_atomically(path, Registry(registry_version=1, models=entries).render())
