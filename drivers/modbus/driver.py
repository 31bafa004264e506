"""Modbus TCP as a driver: one link, its devices, their points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from drivers.contract import Group, Image, Options, Point, Remark, groups_of
from drivers.modbus.connection import Device
from drivers.modbus.link import Link
from drivers.modbus.options import DeviceOptions, PointOptions, TcpDeviceOptions
from drivers.modbus.plan import describe, plan_group
from drivers.modbus.reading import GroupReading
from drivers.modbus.review import fields_of, review
from drivers.modbus.writing import DeviceWriting


class ModbusTcp:
    """Devices behind one host and port."""

    DeviceOptions: ClassVar[type[Options]] = TcpDeviceOptions
    PointOptions: ClassVar[type[Options]] = PointOptions

    def __init__(self, devices: Mapping[str, TcpDeviceOptions], points: Sequence[Point]) -> None:
        """Plan the reading. Raises `DriverError` for a point that cannot be read at all."""
        first = next(iter(devices.values()))
        self.devices = {name: Device(name, options) for name, options in devices.items()}
        """Name -> device with its counters."""
        self.link = Link(self.link_name(first), first.host, first.port, self.devices.values())
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
        self._readings = [GroupReading(plan, self.devices[plan.group.device], self.link, self.image) for plan in plans]
        self._writings = {name: DeviceWriting(device, self.link) for name, device in self.devices.items()}

    @staticmethod
    def link_name(options: TcpDeviceOptions, /) -> str:
        """Name the link by host and port."""
        return f"{options.host}:{options.port}"

    @staticmethod
    def review(devices: Mapping[str, DeviceOptions], points: Sequence[Point], /) -> Sequence[Remark]:
        """Point out what cannot work, and registers that are read as two different things."""
        return review(devices, points)

    async def open(self) -> None:
        """Connect. Raises `LinkError`."""
        await self.link.open()

    async def read(self, group: int) -> None:
        """Read one group into the image. Raises `LinkError` or `DeviceError`, the group's rows untouched."""
        await self._readings[group].read()

    async def close(self) -> None:
        """Disconnect."""
        await self.link.close()

    async def write(self, values: Mapping[int, bool | int | float | str]) -> Mapping[int, str]:
        """Write raw values, one request each, in the order given; return what was refused and why.

        Raises `LinkError` or `DeviceError` when nobody can say whether a value arrived; those after it were not sent.
        """
        refused: dict[int, str] = {}
        for row, value in values.items():
            point = self._points[row]
            if not point.write:
                refused[row] = f"{point.tag} is an input: set direction: output (or both) to write it"
                continue
            reason = await self._writings[point.device].write(self._fields[row], value)
            if reason is not None:
                refused[row] = reason
        return refused
