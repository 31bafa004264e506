"""Which device stands on which link, and which tag is fed by which of its points, in the options of the drivers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from drivers.contract import Counts, Driver, DriverError, Image, Kind, Options, Point, Remark, Reviews, Writes
from drivers.registry import UnknownDriverError, driver_class, driver_paths
from engine.uod.draft import Draft, findings_of, keys_of
from engine.uod.faults import Finding, Path, Severity, did_you_mean
from engine.uod.model import Device, Tag
from engine.uod.skid import STALE_AFTER_MS, STALE_AFTER_READINGS, LinkSpec


@dataclass(slots=True)
class Link:
    """A link that still gathers its devices and points."""

    name: str
    driver_name: str
    driver: type[Driver]
    devices: dict[str, Options] = field(default_factory=dict[str, Options])
    points: list[Point] = field(default_factory=list[Point])
    counted: tuple[str, ...] = ()
    """What its driver counts, once that has been tried out."""


@dataclass(frozen=True, slots=True)
class Socket:
    """Where a tag's value comes from."""

    link: int
    row: int
    stale_after_s: float


class Wiring:
    """The links of a UOD, with all that can be wired; what cannot is among the findings."""

    def __init__(self, draft: Draft) -> None:
        self.findings: list[Finding] = []
        self.sockets: dict[str, Socket] = {}
        """tag name -> where it is plugged in"""
        self._links: list[Link] = []
        self._tick_ms = draft.uod.tick_ms
        self._devices = draft.uod.devices
        self._broken = {name for section, name in draft.broken if section == "devices"}
        self._drivers: dict[str, type[Driver]] = {}
        """device name -> its driver, also where its options do not hold"""
        self._link_of: dict[str, int] = {}
        for name, device in draft.uod.devices.items():
            self._plug(name, device)
        for name, tag in draft.uod.tags.items():
            self._wire(name, tag)
        self._images = [self._try_out(link) for link in self._links]

    def kind(self, socket: Socket) -> Kind:
        """The kind of the raw value there."""
        return Kind(int(self._images[socket.link].kinds[socket.row]))

    def is_learned(self, socket: Socket) -> bool:
        """Whether that kind is known without the device."""
        return bool(self._images[socket.link].learned[socket.row])

    def counted(self, device: str) -> tuple[int, tuple[str, ...], tuple[str, ...]] | None:
        """The link of a device, what the names of counters of single devices begin with there, and all that its driver
        counts; None where the device has no link."""
        index = self._link_of.get(device)
        if index is None:
            return None
        link = self._links[index]
        return index, tuple(f"{name}." for name in link.devices), link.counted

    @property
    def links(self) -> tuple[LinkSpec, ...]:
        return tuple(LinkSpec(link.name, link.driver_name, link.devices, tuple(link.points)) for link in self._links)

    def _plug(self, name: str, device: Device) -> None:
        """Put a device on its link: the one of the same name and driver, or a new one."""
        path = ("devices", name)
        driver = self._driver(name, device)
        if driver is None:
            return
        self._drivers[name] = driver
        options = self._options(driver.DeviceOptions, Device, device, path)
        if options is None:
            return
        self._check_pace(path, device.every_ms, device.every_ms, device.stale_after_ms)
        at = driver.link_name(options)
        known = ((index, link) for index, link in enumerate(self._links) if (link.name, link.driver) == (at, driver))
        index, link = next(known, (len(self._links), None))
        if link is None:
            link = Link(at, device.driver, driver)
            self._links.append(link)
        link.devices[name] = options
        self._link_of[name] = index

    def _driver(self, name: str, device: Device) -> type[Driver] | None:
        try:
            return driver_class(device.driver)
        except UnknownDriverError:
            hint = did_you_mean(device.driver, driver_paths(), "drivers")
            self.findings.append(Finding(("devices", name, "driver"), f"no driver is named {device.driver!r}", hint))
        except DriverError as error:
            self.findings.append(Finding(("devices", name, "driver"), str(error), "install what it needs"))
        return None

    def _wire(self, name: str, tag: Tag) -> None:
        """Make the point of a tag."""
        path = ("tags", name)
        if not tag.device:
            if not is_counter(tag):
                self.findings.append(Finding(path, "the key 'device' is missing"))
            return
        if tag.device not in self._devices and tag.device not in self._broken:
            hint = did_you_mean(tag.device, self._devices, "devices")
            self.findings.append(Finding((*path, "device"), f"no device is named {tag.device!r}", hint))
        driver = self._drivers.get(tag.device)
        if driver is None or is_counter(tag):
            return
        options = self._options(driver.PointOptions, Tag, tag, path)
        writes = tag.direction != "input"
        if writes and not issubclass(driver, Writes):
            message = f"the driver of {tag.device} cannot write"
            self.findings.append(Finding((*path, "direction"), message, "make it direction: input"))
        index, device = self._link_of.get(tag.device), self._devices[tag.device]
        if options is None or index is None:
            return
        link = self._links[index]
        every_ms = tag.every_ms or device.every_ms or self._tick_ms
        stale_after_ms = tag.stale_after_ms or device.stale_after_ms
        if tag.every_ms or tag.stale_after_ms:
            self._check_pace(path, tag.every_ms, every_ms, tag.stale_after_ms)
        stale_after_ms = stale_after_ms or max(STALE_AFTER_MS, STALE_AFTER_READINGS * every_ms)
        self.sockets[name] = Socket(index, len(link.points), stale_after_ms / 1000)
        read = tag.direction != "output"
        link.points.append(Point(name, tag.device, options, every_ms, read, writes, tag.momentary, stale_after_ms))

    def _options(self, options: type[Options], common: type[BaseModel], part: BaseModel, path: Path) -> Any:
        """Check the keys that are not common ones against a driver's options; None where they do not hold."""
        try:
            return options.model_validate(part.model_extra or {})
        except ValidationError as error:
            self.findings += findings_of(error, path, keys_of(options, common))
            return None

    def _check_pace(self, path: Path, given_ms: int | None, every_ms: int | None, stale_after_ms: int | None) -> None:
        if given_ms is not None and given_ms < self._tick_ms:
            message = f"is read every {given_ms} ms, but looked at every {self._tick_ms} ms only"
            hint = f"make every_ms {self._tick_ms} or more, or tick_ms less"
            self.findings.append(Finding((*path, "every_ms"), message, hint, Severity.WARNING))
        if stale_after_ms is not None and stale_after_ms <= (every_ms or self._tick_ms):
            message = f"is stale after {stale_after_ms} ms, but read every {every_ms or self._tick_ms} ms only"
            hint = "a stale_after_ms of three readings lets two of them fail"
            self.findings.append(Finding((*path, "stale_after_ms"), message, hint, Severity.WARNING))

    def _try_out(self, link: Link) -> Image:
        """Let the driver judge its points together and plan them, offline; return its image, as far as it is known
        without the device."""
        count = len(link.points)
        unknown = Image([Kind.FLOAT] * count, [False] * count)
        remarks: Sequence[Remark] = ()
        if issubclass(link.driver, Reviews):
            remarks = link.driver.review(link.devices, link.points)
        for remark in remarks:
            severity = Severity.ERROR if remark.error else Severity.WARNING
            at = ("tags", remark.tag) if remark.tag else ("devices", remark.device)
            self.findings.append(Finding((*at, remark.key), remark.message, "", severity))
        if any(remark.error for remark in remarks):
            return unknown
        try:
            driver = link.driver(link.devices, link.points)
        except DriverError as error:
            hint = "change its options or its tags"
            self.findings.append(Finding(("devices", next(iter(link.devices))), str(error), hint))
            return unknown
        if isinstance(driver, Counts):
            link.counted = tuple(driver.counters())
        return driver.image


def is_counter(tag: Tag) -> bool:
    """Whether it shows what we count, and so has no point."""
    return "counter" in (tag.model_extra or {})
