"""`zoo doctor`: what of this machine would stop a run."""

from __future__ import annotations

import click

from zoo.cli import output
from zoo.cli.options import json_option


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Look at Python, runtime, GPU, container engines, cache and hubs, and say what to mend.

    Exits with 1 if something is broken; what is only missing is a warning.
    """
    from zoo.doctor.examination import examine
    from zoo.settings import Settings

    findings = examine(Settings.read())
    broken = [finding for finding in findings if finding.level == "fail"]
    if as_json:
        output.print_json(
            {"sound": not broken, "findings": [finding.as_json() for finding in findings]}
        )
        click.get_current_context().exit(bool(broken))
    for finding in findings:
        output.print_text(f"{finding.level:<4}  {finding.topic:<8}{finding.message}")
        if finding.remedy:
            output.print_text(f"{'':<14}→ {finding.remedy}")
    output.print_text(_conclusion(len(broken)))
    click.get_current_context().exit(bool(broken))


def _conclusion(broken: int) -> str:
    if broken:
        return f"{broken} thing(s) to mend, marked 'fail'; then run 'zoo doctor' again."
    return "All that a run needs is here. Next: 'zoo list', 'zoo run NAME FILE'."
