"""The skid's physics: what goes in comes out, closed valves stop flow, and readings wrap as instruments do."""

from __future__ import annotations

import math

import pytest

from uod_examples.skid.model import (
    PULSES_START,
    RAMP_PERCENT_S,
    TANK_L,
    TEXT_LIMIT,
    TOTAL_START_ML,
    WATCHDOG_S,
    Mode,
    SkidModel,
    Status,
    Value,
)

STEP_S = 0.05


def after(model: SkidModel, seconds: float) -> dict[str, Value]:
    for _ in range(round(seconds / STEP_S)):
        model.step(STEP_S)
    return model.values()


def number(values: dict[str, Value], name: str) -> float:
    return float(values[name])


@pytest.fixture
def running() -> SkidModel:
    """Steady flow at 60 %, no noise."""
    model = SkidModel(noise=False, running=True)
    after(model, 10.0)
    return model


def test_stands_still_until_told() -> None:
    values = after(SkidModel(noise=False), 60.0)
    assert values["FT01"] == values["PT01"] == values["ST01"] == 0.0
    assert values["MS01"] == "Standby"


def test_opening_the_valves_and_starting_the_pump_makes_flow() -> None:
    model = SkidModel(noise=False)
    model.write({"VA01": True, "VA02": True, "PU01": 80.0})
    values = after(model, 10.0)
    assert 300.0 < number(values, "FT01") < 1000.0
    assert number(values, "PT01") > number(values, "PT02") > 0.0
    assert values["MS01"] == "Collecting"


def test_the_pump_ramps() -> None:
    model = SkidModel(noise=False)
    model.write({"PU01": 100.0})
    assert number(after(model, 1.0), "ST01") == pytest.approx(RAMP_PERCENT_S)
    assert number(after(model, 4.0), "ST01") == pytest.approx(100.0)
    model.write({"PU01": 50.0})
    assert number(after(model, 1.0), "ST01") == pytest.approx(100.0 - RAMP_PERCENT_S)


def test_a_closed_inlet_takes_the_suction_away(running: SkidModel) -> None:
    running.write({"VA01": False})
    values = after(running, 1.0)
    assert values["FT01"] == values["PT01"] == values["PT02"] == 0.0
    assert number(values, "ST01") == pytest.approx(60.0)
    assert values["MS01"] == "No suction"


def test_a_closed_outlet_stops_the_flow_and_lifts_the_pressure(running: SkidModel) -> None:
    before = number(running.values(), "PT01")
    running.write({"VA02": False})
    values = after(running, 1.0)
    assert values["FT01"] == 0.0
    assert values["PT01"] == values["PT02"]
    assert number(values, "PT01") > before


def test_mass_is_conserved(running: SkidModel) -> None:
    after(running, 600.0)
    assert running.collected > 50.0
    assert running.volume == pytest.approx(0.8 * TANK_L + running.fed - running.collected)


def test_recirculation_keeps_the_level_and_counts_on() -> None:
    model = SkidModel(noise=False, running=True)
    model.write({"VA03": False, "MO01": Mode.RECIRCULATE})
    volume = model.volume
    values = after(model, 120.0)
    assert model.volume == volume
    assert int(values["PC01"]) > PULSES_START


def test_the_filter_fouls_with_throughput_and_a_backwash_cleans_it(running: SkidModel) -> None:
    def resistance(values: dict[str, Value]) -> float:
        return (number(values, "PT01") - number(values, "PT02")) / number(values, "FT01")

    clean = resistance(running.values())
    fouled = resistance(after(running, 1200.0))
    assert fouled > 1.5 * clean
    running.write({"MO01": Mode.BACKWASH})
    assert after(running, 30.0)["FT01"] == 0.0
    running.write({"MO01": Mode.COLLECT})
    assert resistance(after(running, 10.0)) == pytest.approx(clean, rel=0.05)


def test_a_fouled_filter_raises_the_alarm() -> None:
    model = SkidModel(noise=False, running=True)
    model.write({"PU01": 100.0})
    model.fouling = 20.0
    status = Status(int(after(model, 10.0)["SW01"]))
    assert Status.FILTER_FOULED | Status.ALARM in status


def test_the_totaliser_wraps_as_uint32_and_the_counter_does_not(running: SkidModel) -> None:
    before = running.filtered
    running.filtered = (2**32 - TOTAL_START_ML) / 1e3 + 0.25
    values = after(running, STEP_S)
    assert 250 <= int(values["FQ01"]) < 1000
    assert int(values["PC01"]) > PULSES_START + int(before * 1e4)


def test_64_bit_readings_are_exact_integers_above_2_to_the_53(running: SkidModel) -> None:
    values = running.values()
    for name in ("PC01", "CK01"):
        assert type(values[name]) is int
        assert int(values[name]) > 2**53
    first = int(values["CK01"])
    assert int(after(running, STEP_S)["CK01"]) - first == 50_000_000


def test_low_level_trips_the_pump() -> None:
    model = SkidModel(noise=False, running=True)
    model.write({"VA03": False, "PU01": 100.0})
    values = after(model, 3600.0)
    assert values["MS01"] == "Low level"
    assert values["ST01"] == values["FT01"] == 0.0
    assert 0.0 < number(values, "LT01") < 5.1


def test_a_forced_sensor_has_consequences_and_release_ends_them(running: SkidModel) -> None:
    running.force({"LT01": 1.0})
    assert Status.LOW_LEVEL in Status(int(running.values()["SW01"]))
    assert after(running, 5.0)["ST01"] == 0.0
    running.release()
    assert number(running.values(), "LT01") > 50.0
    assert number(after(running, 5.0), "ST01") == pytest.approx(60.0)


def test_a_broken_sensor_is_nan_and_the_rest_goes_on(running: SkidModel) -> None:
    running.force({"TT01": math.nan})
    values = after(running, 1.0)
    assert math.isnan(number(values, "TT01"))
    assert number(values, "FT01") > 100.0


@pytest.mark.parametrize(
    ("name", "value"),
    [("PU01", 100.5), ("PU01", math.nan), ("PU01", True), ("PU01", "50"), ("VA01", 2), ("MO01", 3),
     ("BA01", "x" * (TEXT_LIMIT + 1)), ("BA01", "Größe"), ("FT01", 1.0)],
)  # fmt: skip
def test_an_impossible_write_changes_nothing(name: str, value: Value) -> None:
    model = SkidModel(noise=False)
    before = model.values()
    with pytest.raises(ValueError, match=name):
        model.write({"VA02": True, name: value})
    assert model.values() == before


def test_only_readings_can_be_forced() -> None:
    model = SkidModel()
    with pytest.raises(ValueError, match="write it"):
        model.force({"PU01": 1.0})
    with pytest.raises(ValueError, match="no quantity 'FT99'"):
        model.force({"FT99": 1.0})


def test_noise_is_the_same_for_the_same_seed_and_small() -> None:
    one, same, other, quiet = SkidModel(7), SkidModel(7), SkidModel(8), SkidModel(noise=False)
    for model in (one, same, other, quiet):
        model.write({"VA01": True, "VA02": True, "PU01": 50.0})
        after(model, 20.0)
    assert one.values() == same.values()
    assert one.values()["FT01"] != other.values()["FT01"]
    assert number(one.values(), "FT01") == pytest.approx(number(quiet.values(), "FT01"), abs=5.0)


def test_without_a_sign_of_life_nobody_is_watched(running: SkidModel) -> None:
    running.watch(3600.0)
    assert number(after(running, 1.0), "ST01") == pytest.approx(60.0)


def test_when_the_sign_of_life_stands_still_the_plc_stops_the_skid(running: SkidModel) -> None:
    for beat in range(1, 5):
        running.write({"WD01": beat})
        running.watch(0.9 * WATCHDOG_S)
    running.write({"WD01": 4})  # written, but not changed
    assert number(after(running, 1.0), "ST01") == pytest.approx(60.0)
    running.watch(0.2 * WATCHDOG_S)
    values = after(running, 5.0)
    assert (values["PU01"], values["VA01"], values["VA02"], values["ST01"]) == (0.0, False, False, 0.0)
    assert values["MS01"] == "Watchdog"
    assert Status(int(values["SW01"])) & Status.ALARM
    running.write({"VA01": True})
    running.watch(STEP_S)
    assert after(running, STEP_S)["VA01"] is False, "it stays so"
    running.write({"WD01": 5, "VA01": True})
    running.watch(STEP_S)
    values = after(running, STEP_S)
    assert (values["VA01"], values["PU01"], values["MS01"]) == (True, 0.0, "Standby"), "until somebody is there again"
