"""`skidlink opcua browse` against asyncua's server: tree, types, values, search, lines to paste, what is near."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from drivers.opcua.options import PointOptions
from engine.cli.app import app
from tests.system.opcua_server import SKID, SkidServer, ua

V = ua.VariantType


@pytest.fixture(scope="module")
def plc() -> Iterator[SkidServer]:
    """A server with one node of each kind that a tree shows in its own way."""
    server = SkidServer(["urn:other", SKID])
    server.add("FT01", 1.5, V.Float)
    server.add("FT02", 2**64 - 1, V.UInt64)
    server.add("array", [1, 2], V.Int32)
    server.add("pump speed", True, V.Boolean)
    server.run(server.server.get_node(ua.NodeId("FT02", server.index)).set_writable(False))
    server.set("array", ua.DataValue(ua.Variant([1, 2], V.Int32)))
    yield server
    server.stop()


def browse(plc: SkidServer, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["opcua", "browse", plc.endpoint, *arguments])


def test_the_tree_shows_types_access_and_values(plc: SkidServer) -> None:
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in browse(plc).stdout.splitlines()}
    i = plc.index
    assert lines[f"{i}:FT01"] == "Float rw 1.5 nsu=urn:skid;s=FT01"
    assert lines[f"{i}:FT02"] == f"UInt64 r {2**64 - 1} nsu=urn:skid;s=FT02"
    assert lines[f"{i}:array"] == "Int32[2] rw [1, 2] nsu=urn:skid;s=array"
    assert "Server" not in lines


def test_nodes_are_found_by_pattern(plc: SkidServer) -> None:
    i = plc.index
    found: list[dict[str, Any]] = json.loads(browse(plc, "--find", "ft0?", "--json").stdout)
    assert [entry["path"] for entry in found] == [f"Objects/{i}:System/{i}:{name}" for name in ("FT01", "FT02")]
    assert found[0]["value"] == "1.5"
    assert json.loads(browse(plc, "--find", "SPEED", "--json").stdout)[0]["node"] == "nsu=urn:skid;s=pump speed"
    nothing = browse(plc, "--find", "XX*")
    assert nothing.exit_code == 1
    assert "fits 'XX*'" in nothing.stderr


def test_the_lines_to_paste_are_tags_that_the_driver_takes(plc: SkidServer) -> None:
    printed = browse(plc, f"Objects/{plc.index}:System", "--uod", "--device", "press").stdout
    tags: dict[str, dict[str, Any]] = YAML(typ="safe").load(printed)["tags"]
    assert list(tags) == ["FT01", "FT02", "array_0", "array_1", "pump_speed"]
    assert tags["FT01"]["direction"] == "both"
    assert "direction" not in tags["FT02"]
    for tag in tags.values():
        assert tag.pop("device") == "press"
        tag.pop("direction", None)
        assert PointOptions.model_validate(tag).node.startswith("nsu=urn:skid;s=")


def test_odd_names_are_keys_that_can_be_pasted_and_ids_as_they_are(tmp_path: Path) -> None:
    server = SkidServer(["urn:other", SKID])
    try:
        names = ["1.2", "on", "12:30", "1e5", "NULL", "0x1F", "end "]
        for name in names:
            server.add(name, 1.5, V.Double)
        server.add("shy ", 1.5, V.Double)
        printed = browse(server, f"Objects/{server.index}:System", "--uod").stdout
        head = f"uod: Odd\ndevices: {{plc: {{driver: opcua, security: none, endpoint: '{server.endpoint}'}}}}\n"
        uod = tmp_path / "uod.yaml"
        uod.write_text(head + printed.replace("direction: both", "direction: input").replace("s=shy ", "s=end"))
        checked = CliRunner().invoke(app, ["check", "--online", str(uod)])
    finally:
        server.stop()
    tags: dict[str, dict[str, Any]] = YAML(typ="safe").load(printed)["tags"]
    assert [tag["node"] for tag in tags.values()] == [f"nsu={SKID};s={name}" for name in [*names, "shy "]]
    rows = {line.split()[1]: line for line in checked.stdout.splitlines() if " plc " in line}
    assert [name for name, row in rows.items() if " good " not in row] == ["shy"]


def test_a_blank_at_the_end_of_an_id_that_is_not_there_is_told(plc: SkidServer) -> None:
    found = browse(plc, f"nsu={SKID};s=FT01 ")
    assert found.exit_code == 1
    assert "no node has this id, with the blank at its end (delete it, if it is not meant)" in found.stderr


def test_what_is_not_there_is_told_with_what_is_near(plc: SkidServer) -> None:
    wrong = browse(plc, f"Objects/{plc.index}:Sytem")
    assert wrong.exit_code == 1
    assert f"did you mean '{plc.index}:System'" in wrong.stderr
    assert "no node has this id" in browse(plc, "nsu=urn:skid;s=nowhere").stderr
    assert "base namespace" in browse(plc, "Objects/System").stderr
    refused = CliRunner().invoke(app, ["opcua", "browse", "opc.tcp://joe:hunter2@plc:4840"])
    assert refused.exit_code == 1
    assert "hunter2" not in refused.output


def test_a_large_server_is_cut_off_and_says_so(plc: SkidServer) -> None:
    few = browse(plc, "--limit", "3")
    assert "there are more than 3 nodes" in few.stderr
    assert browse(plc, "i=2256", "--depth", "1").exit_code == 0
