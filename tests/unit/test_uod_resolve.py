"""From the model to the skid: links, scales, kinds, paces and the commands that are made without being asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from drivers.contract import DriverError, Image, Kind, Options, Point
from engine.core.spec import Direction, Event, FromEngine, FromExpression, FromPoint, Simulated, TagSpec
from engine.uod.draft import draft_of
from engine.uod.faults import key_of
from engine.uod.resolve import resolve
from engine.uod.skid import ArgumentSpec, CommandSpec, OutputSpec, ProcessValueSpec, SetStep, Skid

SIM = {"driver": "simulated"}


def skid(**parts: Any) -> Skid:
    draft, findings = draft_of({"uod": "Test", "devices": {"sim": SIM}} | parts)
    assert draft is not None
    assert not findings
    found, findings = resolve(draft, "test.yaml")
    assert found is not None, findings
    return found


def tag(**keys: Any) -> TagSpec:
    return skid(tags={"X": {"device": "sim"} | keys}).tags[0]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, None),
        ({"simulate": 1.5}, Simulated(1.5)),
        ({"simulate": False, "type": "bool"}, Simulated(value=False)),
        ({"simulate": "X + 1"}, Simulated(expr="X + 1")),
        ({"simulate": "On", "type": "int64", "choices": {"Off": 0, "On": 1}}, Simulated("On")),
        ({"simulate": {"value": "X", "drives_outputs": True}, "type": "string"}, Simulated("X", drives_outputs=True)),
        ({"simulate": {"expr": "X * 2"}}, Simulated(expr="X * 2")),
    ],
)
def test_what_a_tag_is_simulated_by(keys: dict[str, Any], expected: Simulated | None) -> None:
    assert tag(**keys).simulated == expected


def test_an_interlock_sees_what_devices_say() -> None:
    output = {"device": "sim", "direction": "output", "safe_value": 0, "allow_if": "LT01 > 1"}
    found = skid(tags={"LT01": {"device": "sim"}, "PU01": output}, derived={"D": {"expr": "LT01 > 1"}})
    sees = {each.name: each.source.guards_outputs for each in found.tags if isinstance(each.source, FromExpression)}
    assert sees == {"D": False, "PU01 Allowed": True}


def test_devices_of_one_link_are_joined() -> None:
    found = skid(
        devices={
            "a": {"driver": "modbus-tcp", "host": "192.0.2.20", "device_id": 1},
            "b": {"driver": "modbus-tcp", "host": "192.0.2.21"},
            "c": {"driver": "modbus-tcp", "host": "192.0.2.20", "device_id": 2},
            "d": SIM,
        },
        tags={
            "A": {"device": "a", "holding": 0},
            "B": {"device": "b", "holding": 0},
            "C": {"device": "c", "holding": 0},
            "D": {"device": "d"},
        },
    )

    assert [list(link.devices) for link in found.links] == [["a", "c"], ["b"], ["d"]]
    assert [link.driver for link in found.links] == ["modbus-tcp", "modbus-tcp", "simulated"]
    assert [point.tag for point in found.links[0].points] == ["A", "C"]
    sources = [each.source for each in found.tags if isinstance(each.source, FromPoint)]
    assert sources == [FromPoint(0, 0), FromPoint(1, 0), FromPoint(0, 1), FromPoint(2, 0)]


@pytest.mark.parametrize(
    ("keys", "scale", "offset"),
    [
        ({}, 1.0, 0.0),
        ({"unit": "bar"}, 1.0, 0.0),
        ({"raw_unit": "mbar", "unit": "bar"}, 0.001, 0.0),
        ({"raw_unit": "mbar", "unit": "bar", "scale": 0.1, "offset": -5}, 0.0001, -0.005),
        ({"raw_unit": "K", "unit": "degC", "scale": 0.1}, 0.1, -273.15),
        ({"raw_unit": "degF", "unit": "degC"}, 5 / 9, -160 / 9),
        ({"raw_unit": "%", "unit": ""}, 0.01, 0.0),
    ],
)
def test_units_become_scale_and_offset(keys: dict[str, Any], scale: float, offset: float) -> None:
    found = tag(**keys)

    assert (found.scale, found.offset) == (scale, offset)


@pytest.mark.parametrize(
    ("device", "keys", "every_ms", "stale_after_s"),
    [
        ({}, {}, 100, 2.0),
        ({"every_ms": 1000}, {}, 1000, 3.0),
        ({"every_ms": 1000}, {"every_ms": 500}, 500, 2.0),
        ({"every_ms": 1000, "stale_after_ms": 5000}, {}, 1000, 5.0),
        ({"stale_after_ms": 5000}, {"stale_after_ms": 300}, 100, 0.3),
    ],
)
def test_paces_come_from_tag_device_or_tick(
    device: dict[str, Any], keys: dict[str, Any], every_ms: int, stale_after_s: float
) -> None:
    found = skid(devices={"sim": SIM | device}, tags={"X": {"device": "sim"} | keys})

    assert found.links[0].points[0].every_ms == every_ms
    assert found.links[0].points[0].stale_after_ms == round(stale_after_s * 1000)
    assert found.tags[0].stale_after_s == stale_after_s


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ({"type": "float32", "safe_value": 0}, Kind.FLOAT32),
        ({"type": "int64", "safe_value": 0}, Kind.INT),
        ({"type": "int64", "safe_value": 0, "scale": 0.1}, Kind.FLOAT),
        ({"type": "bool", "safe_value": False}, Kind.BOOL),
        ({"type": "string", "safe_value": ""}, Kind.TEXT),
        ({"type": "bool", "choices": {"Shut": False, "Open": True}, "safe_value": "Shut"}, Kind.BOOL),
    ],
)
def test_an_output_that_is_never_read_is_kept_by_the_engine(keys: dict[str, Any], kind: Kind) -> None:
    found = skid(tags={"X": {"device": "sim", "direction": "output"} | keys})

    assert found.tags[0].source == FromEngine(kind)
    assert found.tags[0].stale_after_s is None
    assert not found.links[0].points[0].read
    assert found.links[0].points[0].write
    assert found.outputs == (OutputSpec(0, 0, 0, keys["safe_value"], read_back=False),)


def test_a_tag_of_both_directions_is_read_and_written() -> None:
    found = skid(tags={"X": {"device": "sim", "direction": "both", "safe_value": 0}})

    assert found.tags[0].source == FromPoint(0, 0)
    assert found.tags[0].direction is Direction.BOTH
    assert found.links[0].points[0].read
    assert found.links[0].points[0].write
    assert found.outputs[0].read_back


class Dial:
    """A bus of somebody else, that cannot be written, and serves two points at most."""

    class DeviceOptions(Options):
        port: str

    class PointOptions(Options):
        place: int

    def __init__(self, devices: Mapping[str, Any], points: Sequence[Point]) -> None:
        if len(points) > 2:
            raise DriverError("there are two dials at most")
        self.image = Image([Kind.INT for _ in points])

    @staticmethod
    def link_name(options: Dial.DeviceOptions) -> str:
        return f"dial {options.port}"


def faults_of_dials(monkeypatch: pytest.MonkeyPatch, tags: dict[str, Any]) -> list[tuple[str, str]]:
    monkeypatch.setattr("engine.uod.wiring.driver_class", {"dial": Dial}.__getitem__)
    draft, _ = draft_of({"uod": "Test", "devices": {"dial": {"driver": "dial", "port": "A"}}, "tags": tags})
    assert draft is not None
    return [(key_of(finding.path), finding.message) for finding in resolve(draft, "test.yaml")[1]]


def test_a_driver_that_cannot_write_has_no_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = {"A": {"device": "dial", "place": 1, "direction": "both", "safe_value": 0}}

    assert faults_of_dials(monkeypatch, tags) == [("tags.A.direction", "the driver of dial cannot write")]


def test_a_driver_that_cannot_plan_its_points_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = {name: {"device": "dial", "place": 1} for name in "ABC"}

    assert faults_of_dials(monkeypatch, tags) == [("devices.dial", "there are two dials at most")]


def test_a_driver_that_cannot_be_imported_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> type:
        raise DriverError(f"driver {name!r} at dials:Dial cannot be imported: no module named 'dials'")

    monkeypatch.setattr("engine.uod.wiring.driver_class", broken)
    draft, _ = draft_of({"uod": "Test", "devices": {"dial": {"driver": "dial"}}, "tags": {"A": {"device": "dial"}}})
    assert draft is not None

    found, findings = resolve(draft, "test.yaml")

    assert found is None
    assert [key_of(finding.path) for finding in findings] == ["devices.dial.driver"]


def test_a_kind_that_only_the_device_knows_goes_with_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    class OpenDial(Dial):
        def __init__(self, devices: Mapping[str, Any], points: Sequence[Point]) -> None:
            super().__init__(devices, points)
            self.image = Image([Kind.FLOAT for _ in points], [False for _ in points])

    monkeypatch.setattr("engine.uod.wiring.driver_class", {"dial": OpenDial}.__getitem__)

    def faults(tag: dict[str, Any]) -> list[str]:
        parts = {"tags": {"A": {"device": "dial", "place": 1} | tag}, "derived": {"B": {"expr": "where(A, 1, 0)"}}}
        draft, _ = draft_of({"uod": "Test", "devices": {"dial": {"driver": "dial", "port": "A"}}} | parts)
        assert draft is not None
        return [key_of(finding.path) for finding in resolve(draft, "test.yaml")[1]]

    assert faults({}) == []
    assert faults({"scale": 0.1}) == ["derived.B.expr"], "what is scaled is a number"


def test_memories_are_reset_as_their_author_says() -> None:
    resets = {"R": {}, "B": {"reset_on": "block start"}, "N": {"reset_on": "never"}}
    found = skid(
        tags={"A": {"device": "sim", "unit": "L"}},
        derived={name: {"expr": "since(A)", "unit": "L"} | keys for name, keys in resets.items()},
        accumulated_volume="A",
    )

    sources = {each.name: each.source for each in found.tags[1:]}
    assert {name: source.reset_on for name, source in sources.items() if isinstance(source, FromExpression)} == {
        "R": (Event.RUN_START,),
        "B": (Event.RUN_START, Event.BLOCK_START),
        "N": (),
        "Accumulated Volume": (Event.RUN_START,),
        "Block Volume": (Event.RUN_START, Event.BLOCK_START),
    }
    assert {each.unit for each in found.tags if isinstance(each.source, FromExpression)} == {"L"}


def test_derived_tags_follow_those_of_the_devices() -> None:
    found = skid(
        tags={"A": {"device": "sim", "unit": "bar"}},
        derived={"B": {"expr": "A * 2", "unit": "mbar", "deadband": "1%", "min": 0, "max": 2000}},
    )

    assert found.tags[1].source == FromExpression("A * 2")
    assert (found.tags[1].deadband, found.tags[1].deadband_percent) == (0.0, 1.0)
    assert (found.tags[1].direction, found.tags[1].minimum, found.tags[1].maximum) == (Direction.NA, 0.0, 2000.0)


def test_a_command_takes_the_units_that_its_author_allows_or_all_that_fit() -> None:
    found = skid(
        tags={"P": {"device": "sim", "unit": "L/h", "direction": "both", "safe_value": 0}},
        commands={"Any": {"sets": "P"}, "Minutes": {"sets": "P", "units": ["L/min"]}},
    )

    every = {
        "L/h": (1.0, 0.0),
        "L/min": (60.0, 0.0),
        "mL/min": (0.06, 0.0),
        "m3/h": (1000.0, 0.0),
        "L/d": (1 / 24, 0.0),
    }
    assert found.commands == (
        CommandSpec("Any", (SetStep(0),), ArgumentSpec("number", "L/h", every)),
        CommandSpec("Minutes", (SetStep(0),), ArgumentSpec("number", "L/h", {"L/min": (60.0, 0.0)})),
    )


def test_a_process_value_finds_its_command_or_gets_one() -> None:
    output = {"device": "sim", "direction": "both", "safe_value": 0}
    found = skid(
        tags={
            "A": output,
            "B": output,
            "C": output | {"type": "int64", "choices": {"Shut": 0, "Open": 1}, "safe_value": "Shut"},
            "D": output | {"type": "string", "safe_value": ""},
        },
        commands={"First": {"sets": "A"}, "A": {"sets": "A"}, "Second": {"sets": "B"}},
        process_values=[
            {"entry": "A"},
            {"entry": "A", "command": "First"},
            {"entry": "B"},
            {"choice": "C"},
            {"entry": "D"},
        ],
    )

    made = [(command.name, command.argument.kind) for command in found.commands[3:] if command.argument]
    assert made == [("C", "choice"), ("D", "text")]
    assert found.process_values == (
        ProcessValueSpec(0, "entry", 1),
        ProcessValueSpec(0, "entry", 0),
        ProcessValueSpec(1, "entry", 2),
        ProcessValueSpec(2, "choice", 3),
        ProcessValueSpec(3, "entry", 4),
    )
