"""`zoo publish`: a model folder becomes a version that others can pull."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli import output
from zoo.cli.options import json_option


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--to", "uri", required=True, metavar="URI",
    help="Where: a folder, s3://BUCKET/PATH, hf://ORG or oci://HOST/NAMESPACE.",
)  # fmt: skip
@json_option
def publish(folder: Path, uri: str, as_json: bool) -> None:
    """Publish the model in FOLDER to the collection at URI.

    The folder is validated at level deep. A version that was published never changes: other bytes
    under a known version are refused.
    """
    from zoo.contributing.publishing import publish as published

    done = published(folder, uri)
    pull = f"zoo pull {done.entry.reference} --from {uri}"
    if as_json:
        output.print_json(
            {
                "model": done.entry.reference,
                "digest": done.entry.digest,
                "place": done.place,
                "is_new": done.is_new,
                "pull": pull,
            }
        )
        return
    verb = "is published at" if done.is_new else "was published before, byte for byte, at"
    output.print_text(f"{done.entry.reference} {verb} {done.place}")
    output.print_text(f"digest {done.entry.digest}")
    output.print_text(f"Pull it: {pull}")
