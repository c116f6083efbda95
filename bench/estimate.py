"""Fits the latency model to published figures, and tells how far off it is. Heavy; finished networks are kept.

    pip install --no-deps --target CACHE/pkgs torchvision==0.28.0 timm==1.0.31
    nice -n 15 .venv/bin/python bench/estimate.py build CACHE            networks with random weights -> DLC -> graphs
    .venv/bin/python bench/estimate.py fit CACHE --table TABLE           writes the package's data
    .venv/bin/python bench/estimate.py report                            errors and coverage, docs/estimate.png
    .venv/bin/python bench/estimate.py held-out CACHE                    networks that took no part in anything above

TABLE is a wheel of qai-hub-models, or a table in its columns.
"""

from __future__ import annotations

import argparse
import lzma
import sys
from pathlib import Path

from latency_zoo.packages import use_packages

from snpe_tools.core.errors import SnpeToolsError
from snpe_tools.core.files import whole_file
from snpe_tools.core.progress import progress
from snpe_tools.estimation.fitting import fit_model, fits_of
from snpe_tools.estimation.latency_model import SHIPPED, read_model
from snpe_tools.estimation.published import COLUMNS, SOURCE, Row, read_table, read_wheel, shipped_rows
from snpe_tools.estimation.published import SHIPPED as TABLE

PLOT = Path(__file__).parents[1] / "docs" / "estimate.png"


def build(cache: Path) -> None:
    """Every network that is not there yet, one at a time; what fails is said, and not tried again."""
    from latency_zoo.build import NETWORKS
    from latency_zoo.skeletons import make_skeleton, skeleton_file

    for name in NETWORKS:
        file = skeleton_file(cache, name)
        failure = file.with_suffix(".fail")
        if file.exists() or failure.exists():
            continue
        try:
            make_skeleton(name, cache)
            print(f"{name}: built", flush=True)
        except (SnpeToolsError, RuntimeError, ValueError, TypeError) as problem:
            failure.write_text(str(problem))
            print(f"{name}: {str(problem).splitlines()[0]}", flush=True)


def fit(cache: Path, table: Path) -> None:
    """Fit the model and write it, and the table, into the package."""
    import latency_zoo.build  # noqa: F401 - enters the networks
    from latency_zoo.measured import measured

    rows = read_wheel(table) if table.suffix == ".whl" else read_table(table)
    networks = measured(cache, rows)
    with progress("Fitting without each network", fits_of(networks)) as advance:
        made = fit_model(networks, SOURCE, advance)
    SHIPPED.parent.mkdir(exist_ok=True)
    with whole_file(SHIPPED) as temporary:
        temporary.write_text(made.model_dump_json(exclude_defaults=True) + "\n")
    _write_table(rows)
    print(
        f"{len({one.network for one in networks})} networks, {sum(len(one.milliseconds) for one in networks)} figures"
    )


def _write_table(rows: list[Row]) -> None:
    lines = sorted(f"{row.name.replace('/', ',', 1)},{row.precision},{row.device},{row.milliseconds:g}" for row in rows)
    with whole_file(TABLE) as temporary:
        temporary.write_bytes(lzma.compress("\n".join([",".join(COLUMNS), *lines, ""]).encode()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("build", "fit", "report", "held-out"))
    parser.add_argument("cache", type=Path, nargs="?")
    parser.add_argument("--table", type=Path, default=TABLE)
    arguments = parser.parse_args()
    if arguments.what == "report":
        from latency_zoo.errors import report

        report(read_model(SHIPPED), PLOT)
        return
    if arguments.cache is None:
        sys.exit("Name the folder that keeps the networks.")
    use_packages(arguments.cache / "pkgs")
    if arguments.what == "build":
        build(arguments.cache)
    elif arguments.what == "fit":
        fit(arguments.cache, arguments.table)
    else:
        from latency_zoo.held_out import held_out

        held_out(arguments.cache, shipped_rows(), read_model(SHIPPED))


if __name__ == "__main__":
    main()
