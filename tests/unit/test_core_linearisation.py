"""Linearisations, at the points that the standards print."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.contract import Kind, Quality
from engine.core.core import Core
from engine.core.linearisation import platinum_ratio
from engine.core.spec import FromEngine, FromExpression, TagSpec
from engine.core.thermocouples import LOWEST, PIECES, voltage

# IEC 60751:2022, table 1: resistance of a Pt100, in ohm, printed to 0.01.
PT100 = {
    -200: 18.52,
    -100: 60.26,
    -50: 80.31,
    0: 100.00,
    50: 119.40,
    100: 138.51,
    200: 175.86,
    400: 247.09,
    600: 313.71,
    800: 375.70,
    850: 390.48,
}
# IEC 60584-1 and NIST Monograph 175: voltages in mV against 0 degC, printed to 0.001.
THERMOCOUPLES: dict[str, dict[int, float]] = {
    "B": {500: 1.242, 1000: 4.834, 1500: 10.099, 1800: 13.591},
    "E": {-200: -8.825, -100: -5.237, 100: 6.319, 500: 37.005, 1000: 76.373},
    "J": {-200: -7.890, -100: -4.633, 100: 5.269, 500: 27.393, 760: 42.919, 1000: 57.953},
    "K": {-200: -5.891, -100: -3.554, 0: 0.0, 25: 1.000, 100: 4.096, 500: 20.644, 1000: 41.276, 1300: 52.410},
    "N": {-200: -3.990, 100: 2.774, 500: 16.748, 1000: 36.256, 1300: 47.513},
    "R": {100: 0.647, 500: 4.471, 1000: 10.506, 1500: 17.451},
    "S": {100: 0.646, 500: 4.233, 1000: 9.587, 1500: 15.582},
    "T": {-200: -5.603, -100: -3.379, 100: 4.279, 200: 9.288, 400: 20.872},
}


def evaluate(text: str, unit: str | None, *inputs: float, result: str | None = None) -> tuple[object, str, int]:
    """The value, reason and quality of an expression over tags A, B, ... with these values."""
    names = "ABC"[: len(inputs)]
    units = [unit, "degC", None]
    specs = [TagSpec(name, FromEngine(Kind.FLOAT), unit=each) for name, each in zip(names, units, strict=False)]
    core = Core([*specs, TagSpec("D", FromExpression(text), unit=result)], [])
    for name, x in zip(names, inputs, strict=True):
        core.set(name, x)
    core.derive(0.0)
    row = core.table.row_of("D")
    return core.table.value(row), core.table.why(row), int(core.table.quality[row])


@pytest.mark.parametrize(("t", "resistance"), PT100.items())
def test_platinum_by_the_table_of_iec_60751(t: float, resistance: float) -> None:
    assert 100 * float(platinum_ratio(np.array([float(t)]))[0]) == pytest.approx(resistance, abs=0.005)
    # At least 0.29 ohm a kelvin: half of the last printed digit is 0.017 K. 18.52 itself is out of range.
    for function, factor in (("pt100", 1), ("pt1000", 10)):
        found, _, _ = evaluate(f"{function}(A)", "ohm", max(resistance, 18.5202) * factor)
        assert found == pytest.approx(t, abs=0.005 / 0.29)


def test_platinum_there_and_back() -> None:
    for t in np.linspace(-200, 850, 43):
        found, _, _ = evaluate("pt100(A)", "ohm", 100 * float(platinum_ratio(np.array([t]))[0]))
        assert found == pytest.approx(t, abs=1e-9)


@pytest.mark.parametrize(
    ("letter", "t", "printed"), [(k, t, e) for k, es in THERMOCOUPLES.items() for t, e in es.items()]
)
def test_thermocouples_by_the_tables_of_iec_60584(letter: str, t: float, printed: float) -> None:
    exact = float(voltage(letter, np.array([float(t)]))[0])
    assert exact == pytest.approx(printed, abs=0.0005001)  # half of the last printed digit
    found, _, _ = evaluate(f"thermocouple_{letter.lower()}(A)", "mV", exact)
    assert found == pytest.approx(t, abs=1e-4)


@pytest.mark.parametrize("letter", PIECES)
def test_thermocouples_there_and_back_with_a_cold_junction(letter: str) -> None:
    for t in np.linspace(LOWEST[letter] + 100, PIECES[letter][-1][1] - 1, 17):
        hot, cold = voltage(letter, np.array([t, 23.4]))
        found, _, _ = evaluate(f"thermocouple_{letter.lower()}(A, B)", "uV", float(hot - cold) * 1000, 23.4)
        assert found == pytest.approx(t, abs=1e-4 if letter != "B" else 1e-3)


@pytest.mark.parametrize("letter", PIECES)
def test_the_pieces_of_a_reference_function_meet(letter: str) -> None:
    for _, t, _ in PIECES[letter][:-1]:
        below, above = voltage(letter, np.array([t - 1e-7, t + 1e-7]))
        assert above == pytest.approx(below, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "unit", "x"),
    [
        ("pt100(A)", "ohm", 18.5),
        ("pt100(A)", "ohm", 390.5),
        ("thermocouple_k(A)", "mV", 55.0),
        ("thermocouple_b(A)", "mV", 0.1),
    ],
)
def test_what_a_sensor_cannot_measure_is_bad(text: str, unit: str, x: float) -> None:
    value, why, quality = evaluate(text, unit, x)
    assert (value, quality) == (None, Quality.BAD)
    assert why == "outside of what this sensor can measure"


@pytest.mark.parametrize(
    ("current", "value", "quality"),
    [
        (3.6, None, Quality.BAD),
        (3.61, -2.4375, Quality.UNCERTAIN),
        (3.8, -1.25, Quality.GOOD),
        (4.0, 0.0, Quality.GOOD),
        (12.0, 50.0, Quality.GOOD),
        (20.5, 103.125, Quality.GOOD),
        (20.6, 103.75, Quality.UNCERTAIN),
        (21.0, None, Quality.BAD),
    ],
)
def test_a_current_loop_with_the_bands_of_namur_ne_43(current: float, value: float | None, quality: Quality) -> None:
    found, _, found_quality = evaluate("current_loop(A, 0, 100)", "mA", current)
    assert found == pytest.approx(value)
    assert found_quality == quality


def test_a_current_loop_in_another_unit() -> None:
    assert evaluate("current_loop(A, 0, 100)", "A", 0.012)[0] == pytest.approx(50.0)


@pytest.mark.parametrize(("dp", "flow"), [(0.0, 0.0), (-0.3, 0.0), (25.0, 500.0), (100.0, 1000.0), (400.0, 2000.0)])
def test_flow_from_pressure(dp: float, flow: float) -> None:
    assert evaluate("sqrt_flow(A, 100, 1000)", "mbar", dp, result="L/h")[0] == pytest.approx(flow)


@pytest.mark.parametrize("x", [-1.0, 0.0, 0.5, 1.0, 2.0, 4.0, 9.0])
def test_an_interpolation_table(x: float) -> None:
    found, _, _ = evaluate("interpolate(A, 0, 1, 1, 3, 4, -3)", None, x)
    assert found == pytest.approx(np.interp(x, [0, 1, 4], [1, 3, -3]))


@pytest.mark.parametrize("x", [-2.0, 0.0, 0.1, 3.0])
def test_a_polynomial(x: float) -> None:
    assert evaluate("polynomial(A, 1, -2, 0.5)", None, x)[0] == pytest.approx(1 - 2 * x + 0.5 * x * x)
