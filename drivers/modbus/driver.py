"""Modbus as a driver, whatever carries its frames: one link, its devices, their points."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from drivers.contract import (
    DeviceError,
    DriverError,
    Group,
    Image,
    LinkError,
    Options,
    Point,
    Remark,
    Value,
    WriteError,
    groups_of,
)
from drivers.modbus.budget import spare_s
from drivers.modbus.codec import Field
from drivers.modbus.counters import counted
from drivers.modbus.device import Device
from drivers.modbus.holes import Holes
from drivers.modbus.identification import identification
from drivers.modbus.lines import AsciiFrames, RtuFrames
from drivers.modbus.link import Link
from drivers.modbus.options import (
    AsciiDeviceOptions,
    DeviceOptions,
    PointOptions,
    RtuDeviceOptions,
    SocketLineOptions,
    TcpDeviceOptions,
    TlsDeviceOptions,
    UdpDeviceOptions,
)
from drivers.modbus.plan import describe, plan_group
from drivers.modbus.reading import GroupReading
from drivers.modbus.review import fields_of, review
from drivers.modbus.serial_port import SerialWire
from drivers.modbus.wires import TcpWire, TlsWire, UdpWire, Wire
from drivers.modbus.writing import DeviceWriting


class Modbus:
    """The devices of one link."""

    DeviceOptions: ClassVar[type[Options]]
    PointOptions: ClassVar[type[Options]] = PointOptions

    def __init__(self, devices: Mapping[str, Any], points: Sequence[Point]) -> None:
        """Plan the reading.

        Raises `DriverError` for a point that cannot be read at all, and for devices that disagree on their link.
        """
        _check_agreement(devices)
        self.devices = {name: Device(name, options, spare_s=spare_s(name, points)) for name, options in devices.items()}
        """Name -> device with its counters."""
        self.link = Link(
            self.wire(next(iter(devices.values()))),
            self.devices.values(),
            redials=not any(point.write for point in points),
        )
        """The connection with its counters."""
        self._points = points
        self._fields = fields_of(devices, points)
        self.image = Image([field.data_type.kind for field in self._fields])
        self.groups: Sequence[Group] = groups_of(points)
        plans = [
            plan_group(group, [self._fields[int(row)] for row in group.rows], devices[group.device], self.image)
            for group in self.groups
        ]
        self.plan: Sequence[str] = [
            describe(name, [plan for plan in plans if plan.group.device == name]) for name in devices
        ]
        holes = {name: Holes() for name in devices}
        self._readings = [
            GroupReading(plan, self.devices[plan.group.device], self.link, self.image, holes[plan.group.device])
            for plan in plans
        ]
        acts = frozenset(row for row, point in enumerate(points) if point.acts)
        self._writings = {name: DeviceWriting(device, self.link, acts) for name, device in self.devices.items()}

    @staticmethod
    def wire(options: Any, /) -> Wire:
        """The way to a device; all devices of a link agree in it."""
        raise NotImplementedError

    @classmethod
    def link_name(cls, options: Any, /) -> str:
        """Name the link by host and port, or by serial port."""
        return cls.wire(options).name

    @classmethod
    def lock_name(cls, options: Any, /) -> str:
        """The link and the device id: behind a gateway, other engines may control other devices."""
        return f"{cls.link_name(options)} device id {options.device_id}"

    @classmethod
    def review(cls, devices: Mapping[str, DeviceOptions], points: Sequence[Point], /) -> Sequence[Remark]:
        """Point out what cannot work, and registers that are read as two different things."""
        return review(devices, points, cls.wire(next(iter(devices.values()))))

    async def open(self) -> None:
        """Connect. Raises `LinkError`."""
        for writing in self._writings.values():
            writing.forget()
        await self.link.open()

    async def read(self, group: int) -> None:
        """Read one group into the image. Raises `LinkError` or `DeviceError`, the group's rows untouched."""
        await self._readings[group].read()

    async def close(self) -> None:
        """Disconnect."""
        await self.link.close()

    async def identify(self) -> Mapping[str, str]:
        """Ask each device what it is (function 43 / 14). Raises `LinkError`."""
        found: dict[str, str] = {}
        for name, device in self.devices.items():
            if device.unanswered:
                continue  # it has not answered a reading either
            try:
                said = await identification(self.link, device)
            except DeviceError:
                continue  # some devices are silent when they do not know a function
            except LinkError:
                if self.link.lost:
                    raise
                continue  # as above, where no device of the link knows it
            if said:
                found[name] = ", ".join(said.values())
        return found

    def counters(self) -> Mapping[str, float]:
        """What happened on the link and with each of its devices."""
        return counted(self.link.counters, {name: device.counters for name, device in self.devices.items()})

    async def write(self, values: Mapping[int, Value]) -> Mapping[int, str]:
        """Write raw values in the order given; return what was refused and why.

        Raises `LinkError` when nobody can say whether a value arrived, and `WriteError` where that is so of devices
        that did not answer; the others have been written.
        """
        refused: dict[int, str] = {}
        silent: dict[str, str] = {}
        together: list[tuple[str, list[tuple[Field, Value]]]] = []
        for row, value in values.items():
            point = self._points[row]
            if not point.write:
                refused[row] = f"{point.tag} is an input: set direction: output (or both) to write it"
                continue
            if not together or together[-1][0] != point.device:
                together.append((point.device, []))
            together[-1][1].append((self._fields[row], value))
        for device, writes in together:
            if device not in silent:
                try:
                    refused |= await self._writings[device].write(writes)
                except DeviceError as error:
                    silent[device] = str(error)
            if device in silent:
                refused |= {field.row: silent[device] for field, _ in writes}
        if silent:
            raise WriteError("; ".join(silent.values()), refused, silent.keys())
        return refused

    @property
    def unconfirmed(self) -> Collection[int]:
        """The rows that were written and do not show their value yet."""
        return [row for writing in self._writings.values() for row in writing.unconfirmed]

    @property
    def read_back_due(self) -> float:
        """When `read_back` has something to do, seconds of `time.monotonic`; infinite where nothing is open."""
        return min((writing.read_back_due for writing in self._writings.values()), default=math.inf)

    async def read_back(self) -> Mapping[int, str | None]:
        """Read what is due; row -> None where the device shows its value, or why it counts as refused.

        Raises `LinkError`.
        """
        decided: dict[int, str | None] = {}
        for writing in self._writings.values():
            decided |= await writing.read_back()
        return decided


def _check_agreement(devices: Mapping[str, DeviceOptions]) -> None:
    """Raise `DriverError` where devices of one link want it opened in different ways."""
    (first, options), *others = devices.items()
    for name, other in others:
        for key in other.shared:
            mine, yours = getattr(options, key), getattr(other, key)
            if mine != yours:
                raise DriverError(
                    f"{first} and {name} are on one link, but {first} has {key} {mine} and {name} has {yours}: make "
                    "them the same"
                )


class ModbusTcp(Modbus):
    """Modbus TCP."""

    DeviceOptions: ClassVar[type[Options]] = TcpDeviceOptions

    @staticmethod
    def wire(options: TcpDeviceOptions, /) -> Wire:
        """A TCP connection."""
        return TcpWire(options.host, options.port)


class ModbusUdp(Modbus):
    """The frames of Modbus TCP, each in a datagram."""

    DeviceOptions: ClassVar[type[Options]] = UdpDeviceOptions

    @staticmethod
    def wire(options: UdpDeviceOptions, /) -> Wire:
        """A UDP socket."""
        return UdpWire(options)


class ModbusTls(Modbus):
    """Modbus/TCP Security."""

    DeviceOptions: ClassVar[type[Options]] = TlsDeviceOptions

    @staticmethod
    def wire(options: TlsDeviceOptions, /) -> Wire:
        """A TLS connection."""
        return TlsWire(options)


class ModbusRtu(Modbus):
    """RTU on a serial port."""

    DeviceOptions: ClassVar[type[Options]] = RtuDeviceOptions

    @staticmethod
    def wire(options: RtuDeviceOptions, /) -> Wire:
        """A serial port."""
        return SerialWire(options, partial(RtuFrames, local_echo=options.local_echo))


class ModbusAscii(Modbus):
    """ASCII on a serial port."""

    DeviceOptions: ClassVar[type[Options]] = AsciiDeviceOptions

    @staticmethod
    def wire(options: AsciiDeviceOptions, /) -> Wire:
        """A serial port."""
        return SerialWire(options, partial(AsciiFrames, local_echo=options.local_echo))


class ModbusRtuOverTcp(Modbus):
    """RTU through a gateway that passes on the bytes of its serial line."""

    DeviceOptions: ClassVar[type[Options]] = SocketLineOptions

    @staticmethod
    def wire(options: SocketLineOptions, /) -> Wire:
        """A TCP connection."""
        return TcpWire(options.host, options.port, RtuFrames)


class ModbusAsciiOverTcp(Modbus):
    """ASCII through a gateway that passes on the bytes of its serial line."""

    DeviceOptions: ClassVar[type[Options]] = SocketLineOptions

    @staticmethod
    def wire(options: SocketLineOptions, /) -> Wire:
        """A TCP connection."""
        return TcpWire(options.host, options.port, AsciiFrames)
