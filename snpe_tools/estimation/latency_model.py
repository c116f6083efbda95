"""The latency model: a sum of what a graph asks for, each part at a price that depends on width and chip.

    milliseconds = sum over widths w and features f of  amount[w, f] x price[w, f] x speed[chip, w, group of f]

Prices are those of the reference chip; a chip changes them by three factors for each width: of computing, of memory
and of the fixed cost of starting and of each operation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from snpe_tools.core.files import cache_folder
from snpe_tools.core.validation import validated_json
from snpe_tools.estimation.features import FEATURES, WIDTHS, Array
from snpe_tools.estimation.work import Width

Group = Literal["computing", "memory", "fixed"]
GROUPS: tuple[Group, ...] = ("computing", "memory", "fixed")
_GROUP: dict[str, Group] = {"start": "fixed", "operations": "fixed", "weights": "memory", "overflow": "memory"}
GROUP_OF = np.array([GROUPS.index(_GROUP.get(feature, "computing")) for feature in FEATURES])
"""For each feature the index of its group."""

SHIPPED = Path(__file__).parent / "data" / "model.json"
_Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Factor = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Row = Annotated[list[_Price], Field(min_length=len(FEATURES), max_length=len(FEATURES))]


class Measured(BaseModel):
    """One network of the fit in one width: what it asks for, what it took, how far the model was off without it.

    Attributes:
        network: the published name, "model/component", or a user's file.
        also: further names under which the same graph was measured.
        milliseconds: by chip, as published or measured.
        unseen: log(estimate / measurement) by chip, of a model fitted without this network.
        family_unseen: the same, fitted without its whole family.
        amounts: of each feature, in this width.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    network: str
    family: str
    width: Width
    amounts: _Row
    milliseconds: dict[str, _Factor]
    unseen: dict[str, _Finite] = Field(default_factory=dict)
    family_unseen: dict[str, _Finite] = Field(default_factory=dict)
    also: list[str] = Field(default_factory=list)
    weight: _Factor = 1.0


class LatencyModel(BaseModel):
    """Everything an estimate needs.

    Attributes:
        source: where the figures were published.
        prices: milliseconds for one unit of each feature on the reference chip, by width.
        speeds: three factors by chip and width, in the order of `GROUPS`; a width that was never measured is absent.
        measured: the networks it was fitted on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal[1] = 1
    source: str
    prices: dict[Width, _Row]
    speeds: dict[str, dict[Width, Annotated[list[_Factor], Field(min_length=3, max_length=3)]]]
    measured: list[Measured]

    def knows(self, chip: str, width: Width) -> bool:
        """Whether this width was measured on this chip."""
        return width in self.speeds.get(chip, {})

    def parts(self, amounts: Array, chip: str) -> Array:
        """Milliseconds of each width and feature on a chip, (3, 9) float64; `amounts` as `features` gives them.

        Raises:
            KeyError: a width that is asked for was not measured on this chip; see `knows`.
        """
        made = np.zeros_like(amounts)
        for index, width in enumerate(WIDTHS):
            if amounts[index].any():
                made[index] = amounts[index] * self.prices_on(chip, width)
        return made

    def prices_on(self, chip: str, width: Width) -> Array:
        """Milliseconds for one unit of each feature on a chip, (9,) float64."""
        prices: Array = np.array(self.prices[width]) * np.array(self.speeds[chip][width])[GROUP_OF]
        return prices


def own_model_file() -> Path:
    """Where a model that the user updated is kept."""
    return cache_folder() / "estimate" / "model.json"


def load_model() -> LatencyModel:
    """The user's updated model, or the shipped one.

    Raises:
        DataError: the file is damaged.
    """
    own = own_model_file()
    return read_model(own if own.exists() else SHIPPED)


def read_model(path: Path) -> LatencyModel:
    """The model in a file.

    Raises:
        DataError: the file is damaged.
    """
    hint = "Delete the file: the shipped model is used then." if path != SHIPPED else "Install snpe-tools again."
    return validated_json(LatencyModel, path.read_bytes(), str(path), hint)
