"""A plan: which activations get 16 bits, and what is done so that the others need no more than 8.

It is a small TOML file in the model's folder, `Models/<model>/w8a8-mixed.toml`, written by hand or by `tune`. What it
does for 8 bits serves w8a8 as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from snpe_tools.core.errors import RecipeError
from snpe_tools.core.files import read_toml, write_text
from snpe_tools.core.validation import validated

_HEAD = "# Mixed precision: what computes in 16 bits; all other activations have 8. See docs/quantization.md.\n"

Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class Plan(BaseModel):
    """What decides 8-bit activations. Operations are named as `snpe_tools.quantization.operations` does.

    Attributes:
        wide: operations that compute in 16 bits, of a mixed precision.
        fold_scales: multiply constant factors into the weights before them.
        score_floor: end the range of attention scores where a probability can no longer be told from 0.
        clip: share of the observed smallest and largest value that the range keeps, by operation; above 0, 1 at most.
        weights: fingerprint of the weights that the ranges were found for, "" where nobody looked.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    wide: tuple[str, ...] = ()
    fold_scales: bool = False
    score_floor: bool = False
    clip: dict[str, tuple[Share, Share]] = Field(default_factory=dict)
    weights: str = Field(default="", pattern=r"^[0-9a-f]*$")

    @property
    def changes_graph(self) -> bool:
        """Whether another float graph is quantized than the exported one."""
        return self.fold_scales


def load_plan(path: Path) -> Plan:
    """The plan in `path`.

    Raises:
        RecipeError: there is none, or it has an unknown key or a wrong value.
    """
    if not path.is_file():
        raise RecipeError(
            f"There is no plan {path}, which says what computes in 16 bits.",
            '`snpe-tools tune` finds one; one line by hand does as well: wide = ["Add>LayerNormalization"].',
        )
    return validated(Plan, read_toml(path), str(path))


def save_plan(plan: Plan, path: Path, comment: str = "") -> None:
    """Write a plan as TOML, with a comment of one or more lines above it."""
    import tomli_w

    remarks = "".join(f"# {line}\n" for line in comment.splitlines())
    content: dict[str, object] = {"fold_scales": plan.fold_scales, "score_floor": plan.score_floor}
    if plan.weights:
        content["weights"] = plan.weights
    content["wide"] = list(plan.wide)
    if plan.clip:
        content["clip"] = {name: [float(f"{end:g}") for end in ends] for name, ends in plan.clip.items()}
    write_text(path, f"{_HEAD}{remarks}{tomli_w.dumps(content)}")
