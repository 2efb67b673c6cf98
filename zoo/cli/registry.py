"""`zoo registry`: registries that a user adds, and the one that is made from `cards/`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli import output
from zoo.cli.options import json_option

if TYPE_CHECKING:
    from zoo.contributing.validating import Level


@click.group(no_args_is_help=False)
def registry() -> None:
    """Add registries whose models can be named; make registry.json from cards/."""


@registry.command()
@click.argument("uri")
@json_option
def add(uri: str, as_json: bool) -> None:
    """Add the registry of the collection at URI: its models can then be pulled by name.

    Its entries are kept as they are now, digests included; 'zoo registry update' asks again. A name
    belongs to the first registry that knows it, the package's own before all others.
    """
    from zoo.adoption import registry_at
    from zoo.settings import Settings
    from zoo.subscriptions import Subscription, Subscriptions

    settings = Settings.read()
    found = Subscription(uri=uri, registry=registry_at(uri, settings))
    Subscriptions.read(settings).with_registry(found).write(settings)
    names = sorted({entry.name for entry in found.registry.models})
    if as_json:
        output.print_json({"uri": uri, "models": names})
    else:
        output.print_text(f"Added {uri} with {len(names)} models: {', '.join(names) or 'none'}")


@registry.command("list")
@json_option
def list_registries(as_json: bool) -> None:
    """List the registries, in the order in which names are looked up."""
    from zoo.hubs.embedded import embedded_registry
    from zoo.settings import Settings
    from zoo.subscriptions import Subscriptions

    added = Subscriptions.read(Settings.read()).registries
    rows = [("embedded:", embedded_registry()), *((one.uri, one.registry) for one in added)]
    if as_json:
        told = [{"uri": uri, "models": [e.reference for e in one.models]} for uri, one in rows]
        output.print_json(told)
        return
    lines = [(uri, f"{len(one.models):,}") for uri, one in rows]
    output.print_table("", ("registry", "versions"), lines)


@registry.command()
@click.argument("uri", required=False)
@json_option
def update(uri: str | None, as_json: bool) -> None:
    """Ask the added registries, or the one at URI, what they hold now."""
    from zoo.adoption import registry_at
    from zoo.errors import UnknownSubscription
    from zoo.settings import Settings
    from zoo.subscriptions import Subscription, Subscriptions

    settings = Settings.read()
    subscriptions = Subscriptions.read(settings)
    known = {one.uri: one.registry for one in subscriptions.registries}
    if uri is not None and uri not in known:
        raise UnknownSubscription(uri, list(known))
    told = []
    for place in [uri] if uri is not None else list(known):
        now = Subscription(uri=place, registry=registry_at(place, settings))
        before = {entry.reference for entry in known[place].models}
        new = sorted({entry.reference for entry in now.registry.models} - before)
        subscriptions = subscriptions.with_registry(now)
        told.append({"uri": place, "new": new})
    subscriptions.write(settings)
    if as_json:
        output.print_json(told)
        return
    for one in told:
        output.print_text(f"{one['uri']}: {', '.join(one['new']) or 'nothing new'}")


@registry.command()
@click.argument("uri")
@json_option
def remove(uri: str, as_json: bool) -> None:
    """Forget the registry at URI; models in the cache stay."""
    from zoo.errors import UnknownSubscription
    from zoo.settings import Settings
    from zoo.subscriptions import Subscriptions

    settings = Settings.read()
    subscriptions = Subscriptions.read(settings)
    known = [one.uri for one in subscriptions.registries]
    if uri not in known:
        raise UnknownSubscription(uri, known)
    subscriptions.without(uri).write(settings)
    if as_json:
        output.print_json({"removed": uri})
    else:
        output.print_text(f"Removed {uri}")


@registry.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file is out of date.")
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    default=".",
    help="The checkout. Default: the current folder.",
)
@click.option(
    "--validate", "level", type=click.Choice(["inspect", "surface", "deep"]),
    help="Also validate models that are new or changed, and write the level they passed.",
)  # fmt: skip
@json_option
def build(check: bool, root: Path, level: Level | None, as_json: bool) -> None:
    """Make registry.json and each model's manifest.json from cards/."""
    from zoo.checkout import Checkout

    checkout = Checkout(root)
    if check:
        checkout.check()
    written = [] if check else checkout.build()
    if level is not None and not check:
        from zoo.contributing.checked import validate_all

        validate_all(checkout, level, lambda name: click.echo(f"Validating {name}", err=True))
    if as_json:
        output.print_json({"written": written})
        return
    for path in written:
        output.print_text(f"Wrote {path}")
    if not written:
        output.print_text("Up to date.")
