"""`zoo diff`: what changed between two versions of a model."""

from __future__ import annotations

import click

from zoo.cli import output
from zoo.cli.options import json_option, offline_option


@click.command()
@click.argument("before")
@click.argument("after")
@offline_option
@json_option
def diff(before: str, after: str, offline: bool, as_json: bool) -> None:
    """Show what changed from the model BEFORE to AFTER: card, metrics, genes, labels, graph, files.

    Each is NAME, NAME@VERSION or the path of a model folder.
    """
    from zoo.contributing.difference import difference
    from zoo.pull import browse
    from zoo.settings import Settings

    settings = Settings.read(offline=offline)
    old, new = browse(before, settings=settings), browse(after, settings=settings)
    changes = difference(old, new)
    if as_json:
        output.print_json(
            {
                "before": {"model": old.manifest.reference, "digest": old.digest},
                "after": {"model": new.manifest.reference, "digest": new.digest},
                "changes": [vars(change) for change in changes],
            }
        )
        return
    if not changes:
        output.print_text(f"{old.manifest.reference} and {new.manifest.reference} are the same.")
        return
    output.print_table(
        f"{old.manifest.reference} → {new.manifest.reference}",
        ("part", "what", "before", "after"),
        [(c.part, c.what, c.before or "–", c.after or "–") for c in changes],
    )
