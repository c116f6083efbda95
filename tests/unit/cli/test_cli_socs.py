"""The command that says which SoCs are known."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from snpe_tools.cli.main import app
from snpe_tools.core.socs import BY_NAME


def test_every_soc_is_listed_with_what_it_runs() -> None:
    done = CliRunner().invoke(app, ["socs", "--json"])
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows.keys() == BY_NAME.keys()
    assert rows["sm8650"] == {
        "name": "sm8650",
        "id": 57,
        "htp": 75,
        "vtcm_mib": 8,
        "runs": {"w8a8": True, "w8a16": True, "w16a16": True, "fp16": True},
        "product": "Snapdragon 8 Gen 3",
        "devices": rows["sm8650"]["devices"],
        "caches_need_qairt": "2.51",
        "libraries": ["libQnnHtpV75Stub.so", "libQnnHtpV75Skel.so"],
        "linux_without_sdk": True,
    }
    assert "Galaxy S24" in rows["sm8650"]["devices"]
    assert rows["qcs6490"]["runs"] == {"w8a8": True, "w8a16": True, "w16a16": False, "fp16": False}
    assert [rows[name]["htp"] for name in ("sm8845", "sm8850", "sc8480xp", "sm8975")] == [81, 81, 81, 85]
    assert not rows["sm8975"]["linux_without_sdk"]


def test_one_soc_by_the_name_of_a_phone() -> None:
    done = CliRunner().invoke(app, ["socs", "Galaxy S24", "--json"])
    assert [row["name"] for row in json.loads(done.stdout)] == ["sm8650"]
    assert "Exynos" in done.stderr
