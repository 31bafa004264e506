"""The units that are known: a closed table, so that no unit is taken for another one by accident.

A definition is a factor and other units of the table, or a dimension in square brackets. What has no fixed relation to
other units (a gauge pressure, a standard volume, a turbidity) has a dimension of its own and converts only within it.
"""

from __future__ import annotations

from dataclasses import dataclass

PREFIXES = {
    "p": ("pico", "1e-12"), "n": ("nano", "1e-9"), "µ": ("micro", "1e-6"), "m": ("milli", "1e-3"),
    "c": ("centi", "1e-2"),
    "d": ("deci", "1e-1"), "h": ("hecto", "100"), "k": ("kilo", "1000"), "M": ("mega", "1000000"),
    "G": ("giga", "1000000000"),
}  # fmt: skip
"""symbol -> word and factor"""


@dataclass(frozen=True, slots=True)
class Atom:
    """One unit that others are made of."""

    name: str
    """How it is usually written."""
    definition: str
    prefixes: str = ""
    """The prefixes that people use with it; others are refused: a megabar is a mistyped millibar."""
    symbols: tuple[str, ...] = ()
    """Other short spellings; prefixes go before them, too."""
    words: tuple[str, ...] = ()
    """Long spellings; the words of prefixes go before them."""


QUANTITIES: dict[str, tuple[Atom, ...]] = {
    "plain numbers and counts": (
        Atom("%", "1e-2", words=("percent", "pct")),
        Atom("‰", "1e-3", words=("permille",)),
        Atom("ppm", "1e-6", symbols=("PPM", "ppmv"), words=("ppm(v)",)),
        Atom("ppb", "1e-9", symbols=("PPB", "ppbv"), words=("ppb(v)",)),
        Atom("count", "1", words=("counts", "cts", "pulse", "pulses", "imp", "Imp", "step", "steps",
             "cnt", "pc", "pcs", "pieces", "Stk", "dimensionless")),
        Atom("cells", "1", words=("cell", "CFU", "cfu", "particles")),
        Atom("CV", "1", words=("column_volume",)),
        Atom("BV", "1", words=("bed_volume",)),
        Atom("DV", "1", words=("dead_volume",)),
        Atom("cosphi", "1", words=("cos phi", "cosφ", "PF")),
        Atom("SG", "1"),
    ),
    "length": (
        Atom("m", "[length]", "kdcmµn", words=("metre", "metres", "meter", "meters")),
        Atom("in", "0.0254 m", words=("inch", "inches")),
        Atom("ft", "0.3048 m", words=("foot", "feet")),
    ),
    "volume": (
        Atom("L", "0.001 m^3", "hdcmµnp", symbols=("l",), words=("litre", "litres", "liter", "liters", "ltr", "Ltr")),
        Atom("cc", "0.000001 m^3", words=("ccm",)),
        Atom("gal", "231 in^3", words=("gallon", "gallons")),
    ),
    "mass": (
        Atom("g", "[mass]", "kmµnp", words=("gram", "grams", "gramme")),
        Atom("t", "1000000 g", words=("tonne", "tonnes")),
        Atom("lb", "453.59237 g", words=("lbs", "pound", "pounds")),
        Atom("oz", "28.349523125 g"),
        Atom("Da", "1.66053906660e-24 g", "k"),
    ),
    "time": (
        Atom("s", "[time]", "mµn", words=("sec", "second", "seconds")),
        Atom("min", "60 s", words=("minute", "minutes")),
        Atom("h", "3600 s", words=("hr", "hrs", "hour", "hours")),
        Atom("d", "86400 s", words=("day", "days")),
        Atom("week", "604800 s", words=("weeks", "wk")),
        Atom("a", "31557600 s", words=("year", "years", "yr")),
    ),
    "frequency and speed of rotation": (
        Atom("Hz", "1/s", "mkMG", symbols=("HZ",), words=("hertz",)),
        Atom("rpm", "1/min", symbols=("RPM",), words=("r/min", "rev/min", "U/min", "r.p.m.", "upm")),
        Atom("rev", "1", words=("revolution", "revolutions")),
        Atom("bpm", "1/min"),
    ),
    "angle": (
        Atom("rad", "1", "m", words=("radian", "radians")),
        Atom("deg", "0.017453292519943295 rad", symbols=("°",), words=("degree", "degrees")),
    ),
    "temperature": (
        Atom("K", "[temperature]", "m", symbols=("°K",), words=("kelvin", "degK")),
        Atom(
            "degC",
            "K",
            symbols=("°C", "℃", "ºC", "˚C"),
            words=("deg C", "deg.C", "deg. C", "degreeC", "celsius", "Celsius", "degree_Celsius", "degrees C", "° C"),
        ),
        Atom(
            "degF",
            "5/9 K",
            symbols=("°F", "℉", "ºF", "˚F"),
            words=("deg F", "deg.F", "degreeF", "fahrenheit", "Fahrenheit", "degree_Fahrenheit", "degrees F", "° F"),
        ),
        Atom("delta_degC", "K", symbols=("Δ°C", "ΔdegC", "ΔK", "delta_K")),
        Atom("delta_degF", "5/9 K", symbols=("Δ°F", "ΔdegF")),
    ),
    "amount and concentration": (
        Atom("mol", "[substance]", "kmµn", words=("mole", "moles")),
        Atom("M", "1000 mol/m^3", "mµnp", words=("molar",)),
        Atom("eq", "[equivalents]", "mµ", symbols=("Eq", "val")),
        Atom("IU", "[international units]", "kM", words=("I.U.", "IE", "I.E.")),
        Atom("U", "[enzyme activity]", "mk"),
        Atom("EU", "[endotoxin units]"),
    ),
    "force and torque": (
        Atom("N", "1000 g m/s^2", "mµk", words=("newton", "newtons")),
        Atom("Nm", "N m", "mk"),
        Atom("lbf.ft", "lbf ft", symbols=("ft-lb", "ft.lb", "ft·lb", "ft-lbf", "lb-ft")),
        Atom("lbf.in", "lbf in", symbols=("in-lb", "in.lb", "in·lb", "in-lbf", "lb-in")),
        Atom("dyn", "0.00001 N"),
        Atom("kgf", "9.80665 N", symbols=("kp",)),
        Atom("lbf", "4.4482216152605 N"),
    ),
    "pressure": (
        Atom("Pa", "N/m^2", "mhkMG", words=("pascal", "pascals")),
        Atom("bar", "100000 Pa", "mµk"),
        Atom("psi", "8896443230521/1290320000 Pa", symbols=("PSI", "lbf/in2")),
        Atom("atm", "101325 Pa", words=("atmosphere",)),
        Atom("kgf/cm2", "98066.5 Pa", symbols=("kp/cm2", "at")),
        Atom("Torr", "20265/152 Pa", "m", symbols=("torr", "TORR")),
        Atom("mmHg", "133.322387415 Pa"),
        Atom("inHg", "3386.388640341 Pa", symbols=("in.Hg",)),
        Atom("mmH2O", "9.80665 Pa", symbols=("mmWS", "mmWC", "mmH₂O")),
        Atom("cmH2O", "98.0665 Pa", symbols=("cmWS", "cmWC", "cmH₂O")),
        Atom("mH2O", "9806.65 Pa", symbols=("mWS", "mWC", "mH₂O")),
        Atom("inH2O", "249.08891 Pa", symbols=("inWC", "inWS", "in.H2O", "iwc", "inH₂O")),
    ),
    "volume of gas at normal conditions": (
        Atom("NL", "[normal volume]", "m", symbols=("Nl", "ln", "l_n", "L_n")),
        Atom("Nm3", "1000 NL", symbols=("NM3", "m3n", "m3_n", "m3(n)")),
        Atom("Ncc", "0.001 NL", symbols=("Ncm3", "NmL", "Nml", "mLn", "ml_n")),
        Atom("NLPM", "NL/min", symbols=("Nlpm", "NLpm")),
        Atom("NCCM", "Ncc/min"),
    ),
    "volume of gas at standard conditions": (
        Atom("SL", "[standard volume]", "m", symbols=("Sl", "sl", "l_s", "sL")),
        Atom("Sm3", "1000 SL", symbols=("sm3", "SM3", "m3_s", "m3(s)")),
        Atom("scc", "0.001 SL", symbols=("Scc", "scm3", "Scm3", "SmL", "Sml")),
        Atom("scf", "28.316846592 SL", symbols=("SCF",)),
        Atom("slpm", "SL/min", "m", symbols=("SLPM", "slm", "SLM", "sLpm", "sLPM")),
        Atom("slph", "SL/h", symbols=("SLPH",)),
        Atom("sccm", "scc/min", symbols=("SCCM", "Sccm")),
        Atom("scfm", "scf/min", symbols=("SCFM",)),
        Atom("scfh", "scf/h", symbols=("SCFH",)),
    ),
    "flow": (
        Atom("LMH", "L/m^2/h", symbols=("lmh",)),
        Atom("gpm", "gal/min", symbols=("GPM", "USgpm"), words=("gpm(US)",)),
        Atom("gph", "gal/h", symbols=("GPH",)),
        Atom("lpm", "L/min", symbols=("LPM", "Lpm")),
        Atom("lph", "L/h", symbols=("LPH", "Lph")),
        Atom("GFD", "gal/ft^2/d", symbols=("gfd",)),
        Atom("cfm", "ft^3/min", symbols=("CFM",)),
        Atom("cfh", "ft^3/h", symbols=("CFH",)),
    ),
    "viscosity": (
        Atom("P", "0.1 Pa s", "cm", words=("poise",)),
        Atom("St", "0.0001 m^2/s", "c", words=("stokes",)),
    ),
    "energy and power": (
        Atom("J", "N m", "mkMG", words=("joule", "joules")),
        Atom("W", "J/s", "mµkMG", words=("watt", "watts")),
        Atom("Wh", "W h", "kMG"),
        Atom("cal", "4.184 J", "k"),
        Atom("BTU", "1055.05585262 J", symbols=("Btu",)),
        Atom("VA", "W", "kM"),
        Atom("var", "W", "kM", symbols=("VAr", "VAR", "Var")),
        Atom("VAh", "W h", "kM"),
        Atom("varh", "W h", "kM", symbols=("VArh", "VARh")),
        Atom("hp", "745.69987158227022 W", symbols=("HP",)),
    ),
    "electricity": (
        Atom("A", "[current]", "mµnk", symbols=("ADC", "AAC", "Adc", "Aac", "Arms", "A DC", "A AC"),
             words=("ampere", "amperes", "amp")),
        Atom("V", "W/A", "mµnk", symbols=("VDC", "VAC", "Vdc", "Vac", "Vrms", "V DC", "V AC"), words=("volt", "volts")),
        Atom("ohm", "V/A", "mkMG", symbols=("Ω", "Ohm", "OHM"), words=("ohms",)),
        Atom("S", "A/V", "mµn", words=("siemens",)),
        Atom("Ah", "A h", "mk"),
        Atom("As", "A s", "m"),
        Atom("µF", "1e-6 A s/V", symbols=("uF",)),
        Atom("nF", "1e-9 A s/V"),
        Atom("pF", "1e-12 A s/V"),
        Atom("mH", "1e-3 V s/A"),
        Atom("µH", "1e-6 V s/A", symbols=("uH",)),
        Atom("mT", "1e-3 V s/m^2"),
        Atom("µT", "1e-6 V s/m^2", symbols=("uT",)),
    ),
    "light and radiation": (
        Atom("lm", "[luminous flux]", words=("lumen",)),
        Atom("lx", "lm/m^2", "k", words=("lux",)),
        Atom("AU", "[absorbance]", "mµ", symbols=("Abs",), words=("a.u.",)),
        Atom("OD", "[optical density]", "m", symbols=("OD600", "O.D.")),
        Atom("RFU", "[relative signal]", symbols=("RLU", "arb.u.")),
        Atom("Bq", "[radioactivity]", "kMG"),
        Atom("Sv", "[dose]", "mµn"),
    ),
    "scales of water, food and sound": (
        Atom("pH", "[acidity]", symbols=("PH",), words=("pH units",)),
        Atom("NTU", "[turbidity]", symbols=("FNU", "FAU", "FTU", "TE/F", "JTU")),
        Atom("EBC", "[haze]"),
        Atom("ASBC", "[haze by ASBC]"),
        Atom("Hazen", "[colour]", symbols=("APHA", "PtCo", "Pt-Co", "TCU", "HU")),
        Atom("°dH", "[hardness]", symbols=("dH", "degdH", "dKH", "°dKH", "°KH", "°GH")),
        Atom("°fH", "0.5603 °dH", symbols=("°TH",)),
        Atom("°Bx", "[sugar]", symbols=("Brix", "°Brix", "Bx", "brix", "degBrix", "BRIX")),
        Atom("°Bé", "[Baumé degrees]", symbols=("°Be", "Baume")),
        Atom("°API", "[API gravity]"),
        Atom("°P", "[extract]", symbols=("°Plato", "Plato")),
        Atom("°Oe", "[must weight]", symbols=("Oechsle", "°Oechsle")),
        Atom("PSU", "[salinity]", symbols=("psu",)),
        Atom("dB", "[level]", words=("decibel",)),
        Atom("dBA", "[sound level]", symbols=("dB(A)", "dB A", "dB_A")),
        Atom("dBm", "[signal level]"),
    ),
}  # fmt: skip
"""what is measured -> its units"""

ZEROS = {"degC": "273.15", "degF": "45967/180"}
"""unit -> its zero in the base unit, where that is another one"""
ANGLES = frozenset({"rad", "mrad", "deg"})
"""Plain numbers, but a turn is no radian: what has one of these by time is not converted to rpm or Hz."""
DIFFERENCES = {"degC": "delta_degC", "degF": "delta_degF"}
"""unit with a zero of its own -> the unit of a difference of two of its values"""

GAUGE = ("Pa", "hPa", "kPa", "MPa", "mbar", "bar", "psi", "kgf/cm2", "mmHg", "inHg", "mmH2O", "cmH2O", "mH2O", "inH2O")
"""The pressures that gauges show against the air around them: each has a twin whose zero is that of the air."""
ABSOLUTE = (*GAUGE, "Torr")

PERCENTS: dict[str, tuple[str, ...]] = {
    "%RH": ("% RH", "%rH", "% rH", "%rh", "% rh", "% r.H.", "%r.H.", "% r.F.", "%r.F.", "% rF", "%rF", "% rel.H.",
            "RH%", "rH%", "RH", "rH", "% RF", "%RF", "% rel. humidity", "% r. H.", "% r. F."),
    "vol%": ("Vol%", "VOL%", "Vol.-%", "Vol.%", "vol.%", "vol-%", "Vol-%", "%vol", "% vol", "%Vol", "% Vol", "%Vol.",
             "% Vol.", "% v/v", "%v/v", "% (v/v)", "%(v/v)", "% V/V", "%ABV", "% ABV", "Vol %", "vol %"),
    "wt%": ("Wt%", "wt.%", "wt-%", "wt %", "Gew%", "Gew.-%", "Gew.%", "Ma%", "Ma.-%", "%wt", "% wt", "% w/w", "%w/w",
            "% (w/w)", "%(w/w)", "% m/m", "%m/m", "% (m/m)", "mass%"),
    "w/v%": ("% w/v", "%w/v", "% (w/v)", "%(w/v)", "% m/v", "%m/v"),
    "mol%": ("Mol%", "mol-%", "Mol-%", "mol %", "%mol", "% mol"),
    "%sat": ("% sat", "%Sat", "% Sat", "% sat.", "%sat.", "%DO", "% DO", "% air", "% air sat", "% air sat.", "%O2 sat"),
    "%LEL": ("% LEL", "%UEG", "% UEG"),
    "%O2": ("% O2", "O2%"),
    "%CO2": ("% CO2", "CO2%"),
    "%CH4": ("% CH4",),
    "%H2": ("% H2",),
    "%N2": ("% N2",),
    "%H2O": ("% H2O",),
    "%TS": ("% TS", "%DM", "% DM", "%DS", "% DS"),
}  # fmt: skip
"""Per cents of something: each is a per cent, but none is another one."""

MISTAKEN: dict[str, tuple[str, str]] = {
    "C": ("is the coulomb, an electric charge", "degC"),
    "F": ("is the farad, an electric capacity", "degF"),
    "H": ("is the henry, an inductance", "h"),
    "T": ("is the tesla, a magnetic field", "t"),
    "G": ("is the gauss, a magnetic field", "g"),
    "mPas": ("leaves open whether it is mPa times s", "mPa.s"),
    "Pas": ("leaves open whether it is Pa times s", "Pa.s"),
    "nl": ("may be nanolitres (nL) or normal litres (NL)", "nL"),
    "Mbar": ("is a million bar", "mbar"),
    "kg/cm2": ("is a mass per area", "kgf/cm2"),
    "kg/cm2g": ("is a mass per area", "kgf/cm2g"),
    "kg/cm^2": ("is a mass per area", "kgf/cm2"),
}
"""What people write from habit, and what they mean: what is wrong with it, and the unit that is likely."""
MISTAKEN_ALONE: dict[str, tuple[str, str]] = {
    "S": ("is the siemens, a conductance", "s"),
    "a": ("is a year", "A"),
    "N/A": ("says that there is no unit", ""),
    "n/a": ("says that there is no unit", ""),
    "none": ("says that there is no unit", ""),
    "None": ("says that there is no unit", ""),
    "W/mK": ("leaves open whether it is by metre and kelvin", "W/m/K"),
    "lb/in2": ("is a mass per area", "psi"),
    "lb/in^2": ("is a mass per area", "psi"),
    "lbs/in2": ("is a mass per area", "psi"),
    "lb/ft2": ("is a mass per area", "lbf/ft2"),
}
"""The same of texts that are right as parts of others: S/cm is a unit. "" is meant where there is none."""

# What an instrument or a balance may come to: one of the first, alone or by one of the second, or one of the others.
MEASURED = (
    "", "m", "m2", "L", "g", "s", "K", "mol", "eq", "IU", "EU", "U", "N", "J", "Pa", "barg", "NL", "SL", "W", "A", "V",
    "ohm", "S", "Ah", "lm", "lx", "AU", "OD", "RFU", "Bq", "Sv", "pH", "NTU", "EBC", "Hazen", "°dH", "°Bx", "°P", "PSU",
    "dB",
)  # fmt: skip
PER = ("", "s", "L", "L s", "g", "g s", "m2", "m2 s")
OF_OTHERS = (
    "Pa s", "Pa s/L", "ohm m", "m/s2", "m2/s", "L/h/bar", "NL/s/Pa", "SL/s/Pa", "LMH/bar", "mol/s/m2/Pa",
    "1/Pa", "L/Pa", "g/Pa", "W/m2/K", "W/m/K", "W/K", "K/W", "m2 K/W", "J/K", "J/g/K", "J/L/K", "J/mol", "J/mol/K",
    "g/mol", "L/mol", "L/mol/m", "1/mol", "U/mol", "mol/J", "g/J", "L/J", "NL/J", "SL/J", "J/NL", "J/SL", "g/NL",
    "g/SL", "mol/NL", "L/NL", "V/pH", "V/K", "A/K", "ohm/K", "Pa/K", "1/K", "AU/K", "A/V", "A/W", "V/W", "A/Pa",
    "V/Pa", "L/V", "Pa/V", "K/V", "g/V", "Hz/V", "Pa/A", "K/A", "L/s/A", "L/s/V", "K s", "L/U", "g/U", "lm/W", "m/s/V",
)  # fmt: skip
PER_LENGTH = ("", "m", "N", "S", "V", "W", "K", "Pa", "AU", "OD", "A", "ohm", "W/K", "J/s/K", "Hz", "L/mol", "dB")
"""What may be given by length; all else by m is meant by min: litres per metre are litres per minute."""

NAMED = {
    "m": "length", "m2": "area", "m3": "volume", "g": "mass", "s": "time", "K": "temperature", "mol": "amount",
    "Pa": "pressure", "barg": "gauge pressure", "m3/s": "flow", "g/s": "mass flow", "m/s": "speed or flux",
    "Hz": "frequency", "J": "energy or torque", "W": "power", "N": "force", "A": "current", "V": "voltage",
    "ohm": "resistance", "S": "conductance", "S/m": "conductivity", "Pa s": "viscosity", "g/L": "density",
    "mol/L": "concentration", "m/s/Pa": "permeability", "NL/s": "flow of gas at normal conditions",
    "SL/s": "flow of gas at standard conditions", "NL": "gas at normal conditions", "SL": "gas at standard conditions",
    "Ah": "charge", "": "plain number",
}  # fmt: skip
"""A unit of a quantity -> what people call it."""
