"""What the aggregator is told about a skid."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from engine.plots.axes import axes_of, plot_configuration
from engine.system import SYSTEM_TAGS
from engine.uod.draft import draft_of
from engine.uod.info import uod_info
from engine.uod.resolve import resolve
from protocol.engine_messages import UodInfoMsg

GOLDEN = Path(__file__).parents[1] / "golden" / "demo_handshake_idle.jsonl"


@pytest.fixture(scope="module")
def info() -> UodInfoMsg:
    output: dict[str, Any] = {"device": "sim", "direction": "output"}
    draft, _ = draft_of(
        {
            "uod": "Test",
            "data_log_interval_s": 2,
            "devices": {"sim": {"driver": "simulated", "bus": "a"}, "other": {"driver": "simulated", "bus": "a"}},
            "tags": {
                "FT01": {"device": "sim", "unit": "L/h", "min": -5, "max": 20},
                "FT02": {"device": "sim", "unit": "L/h"},
                "PU01": output | {"unit": "L/h", "safe_value": 0, "max": 60},
                "VA01": output | {"type": "int64", "choices": {"Shut": 0, "Wide open": 1}, "safe_value": "Shut"},
                "Label": output | {"type": "string", "safe_value": ""},
                "Count": output | {"type": "int64", "safe_value": 0},
            },
            "commands": {"Flow": {"sets": "PU01", "description": "Set the flow."}},
            "process_values": [
                "FT01", "Run Time", {"entry": "PU01"}, {"choice": "VA01"}, {"entry": "Label"}, {"entry": "Count"},
            ],
        }
    )  # fmt: skip
    assert draft is not None
    skid, findings = resolve(draft, "test.yaml")
    assert skid is not None, findings
    axes = axes_of(skid, {})
    return uod_info(skid, plot_configuration(skid, axes, [axis.start for axis in axes]))


def test_readings(info: UodInfoMsg) -> None:
    found = [
        (
            reading.discriminator,
            reading.tag_name,
            reading.valid_value_units,
            reading.entry_data_type,
            reading.command_options,
        )
        for reading in info.readings
    ]

    assert found == [
        ("reading", "FT01", ["L/h", "L/min", "mL/min", "m3/h", "L/d"], None, None),
        ("reading", "Run Time", ["s", "min", "h"], None, None),
        ("reading_with_entry", "PU01", ["L/h", "L/min", "mL/min", "m3/h", "L/d"], "float", None),
        ("reading_with_choice", "VA01", [""], None, {"Shut": "VA01: Shut", "Wide open": "VA01: Wide open"}),
        ("reading_with_entry", "Label", [""], "str", None),
        ("reading_with_entry", "Count", [""], "float", None),
    ]
    commands = [command for reading in info.readings for command in reading.commands]
    assert [(command.name, command.command) for command in commands] == [
        ("PU01", "Flow"),
        ("VA01", "VA01"),
        ("Label", "Label"),
        ("Count", "Count"),
    ]
    assert commands[1].choice_names == ["Shut", "Wide open"]
    assert len({command.command_id for command in commands}) == 4


@pytest.mark.parametrize(
    ("command", "sound", "unsound"),
    [
        ("Flow", ["5 L/h", "5L/min", "-.5", "5. L/d"], ["", "L/h", "5 bar", "5 L"]),
        ("VA01", ["Shut", "Wide open"], ["Open", "Shut 1"]),
        ("Label", ["any text"], [""]),
        ("Count", ["12", " 12.5 "], ["12 L", "twelve"]),
    ],
)
def test_the_editor_of_open_pectus_can_check_arguments(
    info: UodInfoMsg, command: str, sound: list[str], unsound: list[str]
) -> None:
    definition = next(each for each in info.uod_definition.commands if each.name == command)
    assert definition.validator is not None
    pattern = definition.validator.removeprefix("RNAP-v1-")

    assert all(re.search(pattern, argument) for argument in sound)
    assert not any(re.search(pattern, argument) for argument in unsound)


def test_the_example_of_a_command_asks_for_the_safe_value(info: UodInfoMsg) -> None:
    assert [(command.name, command.docstring) for command in info.commands] == [
        ("Flow", "# Set the flow.\nFlow: 0 L/h"),
        ("VA01", "VA01: Shut"),
        ("Label", "Label:"),
        ("Count", "Count: 0"),
    ]


def test_all_tags_are_defined(info: UodInfoMsg) -> None:
    names = [tag.name for tag in info.uod_definition.tags]

    own = ["sim Status", "other Status", *(tag.name for tag in SYSTEM_TAGS)]
    assert names == ["FT01", "FT02", "PU01", "VA01", "Label", "Count", *own]


def test_what_the_plots_run_along_is_stored_and_the_run_time_shown(info: UodInfoMsg) -> None:
    """The aggregator stores process values, and what has a place in a plot."""
    plots = info.plot_configuration

    assert plots.x_axis_process_value_names == ["Run Time", "Process Time", "Block Time"]
    assert [(region.process_value_name, region.value_color_map) for region in plots.color_regions] == [
        ("Run Time", {}),
        ("Process Time", {}),
        ("Block Time", {}),
    ]
    assert [reading.tag_name for reading in info.readings].count("Run Time") == 1, "where its author has it"


def test_hardware_and_interval(info: UodInfoMsg) -> None:
    assert info.hardware_str == "sim, other on simulated a"
    assert info.data_log_interval_seconds == 2.0


def test_the_message_has_the_keys_of_the_real_one(info: UodInfoMsg) -> None:
    frames = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    raw = next(frame["raw"] for frame in frames if frame.get("message_type") == "UodInfoMsg")
    real = json.loads(raw)["request"]["arguments"]["message_json"]

    ours = json.loads(info.model_dump_json())

    assert ours.keys() == real.keys() - {"_type", "_ns"}
    for section in ("readings", "commands"):
        assert ours[section][0].keys() == real[section][0].keys()
    for section in ("uod_definition", "plot_configuration"):
        assert ours[section].keys() == real[section].keys()
