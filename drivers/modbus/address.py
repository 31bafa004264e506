"""Links and addresses as they are typed on a command line, for looking at a device without a UOD."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import ValidationError

from drivers.contract import DriverError
from drivers.modbus import driver as drivers
from drivers.modbus.options import DeviceOptions, PointOptions
from drivers.modbus.pdu import Table

SCHEMES: Mapping[str, type[drivers.Modbus]] = {
    "tcp": drivers.ModbusTcp,
    "udp": drivers.ModbusUdp,
    "tls": drivers.ModbusTls,
    "rtu": drivers.ModbusRtu,
    "ascii": drivers.ModbusAscii,
    "rtu-over-tcp": drivers.ModbusRtuOverTcp,
    "ascii-over-tcp": drivers.ModbusAsciiOverTcp,
}
SPELLINGS = (
    "write a link as HOST, HOST:PORT, /dev/ttyUSB0, or rtu:///dev/ttyUSB0?baudrate=9600&parity=none; instead of rtu: "
    + ", ".join(SCHEMES)
)


@dataclass(frozen=True, slots=True)
class Reach:
    """How to reach the devices of one link."""

    driver: type[drivers.Modbus]
    options: Mapping[str, Any]

    @property
    def is_addressed_by_host(self) -> bool:
        """Whether the device may be the host itself, so that its id may be 0 or 255, too."""
        return self.driver in {drivers.ModbusTcp, drivers.ModbusUdp, drivers.ModbusTls}

    def device(self, device_id: int | None = None, **options: Any) -> DeviceOptions:
        """The options of a device on the link. Raises `DriverError` naming the key at fault."""
        given = {**self.options, **options} | ({} if device_id is None else {"device_id": device_id})
        try:
            found = self.driver.DeviceOptions.model_validate(given)
        except ValidationError as error:
            what = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise DriverError(f"{what}; {SPELLINGS}") from error
        if not isinstance(found, DeviceOptions):
            raise TypeError(f"{self.driver.__name__} has options that are none of Modbus")
        return found


def reach(text: str) -> Reach:
    """Read a link. Raises `DriverError` for one that is none."""
    if "://" not in text:
        serial = text.startswith("/") or re.fullmatch(r"COM\d+", text, re.IGNORECASE)
        text = f"rtu://{'' if text.startswith('/') else '/'}{text}" if serial else f"tcp://{text}"
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise DriverError(f"{text}: {error}; {SPELLINGS}") from error
    driver = SCHEMES.get(parts.scheme.removeprefix("modbus-"))
    if driver is None:
        raise DriverError(f"{parts.scheme}:// is no way to a Modbus device: {SPELLINGS}")
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    if driver in {drivers.ModbusRtu, drivers.ModbusAscii}:
        port = parts.netloc + parts.path
        options["port"] = port.removeprefix("/") if re.fullmatch(r"/COM\d+", port, re.IGNORECASE) else port
    else:
        try:
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise DriverError(f"{text}: {error}; {SPELLINGS}") from error
        options |= {"host": host or ""} | ({} if port is None else {"port": port})
    return Reach(driver, {key: int(value) if str(value).isdigit() else value for key, value in options.items()})


def place(text: str) -> tuple[Table, int]:
    """Read an address as "100" (holding), "input:7" or "modicon:40101". Raises `DriverError`."""
    key, colon, number = text.partition(":")
    key, number = (key.strip().lower(), number.strip()) if colon else ("holding", text.strip())
    tables = [*(table.value for table in Table), "modicon"]
    if key not in tables or not number.isdigit():
        raise DriverError(
            f"{text!r} is no address: write a number counted from 0 for a holding register, or one of "
            f"{', '.join(f'{table}:NUMBER' for table in tables)}; only modicon counts from 1, as modicon:40101"
        )
    try:
        return PointOptions.model_validate({key: number if key == "modicon" else int(number)}).place
    except ValidationError as error:
        raise DriverError(f"{text!r} is no address: {error.errors()[0]['msg']}") from error
