"""Writes `docs/reference/units.md` from the table of units, so that the page says what the code takes.

python tools/unit_reference.py          writes the page; a test holds it to the table
"""

from __future__ import annotations

from pathlib import Path

from engine.core.unit_table import ABSOLUTE, GAUGE, MISTAKEN, MISTAKEN_ALONE, PERCENTS, PREFIXES, QUANTITIES

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "units.md"

HEAD = """# Reference: units

Made from the table in `engine/core/unit_table.py` by `python tools/unit_reference.py`. The units of this page are the
ones that are known, wherever a unit is written: in a UOD, in an expression's `unit`, in a command. `skidlink check`
refuses any other, and names the one that is probably meant. For something that has no unit, leave `unit` out.

## How to write one

* Products, quotients and powers: `mPa.s`, `mPa·s`, `L/m2/h`, `L/(m2 h)`, `m³/h`, `m^3/h`, `1/min`, `min-1`. After a `/`
  write another `/` for each unit of the denominator, or brackets: `W/m2 K` is refused, as it can be read in two ways.
* Spellings that differ only in form are one unit: `l/h` and `L/h`, `°C` and `degC`, `m³/h` and `m3/h`, `uS/cm` and
  `µS/cm`, `bar(g)` and `barg`. The spelling that you chose is what users see.
* Capital letters count: `mPa` is a thousandth of a pascal, `MPa` a million.

## What does not convert

* **Gauge and absolute pressures.** `barg`, `mbarg`, `kPag`, `psig` convert into each other, and so do `bar`, `bara`,
  `psi`, `Torr`. A gauge pressure never becomes an absolute one: the pressure of the air is not known here. If it is to
  be constant, say so: `raw_unit: bar, offset: 1.013, unit: bara`. A difference of two gauge pressures is in `bar`.
* **Gas at normal or standard conditions.** `Nm3/h`, `NL/min` convert into each other, and so do `sccm`, `slpm`,
  `Sm3/h`, `scfm`. They are amounts of gas, so they never become `m3/h`; nor do the two families convert, since what
  "standard" means differs between makers.
* **Per cents of something.** `%RH`, `vol%`, `wt%`, `mol%` are per cents, but none is another one.
* **Turns and radians.** `rpm`, `1/min` and `Hz` convert into each other; `rad/s` does not become `rpm`.

`W`, `VA` and `var` are one unit physically, and convert.

"""


def page() -> str:
    """The whole page."""
    parts = [HEAD, "## The units\n\nA unit with prefixes may have any of them before it: `mbar`, `µbar`.\n"]
    for quantity, atoms in QUANTITIES.items():
        parts.append(f"\n### {quantity.capitalize()}\n\n| unit | prefixes | also written |\n| --- | --- | --- |\n")
        for atom in atoms:
            prefixes = " ".join(f"`{prefix}`" for prefix in atom.prefixes)
            others = ", ".join(f"`{other}`" for other in (*atom.symbols, *atom.words))
            parts.append(f"| `{atom.name}` | {prefixes} | {others} |\n")
    gauges = ", ".join(f"`{name}g`" for name in GAUGE)
    absolutes = ", ".join(f"`{name}`" for name in ABSOLUTE)
    parts.append(
        f"\n### Gauge pressures\n\n{gauges}; each also as `bar(g)`, `bar g`, `bar_g`, `barü`.\n"
        f"Absolute pressures may be marked, too: {absolutes}, each also as `bara`, `bar(a)`, `bar abs`.\n"
    )
    parts.append("\n### Per cents of something\n\n| unit | also written |\n| --- | --- |\n")
    parts += [f"| `{name}` | {', '.join(f'`{other}`' for other in others)} |\n" for name, others in PERCENTS.items()]
    words = ", ".join(f"`{symbol}` {word}" for symbol, (word, _) in PREFIXES.items())
    parts.append(f"\n## Prefixes\n\n{words}; `u` is read as `µ`.\n")
    parts.append("\n## Refused, because it says something else\n\n| written | why | meant |\n| --- | --- | --- |\n")
    parts += [f"| `{text}` | {why} | `{near}` |\n" for text, (why, near) in MISTAKEN.items()]
    alone = ((text, why, f"`{near}`" if near else "") for text, (why, near) in MISTAKEN_ALONE.items())
    parts += [f"| `{text}` alone | {why} | {meant} |\n" for text, why, meant in alone]
    parts.append("| `l/m`, `kg/m` | is by the metre | `l/min`, `kg/min` |\n| `nm3/h` | is not a unit | `Nm3/h` |\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
