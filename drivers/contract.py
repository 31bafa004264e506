"""What a driver is, and what it shares with its caller.

Rules of this file:

* A driver serves one link. It plans everything when it is made, and does no planning while it reads.
* Values leave a driver raw: decoded to their type, but neither scaled nor named nor limited. That is the engine's work.
* Two kinds of failure, different in type. A broken link raises `LinkError`. A point that its device refuses is data:
  its quality is bad, its reason says why, and the other points stay good.
* A driver never writes into its image between two awaits of which only one has happened: it fills a group's rows in
  one go, so that whoever looks between two awaits sees a whole reading.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from drivers.reasons import NOT_READ

Value = bool | int | float | str
"""One value outside of the tables: raw as a device has it, or in the unit of a tag, or the text of a choice."""


class Kind(IntEnum):
    """The column types of an image. One kind is one numpy dtype, so that a value keeps its exactness and its text."""

    FLOAT32 = 0
    """float32, kept apart from float64 so that 0.1 read as float32 is published as 0.1."""
    FLOAT = 1
    """float64"""
    INT = 2
    """int64: every signed integer"""
    UINT = 3
    """uint64: every unsigned integer"""
    BOOL = 4
    TEXT = 5
    """python str"""


DTYPES: dict[Kind, np.dtype[Any]] = {
    Kind.FLOAT32: np.dtype(np.float32),
    Kind.FLOAT: np.dtype(np.float64),
    Kind.INT: np.dtype(np.int64),
    Kind.UINT: np.dtype(np.uint64),
    Kind.BOOL: np.dtype(np.bool_),
    Kind.TEXT: np.dtype(object),
}


class Quality(IntEnum):
    """How far a value can be trusted. The worse is the greater, so the quality of several is their maximum."""

    GOOD = 0
    UNCERTAIN = 1
    STALE = 2
    """The last known value. Set by the engine when its age is over the tag's limit, and by a driver whose device says
    so itself ("the last usable value"): it is never taken for a new value."""
    BAD = 3


class DriverError(Exception):
    """Something a driver could not do; the message names the link or device and what to do next."""


class LinkError(DriverError):
    """The link is broken: the caller closes the driver, waits and opens it again."""


class DeviceError(DriverError):
    """One device did not answer, but its link is sound: the caller lets this device rest and serves the others."""


class UnansweredError(DeviceError):
    """One device left a request unanswered, and its driver would ask it again before it counts as silent.

    The caller serves the other devices and the writes first, then reads this group again without waiting for its turn.
    A driver raises it only so often in a row, then `DeviceError` or `LinkError`.
    """


class WriteError(DeviceError):
    """Some devices did not answer a write; the others were served all the same."""

    def __init__(self, message: str, refused: Mapping[int, str], silent: Collection[str]) -> None:
        super().__init__(message)
        self.refused = refused
        """row -> why it does not count as written, of all rows: those of the silent devices among them"""
        self.silent = silent
        """The devices that did not answer."""


class Options(BaseModel):
    """The base of all options: frozen, and an unknown key is an error. The text under a field is its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class Point:
    """One readable or writable place on a device."""

    tag: str
    """The name of the tag that it feeds, for messages."""
    device: str
    """The name of its device in the UOD."""
    options: Options
    """The driver's own `PointOptions`: address, data type, ..."""
    every_ms: int
    """How often it is read, in milliseconds."""
    read: bool = True
    """False for a point that is only ever written."""
    write: bool = False
    acts: bool = False
    """Each write is an act of its own (a tare, a reset): it is never sent a second time in doubt."""
    stale_after_ms: int | None = None
    """How long its value is of use once it is known to hold, so that a driver can look after dead connections in
    time; None: for ever."""


@dataclass(frozen=True, slots=True)
class Group:
    """The points of one device that are read together."""

    device: str
    every_ms: int
    rows: NDArray[np.intp]
    """(n,) rows of the image, ascending."""
    stamps: bool = False
    """Its rows get their `received` from the driver, which hears of values without asking; else from the caller of
    `read`."""


class Image:
    """What a driver last read: one row a point, in the order of the points; the values in one column a kind."""

    __slots__ = ("cells", "columns", "kinds", "learned", "quality", "reason", "received", "source_time")

    def __init__(self, kinds: Sequence[Kind], learned: Sequence[bool] | None = None) -> None:
        count = len(kinds)
        self.kinds: NDArray[np.uint8] = np.array(kinds, np.uint8)
        """(n,) the kind of each row"""
        self.learned: NDArray[np.bool_] = np.array([True] * count if learned is None else learned, np.bool_)
        """(n,) False where the kind stands in for one that only the device knows, until `open` has asked it"""
        self.cells: NDArray[np.intp] = np.zeros(count, np.intp)
        """(n,) where in the column of its kind each row has its value"""
        self.columns: dict[Kind, NDArray[Any]] = {}
        """kind -> (number of rows of this kind,) values; rows of a kind are in ascending order in its column"""
        for kind in Kind:
            rows = np.flatnonzero(self.kinds == kind)
            self.cells[rows] = np.arange(rows.size)
            self.columns[kind] = (
                np.full(rows.size, "", object) if kind is Kind.TEXT else np.zeros(rows.size, DTYPES[kind])
            )
        self.quality: NDArray[np.uint8] = np.full(count, Quality.BAD, np.uint8)
        """(n,) `Quality`"""
        self.reason: NDArray[np.uint16] = np.full(count, NOT_READ, np.uint16)
        """(n,) why a row is not good, as a code of `drivers.reasons`; 0 where it is good"""
        self.source_time: NDArray[np.float64] = np.full(count, np.nan)
        """(n,) when the device says the value came to be, unix seconds; NaN where it does not say"""
        self.received: NDArray[np.float64] = np.full(count, -np.inf)
        """(n,) when the value was last known to hold, seconds of `time.monotonic`; `Group.stamps` says by whom"""

    def rows_of(self, kind: Kind) -> NDArray[np.intp]:
        """The rows of a kind, ascending: `columns[kind][i]` is the value of row `rows_of(kind)[i]`."""
        return np.flatnonzero(self.kinds == kind)

    def value(self, row: int) -> Value:
        """The value of one row as a plain Python value: for messages and tables, never for the tick."""
        column = self.columns[Kind(int(self.kinds[row]))]
        value = column[self.cells[row]]
        return value if isinstance(value, str) else value.item()


class Driver(Protocol):
    """One link's driver. Optional powers are protocols of their own: `Writes`, `Reviews`."""

    DeviceOptions: ClassVar[type[Options]]
    """What a device of this driver takes in the UOD, beside `driver`."""
    PointOptions: ClassVar[type[Options]]
    """What a tag on such a device takes in the UOD, beside the keys of every tag."""

    @property
    def image(self) -> Image:
        """Rows are the points, in their order.

        `open` and `read` may put another image here when they have learned the kinds of points from the device; their
        caller then plans anew.
        """
        ...

    @property
    def groups(self) -> Sequence[Group]:
        """What `read` reads in one go."""
        ...

    @property
    def plan(self) -> Sequence[str]:
        """What reading costs, one sentence a device, for the start-up log: requests, registers or nodes, tags."""
        ...

    def __init__(self, devices: Mapping[str, Any], points: Sequence[Point]) -> None:
        """Plan the reading of `points` on `devices` (name -> `DeviceOptions`), all of which share one link."""
        ...

    @staticmethod
    def link_name(options: Any, /) -> str:
        """Name the physical link of a device: devices with equal names share one driver. Used in messages too."""
        ...

    async def open(self) -> None:
        """Connect, within the driver's own time-out. Raises `LinkError`."""
        ...

    async def read(self, group: int) -> None:
        """Fill the rows of `groups[group]` with values, quality, reason and source time.

        Returns or raises within the driver's own time-outs. Raises `LinkError` or `DeviceError`; then no row of
        the group has been touched.
        """
        ...

    async def close(self) -> None:
        """Let the link go. Never raises, may be called at any time, and `open` may follow."""
        ...


@runtime_checkable
class Writes(Protocol):
    """A driver that can write."""

    async def write(self, values: Mapping[int, Value]) -> Mapping[int, str]:
        """Write raw values (row -> value), in the order given; return what was refused (row -> why and what to do).

        A value that does not fit its point's type is refused, never changed to fit. Raises `LinkError` when nobody can
        say whether the values arrived, and `WriteError` or `DeviceError` where that is so of some devices only.
        """
        ...


@runtime_checkable
class ReadsBack(Protocol):
    """A driver that gives a device time to show what was written, and serves readings meanwhile."""

    @property
    def unconfirmed(self) -> Collection[int]:
        """The rows that were written and not refused, but do not show their value yet."""
        ...

    @property
    def read_back_due(self) -> float:
        """When `read_back` wants to be called next, seconds of `time.monotonic`; infinite where nothing is open."""
        ...

    async def read_back(self) -> Mapping[int, str | None]:
        """Read what is due; return row -> None where the device shows the value, or why it counts as refused.

        Rows that still have time are left out, and those that have been written anew. Raises `LinkError`.
        """
        ...


@runtime_checkable
class Locks(Protocol):
    """A driver that names devices for all engines of a computer; for others the name is that of their link.

    Only one engine controls a device.
    """

    @staticmethod
    def lock_name(options: Any, /) -> str:
        """Name a device by what it is reached by, whoever asks; "" where no other process can reach it."""
        ...


@runtime_checkable
class Identifies(Protocol):
    """A driver that can ask its devices what they are."""

    async def identify(self) -> Mapping[str, str]:
        """Device -> maker, model, version, in its own words; devices that do not say are left out.

        Raises `LinkError`.
        """
        ...


@runtime_checkable
class Counts(Protocol):
    """A driver that counts what happens on its link."""

    def counters(self) -> Mapping[str, float]:
        """Name -> what was counted since the driver was made, or measured of late.

        The names are those of the link ("reconnects") or of a device ("pump.timeouts"), and the same at every call;
        NaN stands for what has not been measured yet.
        """
        ...


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about a point or device that its options alone cannot show, as two points on one register."""

    tag: str
    """The tag at fault; "" where it is a device."""
    key: str
    """The UOD key at fault, as "holding"."""
    message: str
    error: bool = False
    """True for what cannot work; else it is a warning."""
    device: str = ""
    """The device at fault, where it is no tag."""


@runtime_checkable
class Reviews(Protocol):
    """A driver that can say more about its points, offline."""

    @staticmethod
    def review(devices: Mapping[str, Any], points: Sequence[Point], /) -> Sequence[Remark]: ...


@runtime_checkable
class Learns(Protocol):
    """A driver that finds out more about its points than readings show."""

    def remarks(self) -> Sequence[Remark]:
        """What `open` has found out, for example an output that the device lets nobody write; asks nobody."""
        ...


def groups_of(points: Sequence[Point]) -> list[Group]:
    """Group the points that are read by device and cadence, in the order of their first appearance."""
    rows: dict[tuple[str, int], list[int]] = {}
    for row, point in enumerate(points):
        if point.read:
            rows.setdefault((point.device, point.every_ms), []).append(row)
    return [Group(device, every_ms, np.array(found, np.intp)) for (device, every_ms), found in rows.items()]
