"""All that the doctor looks at, in the order in which it is told."""

from __future__ import annotations

from zoo.doctor.engines import of_engines
from zoo.doctor.finding import Finding
from zoo.doctor.graphics import of_gpu
from zoo.doctor.installation import of_extras, of_python, of_runtime
from zoo.doctor.places import of_cache, of_hubs, of_models, of_staging
from zoo.settings import Settings


def examine(settings: Settings) -> list[Finding]:
    """Look at this machine; nothing is changed."""
    findings = [
        of_python(),
        of_runtime(),
        of_gpu(),
        *of_engines(),
        of_cache(settings),
        of_staging(settings),
        of_models(settings),
        of_hubs(settings),
        of_extras(),
    ]
    return [finding for finding in findings if finding is not None]
