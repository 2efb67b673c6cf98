"""Build hook: a wheel carries the embedded hub, an editable install points at the checkout.

hatchling's static `force-include` also copies into site-packages for an editable install, where
the copy goes stale as soon as a card changes. Here the copy is made for a standard wheel alone;
`zoo.hubs.embedded` looks beside the package first and in the checkout second.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class EmbeddedHubHook(BuildHookInterface):
    """Force-include `registry.json` and `cards/` as `zoo/embedded/` in standard wheels."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the embedded hub to the files of a standard wheel."""
        if version == "editable":
            return
        root = Path(self.root)
        for name in ("registry.json", "cards"):
            build_data["force_include"][str(root / name)] = f"zoo/embedded/{name}"
