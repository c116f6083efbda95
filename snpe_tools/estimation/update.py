"""Takes newer published figures, or a user's own measurement, into the model, and keeps it in the cache folder."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from snpe_tools.core.errors import DataError, UsageError
from snpe_tools.core.files import write_json
from snpe_tools.core.progress import progress
from snpe_tools.core.soc_names import parse_socs
from snpe_tools.core.validation import validated_json
from snpe_tools.estimation.chips import BY_DEVICE, measured_as, require_measured
from snpe_tools.estimation.features import FEATURES, WIDTHS, features
from snpe_tools.estimation.fitting import fit_model, fits_of
from snpe_tools.estimation.latency_model import LatencyModel, Measured, load_model, own_model_file
from snpe_tools.estimation.published import PRECISIONS, Row, read_table, read_wheel
from snpe_tools.estimation.work import Width, Work

_OWN = 3.0
"""What a user's own measurement counts, in published networks."""
_WIDTHS: dict[str, Width] = {"float": "fp16", "w8a16": "a16", "w8a8": "a8"}
assert set(_WIDTHS) == set(PRECISIONS)  # noqa: S101 - two tables of the same precisions


class BenchResult(BaseModel):
    """What `snpe-tools bench --json` printed, as far as it is needed."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=True)
    soc: str
    p50: float | None = None
    mean: float | None = None
    runs: int = Field(default=1, ge=1)

    @property
    def milliseconds(self) -> float:
        """The median, or the mean where there is none; NaN without both."""
        found = [figure for figure in (self.p50, self.mean) if figure and math.isfinite(figure) and figure > 0]
        return found[0] if found else math.nan


def update(file: Path, works: Sequence[Work] | None, name: str) -> LatencyModel:
    """Fit the model again with the figures in a file, and keep it for later estimates.

    Args:
        file: a wheel of qai-hub-models, a table in its columns, or what `bench --json` printed for a DLC.
        works: the work of that DLC; needed for a bench result only.
        name: what to call it.

    Raises:
        UsageError: a bench result without its DLC, or of a SoC without published figures.
        DataError: none of these files, or a damaged one.
    """
    current = load_model()
    if file.suffix == ".json":
        if works is None:
            raise UsageError(f"{file} does not say what the DLC asks for.", "Name the DLC, too: estimate MODEL.dlc.")
        measured = [*current.measured, _own(read_bench(file), works, name)]
        source = current.source
    else:
        rows = read_wheel(file) if file.suffix == ".whl" else read_table(file)
        measured, source = _replaced(current, rows, file), f"{file.name} ({len(rows)} figures on the NPU)"
    with progress("Fitting without each network", fits_of(measured)) as advance:
        made = fit_model(measured, source, advance)
    target = own_model_file()
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json(target, made.model_dump())
    return made


def read_bench(file: Path) -> tuple[str, float]:
    """SoC and milliseconds of a bench result.

    Raises:
        DataError: not such a document, or without a time.
        UsageError: a SoC without published figures.
    """
    hint = "Write one with: snpe-tools bench MODEL.dlc --json > FILE.json"
    found = validated_json(BenchResult, file.read_bytes(), str(file), hint)
    if math.isnan(found.milliseconds):
        raise DataError(f"{file}: the runtime told no time of an inference.", hint)
    soc = parse_socs(found.soc.partition(" ")[0])[0]
    require_measured([soc])
    return measured_as(soc), found.milliseconds


def _own(result: tuple[str, float], works: Sequence[Work], name: str) -> Measured:
    """A user's network: everything in the width that most of its operations have."""
    amounts = features(works)
    main = int(np.argmax(amounts[:, FEATURES.index("operations")]))
    chip, milliseconds = result
    return Measured(
        network=f"own/{name}", family=f"own/{name}", width=WIDTHS[main], milliseconds={chip: milliseconds}, weight=_OWN,
        amounts=[float(amount) for amount in amounts.sum(0)],
    )  # fmt: skip


def _replaced(current: LatencyModel, rows: Sequence[Row], file: Path) -> list[Measured]:
    """The known networks with the figures of `rows`; own measurements stay."""
    figures: Mapping[tuple[str, Width], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.precision in _WIDTHS and row.device in BY_DEVICE:
            figures[row.name, _WIDTHS[row.precision]][BY_DEVICE[row.device]].append(math.log(row.milliseconds))
    kept = [one for one in current.measured if one.network.startswith("own/")]
    for one in current.measured:
        found: dict[str, list[float]] = defaultdict(list)
        for name in (one.network, *one.also):
            for chip, logs in figures[name, one.width].items():
                found[chip] += logs
        if found:
            means = {chip: float(f"{math.exp(float(np.mean(logs))):.4g}") for chip, logs in found.items()}
            kept.append(one.model_copy(update={"milliseconds": means}))
    if len(kept) < len(current.measured) / 2:
        raise DataError(f"{file} has figures of {len(kept)} of {len(current.measured)} known networks.",
                        "Pass the whole table or wheel.")  # fmt: skip
    return kept
