"""Serial ports that cannot be opened, or at which nobody answers: each is told in its own words, with a way out."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import serial

from drivers.contract import LinkError, Point
from drivers.modbus.driver import ModbusAscii, ModbusRtu
from drivers.modbus.options import AsciiDeviceOptions, PointOptions, RtuDeviceOptions
from drivers.modbus.serial_faults import fault_text
from tests.clock import Clock
from tests.system.modbus_servers import PtyLine

FOUND = ["/dev/ttyUSB0", "/dev/ttyUSB1"]


def rtu(port: Path | str, **options: Any) -> ModbusRtu:
    points = [Point("A", "dev", PointOptions(holding=7), 100)]
    return ModbusRtu({"dev": RtuDeviceOptions.model_validate({"port": str(port), **options})}, points)


async def told(driver: ModbusRtu) -> str:
    """What is said of a port that cannot be opened."""
    with pytest.raises(LinkError) as raised:
        await driver.open()
    return str(raised.value)


async def test_a_port_that_is_not_there(tmp_path: Path) -> None:
    said = await told(rtu(tmp_path / "ttyUSB7"))
    assert said.startswith(f"{tmp_path}/ttyUSB7 is not there: plug the adapter in, or correct port")
    assert "serial ports found: " in said


async def test_a_folder_and_a_file_are_no_ports(tmp_path: Path) -> None:
    assert (await told(rtu(tmp_path))).startswith(f"{tmp_path} is a folder, not a serial port: set port to one of its")
    (tmp_path / "notes.txt").write_text("x")
    assert (await told(rtu(tmp_path / "notes.txt"))).startswith(f"{tmp_path}/notes.txt is a file, not a serial port")


async def test_a_device_that_is_no_serial_port() -> None:
    assert (await told(rtu("/dev/null"))).startswith("/dev/null is not a serial port (it takes no 19200 8E1): correct")


async def test_a_port_that_another_program_has(tmp_path: Path) -> None:
    line = PtyLine(tmp_path)
    async with line.plugged():
        opened = f"serial.Serial({str(line.ends[0])!r}, exclusive=True)"
        hold = f"import serial; port = {opened}; print('ready', flush=True); input()"
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-c", hold, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert other.stdout is not None
        await other.stdout.readline()
        said = await told(rtu(line.ends[0], parity="none"))
        assert said.startswith(f"{line.ends[0]} is used by another program: end that one first")
        await other.communicate(b"\n")
        driver = rtu(line.ends[0], parity="none")
        await driver.open()
        await driver.close()


async def test_a_port_that_may_not_be_opened(tmp_path: Path) -> None:
    """Root may open all: then the program under test runs as somebody else, who can reach all it needs."""
    setpriv = shutil.which("setpriv")
    line = PtyLine(tmp_path)
    async with line.plugged():
        terminal = line.ends[0].resolve()
        terminal.chmod(0o000)
        if os.geteuid():
            said = await told(rtu(line.ends[0]))
        else:
            if setpriv is None:
                pytest.skip("root needs setpriv to be somebody else")
            with pytest.raises(PermissionError) as raised:
                await _open_as_nobody(setpriv, terminal)
            options = RtuDeviceOptions(port=str(line.ends[0]))
            said = fault_text(options, serial.SerialException(raised.value.errno, str(raised.value)), FOUND)
    assert said.startswith(f"{line.ends[0]} may ")
    assert "usermod -aG" in said or "udev" in said


async def _open_as_nobody(setpriv: str, port: Path) -> None:
    """Open a port as a user without rights. Raises what the system says."""
    code = f"import os,sys\ntry: os.open({str(port)!r}, os.O_RDWR)\nexcept OSError as e: sys.exit(e.errno)"
    process = await asyncio.create_subprocess_exec(
        setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-S", "-c", code, cwd="/"
    )
    status = await process.wait()
    if status:
        raise OSError(status, os.strerror(status), str(port))


SETTINGS = "/dev/ttyS9 does not take 250000 7O2 ("


@pytest.mark.parametrize(
    ("error", "start"),
    [
        (ValueError("Failed to set custom baud rate (250000): [Errno 22] Invalid argument"), SETTINGS),
        (serial.SerialException("Could not configure port: (22, 'Invalid argument')"), SETTINGS),
        (serial.SerialException("Could not configure port: (5, 'Input/output error')"), "/dev/ttyS9 is not there: "),
        (serial.SerialException(errno.EBUSY, "could not open port"), "/dev/ttyS9 is used by another program: "),
        (serial.SerialException(errno.ENXIO, "could not open port"), "/dev/ttyS9 is not there: "),
        (serial.SerialException("could not open port 'COM3': FileNotFoundError(2, 'x')"), "/dev/ttyS9 is not there: "),
        (serial.SerialException("could not open port 'COM3': PermissionError(13, 'x')"), "/dev/ttyS9 may "),
        (serial.SerialException(errno.EMFILE, "too many open files"), "/dev/ttyS9 cannot be opened at 250000 7O2 ("),
    ],
)
def test_what_the_system_says_is_told_in_other_words(error: Exception, start: str) -> None:
    """The errors are made, as no adapter here has such limits, and no Windows is at hand."""
    options = AsciiDeviceOptions(port="/dev/ttyS9", baudrate=250_000, parity="odd", stopbits=2)
    assert fault_text(options, error, FOUND).startswith(start)


def test_the_ports_that_there_are_are_named() -> None:
    options = RtuDeviceOptions(port="/dev/ttyUSB9")
    error = serial.SerialException(errno.ENOENT, "could not open port")
    assert fault_text(options, error, FOUND).endswith("serial ports found: /dev/ttyUSB0, /dev/ttyUSB1")
    assert fault_text(options, error, []).endswith("serial ports found: none")
    assert fault_text(options, error, [f"/dev/ttyS{n}" for n in range(32)]).endswith("/dev/ttyS7, ...")


@pytest.mark.parametrize(
    ("of", "options", "settings"),
    [(ModbusRtu, RtuDeviceOptions, "19200 8E1"), (ModbusAscii, AsciiDeviceOptions, "19200 7E1")],
)
async def test_a_silent_line_is_told_with_its_settings(
    tmp_path: Path, clock: Clock, of: Any, options: Any, settings: str
) -> None:
    line = PtyLine(tmp_path)
    line.to_device = lambda _: clock.leap_soon(100) or b""
    async with line.plugged():
        device = options(port=str(line.ends[0]), retries=0)
        driver = of({"dev": device}, [Point("A", "dev", PointOptions(holding=7), 100)])
        await driver.open()
        try:
            with pytest.raises(LinkError) as raised:
                await driver.read(0)
        finally:
            await driver.close()
    assert str(raised.value) == (
        f"dev (device_id 1 on {line.ends[0]}, {settings}) does not answer within 1000 ms: check baudrate, parity and "
        "the wires (A and B swapped?), that it is on, its device_id and its timeout_ms"
    )
