"""How long the fuzzing takes: seconds by default, minutes with ZOO_TEST_FUZZ=50 (nightly)."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FACTOR = int(os.environ.get("ZOO_TEST_FUZZ", "1"))


def examples(count: int) -> Any:
    """Hypothesis's settings for so many examples, many times as many at night."""
    return settings(
        deadline=None,
        max_examples=count * FACTOR,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)  # fmt: skip
"""Any plain data, NaN and huge integers too."""


@st.composite
def damaged(draw: Any, content: bytes) -> bytes:
    """These bytes after some bytes were changed, cut out, doubled or put in."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.integers(0, 16))
        match draw(st.sampled_from(["set", "cut", "double", "insert", "end"])):
            case "set":
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "cut":
                del data[at : at + length]
            case "double":
                data[at:at] = data[at : at + length]
            case "insert":
                data[at:at] = draw(st.binary(max_size=8))
            case _:
                del data[at:]
    return bytes(data)


@st.composite
def changed(draw: Any, value: Any) -> Any:
    """Plain data with one of its parts replaced, removed or added."""
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(value)))
        match draw(st.sampled_from(["inner", "inner", "inner", "remove", "add"])):
            case "inner":
                return {**value, key: draw(changed(value[key]))}
            case "remove":
                return {k: v for k, v in value.items() if k != key}
            case _:
                return {**value, draw(st.text(max_size=8)): draw(JSON)}
    if isinstance(value, list) and value and draw(st.integers(0, 5)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], draw(changed(value[at])), *value[at + 1 :]]
    if isinstance(value, str) and draw(st.booleans()):
        return value + draw(st.text(max_size=5))
    return draw(JSON)
