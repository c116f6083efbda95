"""Tables and wheels of published latencies, bench results, and the command that uses them."""

from __future__ import annotations

import json
import lzma
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from snpe_tools.cli.main import app
from snpe_tools.core.errors import DataError, SnpeToolsError
from snpe_tools.estimation.latency_model import SHIPPED, load_model, own_model_file, read_model
from snpe_tools.estimation.published import Row, read_table, read_wheel, shipped_rows
from snpe_tools.estimation.update import read_bench
from tests.dlc_files import U8, all_versions, encoding4, model4, node4, records41, tensor4, write_zip

_HEAD = "model,component,precision,device,runtime,milliseconds,ops_cpu,compute_unit\n"
_PERF = """
precisions:
  w8a16:
    components:
      Net:
        performance_metrics:
          Samsung Galaxy S25:
            tflite: {inference_time_milliseconds: 9.0, layer_counts: {npu: 3}, primary_compute_unit: NPU}
            qnn_context_binary: {inference_time_milliseconds: 3.0, layer_counts: {npu: 3}, primary_compute_unit: NPU}
            qnn_dlc: {inference_time_milliseconds: 2.5, layer_counts: {npu: 3}, primary_compute_unit: NPU}
          Samsung Galaxy S24:
            qnn_dlc: {inference_time_milliseconds: 7.0, layer_counts: {npu: 3, cpu: 1}, primary_compute_unit: NPU}
"""


def wheel(path: Path, perf: str, member: str = "qai_hub_models/models/net/perf.yaml") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, perf)
    return path


def test_a_table_keeps_what_qnn_ran_on_the_npu_from_a_dlc_where_there_is_one(tmp_path: Path) -> None:
    table = tmp_path / "table.csv.xz"
    lines = [
        "net,Net,float,S25,qnn_context_binary,4,,NPU", "net,Net,float,S25,qnn_dlc,3,,NPU",
        "net,Net,float,S25,onnx,1,,NPU", "net,Net,float,S24,qnn_dlc,5,2,NPU", "net,Net,float,S23,qnn_dlc,5,,CPU",
    ]  # fmt: skip
    table.write_bytes(lzma.compress((_HEAD + "\n".join(lines)).encode()))
    assert read_table(table) == [Row("net/Net", "float", "S25", 3.0)]


@pytest.mark.parametrize("figure", ["0", "-3", "nan", "inf", "", "fast"])
def test_a_figure_that_is_no_latency_is_refused_by_line(tmp_path: Path, figure: str) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"{_HEAD}net,Net,float,S25,qnn_dlc,{figure},,NPU\n")
    with pytest.raises(DataError, match="line 2"):
        read_table(table)


@pytest.mark.parametrize(("content", "words"), [(b"a,b\n1,2\n", "missing"), (b"\xff\xfe\x00", "no table")])
def test_other_files_are_no_table(tmp_path: Path, content: bytes, words: str) -> None:
    table = tmp_path / "table.csv"
    table.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_table(table)
    (tmp_path / "broken.xz").write_bytes(b"\xfd7zXZ\x00broken")
    with pytest.raises(DataError, match="no table"):
        read_table(tmp_path / "broken.xz")


def test_a_wheel_is_read_as_the_table_is(tmp_path: Path) -> None:
    found = read_wheel(wheel(tmp_path / "hub.whl", _PERF))
    assert found == [Row("net/Net", "w8a16", "Samsung Galaxy S25", 2.5)]


@pytest.mark.parametrize("perf", ["precisions: [1, 2", "precisions: 7", "[]", "", "{precisions: {a: {components: 3}}}"])
def test_a_wheel_without_figures_is_refused(tmp_path: Path, perf: str) -> None:
    with pytest.raises(DataError):
        read_wheel(wheel(tmp_path / "hub.whl", perf))
    (tmp_path / "no.whl").write_bytes(b"no zip")
    with pytest.raises(DataError, match="no wheel"):
        read_wheel(tmp_path / "no.whl")


def test_the_shipped_table_holds_the_figures_that_the_model_was_fitted_on() -> None:
    rows = {(row.name, row.precision, row.device): row.milliseconds for row in shipped_rows()}
    assert len(rows) > 7000
    assert rows["mobilenet_v2/MobileNet-v2", "w8a8", "Samsung Galaxy S25"] == 0.221
    known = {(one.network, one.width): one for one in read_model(SHIPPED).measured}
    one = known["mobilenet_v2/MobileNet-v2", "a8"]
    assert one.milliseconds["sm8750"] == 0.221


def test_a_bench_result_gives_its_soc_and_median(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    file.write_text('{"soc": "qcs8550 (HTP v73)", "p50": 2.5, "mean": 3.5, "runs": 100, "device": "adb:1"}')
    assert read_bench(file) == ("sm8550", 2.5)
    for text in ('{"soc": "sm8650", "p50": NaN, "mean": null}', '{"p50": 2}', "[]", "{"):
        file.write_text(text)
        with pytest.raises(DataError):
            read_bench(file)
    file.write_text('{"soc": "sa8797", "p50": 2.5}')
    with pytest.raises(SnpeToolsError, match="No latencies are published"):
        read_bench(file)


@pytest.fixture
def dlc(tmp_path: Path) -> Path:
    """60 convolutions, 8-bit."""
    names = [f"t{index}" for index in range(61)]
    roles = [0, *[3] * 59, 1]
    data = [
        tensor4(name, role, U8, [1, 56, 56, 64], encoding4([0.1], [0])) for name, role in zip(names, roles, strict=True)
    ]
    weights = tensor4("w", 4, U8, [3, 3, 64, 64], encoding4([0.1], [0]))
    nodes = [node4(f"n{index}", "Conv2d", [names[index], "w"], [names[index + 1]]) for index in range(60)]
    records = records41(model=model4(nodes, [*data, weights]))
    return write_zip(tmp_path / "net.dlc", {name: data for name, data in records.items() if "cache" not in name})


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["estimate", *map(str, arguments)])


def rows_of(*arguments: str | Path) -> list[dict[str, Any]]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.exception
    rows: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return rows


def test_the_command_estimates_every_soc_and_prints_one_document(dlc: Path) -> None:
    done = run(dlc, "--json")
    found = json.loads(done.stdout)
    assert len(found["rows"]) == 14
    assert all(row["milliseconds"] or row["refusal"] for row in found["rows"])
    assert "sm8750" in done.stderr
    assert "an estimate, not a measurement" in done.stderr


def test_precisions_side_by_side_on_named_devices(dlc: Path) -> None:
    found = rows_of(dlc, "--soc", "Galaxy S25,sm8650", "--precision", "w8a8,w8a16")
    rows = [(row["soc"], row["precision"]) for row in found]
    assert rows == [("sm8750", "w8a8"), ("sm8650", "w8a8"), ("sm8750", "w8a16"), ("sm8650", "w8a16")]


def test_one_measurement_predicts_the_others(dlc: Path) -> None:
    by_soc = {row["soc"]: row for row in rows_of(dlc, "--measured", "sm8550=17.5")}
    assert (by_soc["sm8550"]["milliseconds"], by_soc["sm8550"]["measured"]) == (17.5, True)
    assert by_soc["sm8750"]["milliseconds"] < 17.5


@pytest.mark.parametrize(
    "arguments",
    [["--measured", "17.5"], ["--measured", "sm8550=-1"], ["--measured", "sm8550=nan"], ["--seq", "128"],
     ["--seq", "long"], ["--soc", "sa8797"], ["--precision", "w3a3"]],
)  # fmt: skip
def test_what_the_command_refuses(dlc: Path, arguments: list[str]) -> None:
    done = run(dlc, *arguments)
    assert isinstance(done.exception, SnpeToolsError)


@pytest.mark.parametrize("version", list(all_versions()))
def test_every_container_version_is_estimated_or_refused_with_a_reason(tmp_path: Path, version: str) -> None:
    file = write_zip(tmp_path / "old.dlc", all_versions()[version])
    done = run(file, "--json")
    if done.exception is None:
        assert all(row["milliseconds"] or row["refusal"] for row in json.loads(done.stdout)["rows"])
    else:
        assert isinstance(done.exception, SnpeToolsError)


def test_own_measurements_and_newer_tables_are_learned(
    dlc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shipped = load_model()
    few = [one for one in shipped.measured if one.family in {"mobile", "dense"} and one.width == "a8"]
    own_model_file().parent.mkdir(parents=True)
    own_model_file().write_text(shipped.model_copy(update={"measured": few}).model_dump_json())
    before = rows_of(dlc, "--soc", "sm8750")[0]["milliseconds"]
    (tmp_path / "bench.json").write_text(json.dumps({"soc": "sm8750", "p50": 2 * before}))
    assert run(dlc, "--update", tmp_path / "bench.json").exit_code == 0
    after = rows_of(dlc, "--soc", "sm8750")[0]["milliseconds"]
    assert before < after <= 2.2 * before
    lines = [f"{row.name.replace('/', ',')},{row.precision},{row.device},qnn_dlc,{2 * row.milliseconds},,NPU"
             for row in shipped_rows() if row.precision == "w8a8"]  # fmt: skip
    (tmp_path / "new.csv").write_text(_HEAD + "\n".join(lines))
    assert run("--update", tmp_path / "new.csv").exit_code == 0
    figures = {one.network: one.milliseconds for one in load_model().measured}
    assert figures["mobilenet_v2/MobileNet-v2"]["sm8750"] == 0.442
    assert figures["own/net"] == {"sm8750": pytest.approx(2 * before)}
    assert isinstance(run("--update", tmp_path / "bench.json").exception, SnpeToolsError)


def test_a_damaged_own_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    own_model_file().parent.mkdir(parents=True)
    own_model_file().write_text('{"prices": {}}')
    with pytest.raises(DataError, match="source"):
        load_model()


def test_info_tells_the_latency_of_a_dlc_or_why_not(dlc: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["info", str(dlc), "--json"])
    assert json.loads(done.stdout)["latency"]["rows"][0]["milliseconds"] > 0
    small = write_zip(tmp_path / "small.dlc", records41())
    assert "much smaller than every measured network" in CliRunner().invoke(app, ["info", str(small)]).stdout
