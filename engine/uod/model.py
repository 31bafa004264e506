"""The unit operation definition as its author writes it, the same in YAML and in Python.

Devices and tags carry the keys of their driver beside the common ones: they are the extra fields of `Device` and
`Tag`, and are checked against the driver's own options when the UOD is resolved. A key that nobody reads is an error.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, model_validator
from pydantic import Tag as PydanticTag
from pydantic.json_schema import SkipJsonSchema

from drivers.contract import Value
from engine.uod.function import METHODS

Number = Annotated[float, Field(allow_inf_nan=False)]
"""A finite number; booleans are none."""


def _plain(value: Any) -> Any:
    if not isinstance(value, (bool, int, float, str)) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("expected a finite number, a text, true or false")
    return value


def _number_or_share(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(_plain(value), (int, float, str)):
        raise ValueError('expected a number, or a share of the span as "1%"')  # noqa: TRY004 - pydantic wants it so
    return value


ARGUMENT = "argument"
"""Stands in a step for what follows the command's name."""


def _number_or_argument(value: Any) -> Any:
    if value != ARGUMENT and (isinstance(value, (bool, str)) or not isinstance(_plain(value), (int, float))):
        raise ValueError("expected a number of seconds, or the word argument")
    return value


def _function(value: Any) -> Any:
    if value is None:
        return None
    if not callable(value):
        raise ValueError("expected a class; only a UOD in Python can give one")  # noqa: TRY004 - pydantic wants it so
    missing = [name for name in METHODS if not callable(getattr(value, name, None))] if isinstance(value, type) else []
    if missing:
        raise ValueError(f"{value.__name__} has no method {missing[0]}; inherit from CommandFunction")
    return value


PlainValue = Annotated[Value, BeforeValidator(_plain)]
Width = Annotated[Number | str, BeforeValidator(_number_or_share)]


LONGEST_S = 31_536_000
"""A year, in seconds."""
LONGEST_MS = 86_400_000
"""A day, in milliseconds."""
MAX_NAME = 120
"""Characters of a name: of a skid, a device, a tag, a command or a choice."""


def _named(name: str) -> str:
    if not name.strip() or name != name.strip():
        raise ValueError("a name is a text without blanks at its ends")
    if len(name) > MAX_NAME:
        raise ValueError(f"a name has {MAX_NAME} characters at most, and this one {len(name):,}")
    if not name.isprintable():
        sign = next(sign for sign in name if not sign.isprintable())
        raise ValueError(f"a name has no signs that cannot be seen, such as U+{ord(sign):04X}")
    return name


Name = Annotated[str, AfterValidator(_named)]


def _raw_choice(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise ValueError("a raw value is a whole number of 64 bits")
    return value


RawChoice = Annotated[int, BeforeValidator(_raw_choice)]
"""The raw value of a choice; true and false are 1 and 0."""


class Strict(BaseModel):
    """The base of all parts: an unknown key is an error, and the text under a field is its description."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, strict=True)


class Author(Strict):
    """Who answers for this UOD."""

    name: str = ""
    email: str = ""


class Device(Strict):
    """What answers on a link: an OPC UA server, one Modbus device id. The driver's keys stand beside these."""

    model_config = ConfigDict(extra="allow")

    if TYPE_CHECKING:  # a type checker does not know the keys of the drivers

        def __init__(self, **keys: Any) -> None: ...

    driver: str
    """The name of the driver, as `skidlink drivers` lists them."""
    every_ms: int | None = Field(default=None, ge=1, le=LONGEST_MS)
    """How often its tags are read, in milliseconds; once a tick if not given."""
    stale_after_ms: int | None = Field(default=None, ge=1, le=LONGEST_MS)
    """Its values are stale when they were last known to hold longer ago than this."""
    description: str = ""
    """For people; shown with the hardware in Open Pectus."""


class Simulation(Strict):
    """What a tag shows in the place of what its device says."""

    value: PlainValue | None = None
    """The value, in the tag's unit, or one of its choices."""
    expr: str | None = None
    """An expression over tags, its own too, that gives the value of the next tick, as "LT01 + 0.1"."""
    drives_outputs: bool = False
    """True: interlocks see it too; else they see what the device says."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.value is None) == (self.expr is None):
            raise ValueError("give either value or expr")
        return self


def _value_or_mapping(value: Any) -> str:
    return "mapping" if isinstance(value, (dict, Simulation)) else "value"


Simulated = Annotated[
    Annotated[PlainValue, PydanticTag("value")] | Annotated[Simulation, PydanticTag("mapping")],
    Discriminator(_value_or_mapping),
]


class Tag(Strict):
    """A named value of the skid, fed by a point of a device. The driver's keys stand beside these."""

    model_config = ConfigDict(extra="allow")

    if TYPE_CHECKING:  # a type checker does not know the keys of the drivers

        def __init__(self, **keys: Any) -> None: ...

    device: str = ""
    """The name of the device that has it."""
    unit: str | None = None
    """The unit in which it is published, as L/h, bar, degC, %."""
    raw_unit: str | None = None
    """The unit in which the device gives it, where that is another one; the conversion is worked out."""
    direction: Literal["input", "output", "both"] = "input"
    """input: read; output: written only; both: written, and read back."""
    scale: Number = 1
    """value = raw * scale + offset, in the raw unit"""
    offset: Number = 0
    """value = raw * scale + offset, in the raw unit"""
    deadband: Width = 0
    """Published when it changes by more than this, in its unit, or as "1%" of the span from min to max."""
    min: Number | None = None
    """The least value that is sensible, in its unit; nothing below is ever written."""
    max: Number | None = None
    """The greatest value that is sensible, in its unit; nothing above is ever written."""
    outside: Literal["reject", "clamp"] = "reject"
    """What becomes of a reading beyond min or max: reject makes it bad, clamp holds it at the limit."""
    not_available: list[Number] = Field(default_factory=list[float])
    """Raw values by which the device says that it has no reading, as 32767."""
    on_bad: Literal["none", "hold", "value"] = "none"
    """What is published while it is stale or bad: none: no value; hold: the last good one; value: the on_bad_value.
    Whoever looks at the published value cannot tell it from a good one."""
    on_bad_value: PlainValue | None = None
    """The value for on_bad: value, in its unit, or one of its choices."""
    safe_value: PlainValue | None = None
    """What an output is set to when nobody controls it: a value in its unit, or one of its choices."""
    choices: dict[Name, RawChoice] = Field(default_factory=dict[str, int])
    """The words for its raw values, as {Closed: 0, Open: 1}."""
    max_rate: Number | None = Field(default=None, gt=0)
    """How fast an output may change, in its unit a second; its safe value is always set at once."""
    allow_if: str | None = None
    """A condition over tags, as "LT01 > 10": while it is not known to be true, the output has its safe value."""
    feedback: Name | None = None
    """The tag that shows what the output really does; for direction: both it is the tag itself, if not given."""
    feedback_tolerance: Number | None = Field(default=None, ge=0)
    """How much that may differ from what was set, in the output's unit, before it is an alarm."""
    feedback_after_ms: int | None = Field(default=None, ge=1, le=LONGEST_MS)
    """How long it may differ by more; 5000, or three readings, if not given."""
    momentary: bool = False
    """True: the device resets it by itself, such as a command register or an acknowledge button. A write is never
    repeated after a blink of the link or a pause, and what is read back is compared only with a `feedback` tag."""
    simulate: Simulated | None = None
    """What it shows in the place of what its device says, marked as simulated: a value, or an expression, as
    "PT02 + 0.5"; or {value: ...} or {expr: ...}, with drives_outputs: true where interlocks shall see it, too."""
    heartbeat: Literal["toggle", "counter"] | None = None
    """A sign of life that the engine writes by itself: 0 and 1 in turn, or numbers from min to max (0 to 99)."""
    heartbeat_every_ms: int | None = Field(default=None, ge=10, le=LONGEST_MS)
    """How often the sign of life is written; 1000 if not given, and not more often than once a tick."""
    stale_after_ms: int | None = Field(default=None, ge=1, le=LONGEST_MS)
    """Stale when it was last known to hold longer ago than this; else its device says."""
    every_ms: int | None = Field(default=None, ge=1, le=LONGEST_MS)
    """How often it is read, in milliseconds; else its device says."""
    republish_every_s: Number | None = Field(default=None, gt=0, le=LONGEST_S)
    """Published at least this often, changed or not."""
    description: str = ""
    """For people."""


class Derived(Strict):
    """A reading that is computed from other tags each tick."""

    expr: str
    """The expression, as "PT01 - PT02"."""
    unit: str | None = None
    """The unit of the result."""
    deadband: Width = 0
    """Published when it changes by more than this, in its unit, or as "1%" of the span from min to max."""
    min: Number | None = None
    """The low end of its span, for a deadband in per cent."""
    max: Number | None = None
    """The high end of its span, for a deadband in per cent."""
    ignore_quality: bool = False
    """True: computed from inputs that are not good, too."""
    on_bad: Literal["none", "hold", "value"] = "none"
    """What is published while it is stale or bad: none: no value; hold: the last good one; value: the on_bad_value.
    Whoever looks at the published value cannot tell it from a good one."""
    on_bad_value: PlainValue | None = None
    """The value for on_bad: value, in its unit."""
    reset_on: Literal["run start", "block start", "never"] = "run start"
    """When its totals, windows and latches begin anew; with block start, at the start of a run as well."""
    republish_every_s: Number | None = Field(default=None, gt=0, le=LONGEST_S)
    """Published at least this often, changed or not."""
    description: str = ""
    """For people."""


class AccumulatedCv(Strict):
    """Where column volumes come from."""

    totalizer: str
    """The tag that counts the volume."""
    column_volume: str
    """The tag that holds the volume of the column."""


class Step(Strict):
    """One step of a command: it sets an output, or it waits."""

    set: str | None = None
    """The output that it sets; the next step comes when the device has taken the value."""
    to: PlainValue | None = None
    """The value, in the unit of the output, or one of its choices; `argument`: what follows the command's name."""
    wait_s: Annotated[Number | Literal["argument"], BeforeValidator(_number_or_argument)] | None = None
    """For how many seconds it waits; `argument`: for the time that follows the command's name, as 30 s or 2 min."""
    wait_until: str | None = None
    """It waits until this condition is true, an expression as "LT01 > 80"."""
    timeout_s: Number | None = Field(default=None, gt=0, le=LONGEST_S)
    """The command fails when the condition has not come true after so many seconds."""

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if sum(part is not None for part in (self.set, self.wait_s, self.wait_until)) != 1:
            raise ValueError("give one of set, with to, wait_s and wait_until")
        if self.timeout_s is not None and self.wait_until is None:
            raise ValueError("timeout_s belongs to wait_until")
        if (self.set is None) != (self.to is None):
            raise ValueError("set and to belong together, as {set: VA01, to: Open}")
        if not isinstance(self.wait_s, str) and self.wait_s is not None and not 0 < self.wait_s <= LONGEST_S:
            raise ValueError(f"a wait is longer than 0 s, and {LONGEST_S:,} s at most")
        return self


class Command(Strict):
    """A word that a user or a method gives: to set a tag, to go through steps, or to run a Python function."""

    sets: str | None = None
    """The output that it sets to what follows its name."""
    steps: list[Step] | None = None
    """What it does, one step after the other."""
    runs: SkipJsonSchema[Annotated[Any, BeforeValidator(_function)]] = None
    """In a Python UOD: a class (or a function that makes an object) with the methods of
    `engine.uod.function.CommandFunction`."""
    argument: Literal["number", "choice", "text"] | None = None
    """What follows the command's name. If not given: a choice where the tag has choices, else a number; with runs,
    nothing."""
    units: list[str] = Field(default_factory=list[str])
    """The units that are offered where a number is entered; any other that converts can be typed. The number is
    converted to the tag's unit, with runs to the first of them."""
    choices: list[Name] = Field(default_factory=list[str])
    """With runs: the words that a choice may be."""
    min: Number | None = None
    """With runs: the least number that it takes."""
    max: Number | None = None
    """With runs: the greatest number that it takes."""
    excludes: list[str] = Field(default_factory=list[str])
    """The commands that cannot go on beside it: each of them is cancelled when it is given, and it when they are."""
    description: str = ""
    """Shown to users as the help of the command."""
    example: str = ""
    """What follows the command's name in the example that users are shown, such as `2 L`. If not given: the safe value
    of the output, or else the number nearest to zero, so that nothing happens when the example is sent as it is."""

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if sum(part is not None for part in (self.sets, self.steps, self.runs)) != 1:
            raise ValueError("give one of sets, steps and, in a Python UOD, runs")
        if self.steps == []:
            raise ValueError("a command has at least one step")
        return self


class ProcessValue(Strict):
    """A process value that users can set: with a field for a number or a text, or with a button for each choice."""

    entry: str | None = None
    """The name of the tag, shown with a field to enter a new value."""
    choice: str | None = None
    """The name of the tag, shown with a button for each choice."""
    command: str | None = None
    """The command that sets it. If not given: the one that sets this tag, or else one of the tag's own name is made."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.entry is None) == (self.choice is None):
            raise ValueError("give either entry or choice; a value that is only shown is the tag's name alone")
        return self


def _shape(value: Any) -> str:
    return "name" if isinstance(value, str) else "mapping"


ShownValue = Annotated[
    Annotated[str, PydanticTag("name")] | Annotated[ProcessValue, PydanticTag("mapping")], Discriminator(_shape)
]


class Uod(Strict):
    """One skid."""

    uod: Name
    """The name of the skid, as it is listed in Open Pectus."""
    author: Author = Field(default_factory=Author)
    """Who answers for this UOD; shown in Open Pectus."""
    location: str = ""
    """Where the skid stands."""
    tick_ms: int = Field(default=100, ge=5, le=60_000)
    """How often the skid is scanned."""
    data_log_interval_s: Number = Field(default=5, gt=0, le=LONGEST_S)
    """How often Open Pectus logs the process values of a run."""
    safe_after_ms: int | None = Field(default=None, ge=100, le=LONGEST_MS)
    """Outputs go to their safe values when no aggregator has been connected for this long; never if not given."""
    devices: dict[Name, Device] = Field(default_factory=dict[str, Device])
    """What answers on its wires, each by a name of yours."""
    tags: dict[Name, Tag] = Field(default_factory=dict[str, Tag])
    """What is read from the devices and written to them."""
    derived: dict[Name, Derived] = Field(default_factory=dict[str, Derived])
    """What is computed from tags."""
    accumulated_volume: str | None = None
    """A totaliser: makes the tags Accumulated Volume and Block Volume, what it has counted in this run and block."""
    accumulated_cv: AccumulatedCv | None = None
    """Makes the tags Accumulated CV and Block CV, the same in column volumes; 0 while the column has no volume."""
    commands: dict[Name, Command] = Field(default_factory=dict[str, Command])
    """What users can have the skid do, by words of yours."""
    process_values: list[ShownValue] = Field(default_factory=list[str | ProcessValue])
    """What users of Open Pectus see, in this order: a tag's name, or {entry: NAME} or {choice: NAME} to set it too."""
