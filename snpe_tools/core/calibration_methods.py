"""How a range is found from observed values; the only list of the methods."""

from __future__ import annotations

from typing import Literal, get_args

Method = Literal["min-max", "mse", "percentile"]
METHODS: tuple[Method, ...] = get_args(Method)
METHODS_TEXT = f"{', '.join(METHODS[:-1])} or {METHODS[-1]}"
"""For help: "min-max, mse or percentile"."""
