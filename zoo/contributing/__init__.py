"""From a folder of one's own to a model that others can trust.

scaffold     a new folder, with a hint at each place that only its author can fill
validating   what is missing and what is wrong, level by level, and what to do next
difference   what changed between two versions
publishing   to a hub, validated, never other bytes under a known version
"""

from __future__ import annotations
