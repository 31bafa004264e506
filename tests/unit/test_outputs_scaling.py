"""Outputs with scale and offset: raw = (value - offset) / scale, on every way that a value takes."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.contract import Quality
from engine.links import LinkState
from engine.outputs import OutputRefusedError
from tests.unit.unmanned_links import PUMP, desk, errors

# A setpoint in degC on a register that counts tenths of a kelvin above -50 degC: 20 degC is 700.
SHIFTED: dict[str, Any] = PUMP | {"type": "int64", "unit": "degC", "scale": 0.1, "offset": -50, "min": -40, "max": 90}


@pytest.mark.parametrize(("keys", "raw"), [({"type": "int64"}, 725), ({"type": "float64"}, pytest.approx(725.0))])
def test_an_offset_is_taken_off_before_a_value_is_written(keys: dict[str, Any], raw: Any) -> None:
    here = desk({"TC01": SHIFTED | keys | {"safe_value": 20}})
    here.outputs.wish("TC01", 22.5)
    assert here.write() == {"TC01": raw}
    assert here.value("TC01") == 22.5
    here.outputs.make_safe()
    assert here.write() == {"TC01": 700}
    with pytest.raises(OutputRefusedError, match=r"-40\.1 degC is below its min of -40"):
        here.outputs.wish("TC01", -40.1)


def test_an_offset_counts_on_a_ramp_and_in_what_its_tag_shows() -> None:
    here = desk({"TC01": SHIFTED | {"safe_value": 20, "max_rate": 1}})
    here.outputs.wish("TC01", 21)
    assert here.pass_time(0.5) == [("TC01", raw) for raw in (701, 702, 703, 704, 705)]
    assert here.value("TC01") == pytest.approx(20.5)
    assert here.pass_time(2.0)[-1] == ("TC01", 710)
    assert here.value("TC01") == 21


def test_what_a_shifted_register_shows_is_where_its_ramp_begins_after_a_blink() -> None:
    here = desk({"TC01": SHIFTED | {"safe_value": 20, "max_rate": 1, "direction": "both"}})
    here.outputs.wish("TC01", 21)
    here.pass_time(2.0)
    here.lines[0].turn(LinkState.DOWN)
    here.now += 1.0
    here.read("TC01", 690)
    here.lines[0].turn(LinkState.UP)
    assert here.pass_time(0.2) == [("TC01", 691), ("TC01", 692)]


@pytest.mark.parametrize(("shown", "first"), [(7.0, 6.5), (-300.0, -299.5)])
def test_a_ramp_without_limits_begins_after_a_blink_where_its_device_is(shown: float, first: float) -> None:
    tag = {"device": "sim", "direction": "both", "safe_value": 0, "max_rate": 5}
    here = desk({"SP01": tag | ({"max": 100} if shown > 0 else {})})
    here.outputs.wish("SP01", 0)
    here.pass_time(1.0)
    here.lines[0].turn(LinkState.DOWN)
    here.now += 1.0
    here.read("SP01", shown)
    here.lines[0].turn(LinkState.UP)
    here.tick()
    assert here.write() == {"SP01": pytest.approx(first)}


def test_a_step_that_the_device_refuses_after_a_blink_leaves_the_ramp_where_the_device_was() -> None:
    here = desk({"PU01": PUMP | {"max_rate": 5, "direction": "both"}})
    here.outputs.wish("PU01", 50)
    here.pass_time(12.0)
    here.lines[0].turn(LinkState.DOWN)
    here.now += 1.0
    here.read("PU01", 20.0)
    here.lines[0].turn(LinkState.UP)
    here.tick()
    assert here.write("it is busy") == {"PU01": pytest.approx(20.5)}
    here.outputs.wish("PU01", 50)
    here.tick()
    assert here.write() == {"PU01": pytest.approx(20.5)}, "where it was seen, not where it was before the blink"


def test_a_safe_value_that_does_not_fit_any_more_opens_no_interlock(caplog: pytest.LogCaptureFixture) -> None:
    here = desk({"LT01": {"device": "sim", "unit": "%"}, "PU01": PUMP | {"allow_if": "LT01 > 10"}})
    here.read("LT01", 80.0)
    here.tick()
    here.outputs.wish("PU01", 50)
    here.write()
    output = here.outputs._outputs["PU01"]
    output.spec = type(output.spec)(output.spec.tag, output.spec.link, output.spec.row, -1.0, read_back=False)
    here.read("LT01", 80.0, Quality.BAD)
    here.tick()
    assert here.write() == {}, "there is no safe value that could be written"
    assert any("goes to its safe value" in line for line in errors(caplog))
    with pytest.raises(OutputRefusedError, match="not allowed now"):
        here.outputs.wish("PU01", 60)
