"""Modbus servers in processes of their own, and serial lines made of pseudo terminals.

All serve the same registers: holding registers hold their own address, input registers 1000 more, coils are in the
pattern 0110 and discrete inputs in the pattern 1000. Run as a script this file is the pymodbus server.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
import sys
import tty
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, cast

import pytest

SLAVE_SOURCE = Path(__file__).with_name("modbus_slave.c")


@cache
def libmodbus_slave() -> Path:
    """Build the slave, once; skips the test where there is no compiler or no libmodbus."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler for the slave made with libmodbus")
    program = Path(mkdtemp(prefix="skidlink-")) / "modbus_slave"
    built = subprocess.run(
        [compiler, "-O2", "-o", program, SLAVE_SOURCE, "-lmodbus"], capture_output=True, text=True, check=False
    )
    if built.returncode != 0:
        if "modbus.h" in built.stderr:
            pytest.skip("needs libmodbus (Debian: libmodbus-dev)")
        raise RuntimeError(built.stderr)
    return program


@asynccontextmanager
async def serving(*command: str | Path) -> AsyncGenerator[int]:
    """Run a server in a process of its own until the block ends; yields its port once it can be asked."""
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        word, _, port = (await process.stdout.readline()).decode().partition(" ")
        assert word == "ready", f"{command} did not start"
        yield int(port)
    finally:
        process.terminate()
        await process.wait()


def pymodbus_server(transport: str, framing: str, *rest: str | Path) -> tuple[str | Path, ...]:
    """The command of a pymodbus server."""
    return (sys.executable, __file__, transport, framing, *rest)


class PtyLine:
    """A serial line with two ends, at which each a program opens a terminal; what passes can be changed on its way."""

    def __init__(self, folder: Path) -> None:
        self.ends = folder / "ttyDriver", folder / "ttyDevice"
        """The two serial ports; what a program has open ends when the line is torn."""
        self.to_device: Callable[[bytes], bytes] = lambda data: data
        self.to_driver: Callable[[bytes], bytes] = lambda data: data
        self.echo = False
        """Whether the driver's end gets back what it sends."""
        self._masters: list[int] = []
        self._slaves: list[int] = []

    def plug(self) -> None:
        """Make both terminals."""
        for link in self.ends:
            master, slave = os.openpty()
            tty.setraw(slave)
            os.set_blocking(master, False)
            link.symlink_to(os.ttyname(slave))
            self._masters.append(master)
            self._slaves.append(slave)  # held open: the end of the last program on it would end the line
        loop = asyncio.get_running_loop()
        loop.add_reader(self._masters[0], self._pass, 0, 1)
        loop.add_reader(self._masters[1], self._pass, 1, 0)

    def unplug(self) -> None:
        """Tear the line, as when the adapter is pulled out."""
        for link in self.ends:
            link.unlink()
        for master in self._masters:
            asyncio.get_running_loop().remove_reader(master)
        for descriptor in (*self._masters, *self._slaves):
            os.close(descriptor)
        self._masters.clear()
        self._slaves.clear()

    def _pass(self, source: int, target: int) -> None:
        data = os.read(self._masters[source], 4096)
        if source == 0 and self.echo:
            os.write(self._masters[0], data)
        os.write(self._masters[target], (self.to_driver if source else self.to_device)(data))

    @asynccontextmanager
    async def plugged(self) -> AsyncGenerator[PtyLine]:
        self.plug()
        try:
            yield self
        finally:
            if self._masters:
                self.unplug()


async def serve(transport: str, framing: str, *rest: str) -> None:
    """Serve registers by pymodbus until the process is ended."""
    from pymodbus import FramerType
    from pymodbus.pdu.device import ModbusDeviceIdentification
    from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusTlsServer, ModbusUdpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    blocks = (
        [SimData(0, values=[False, True, True, False] * 16, datatype=DataType.BITS)],
        [SimData(0, values=[True, False, False, False] * 16, datatype=DataType.BITS)],
        [SimData(0, values=list(range(400)), datatype=DataType.REGISTERS)],
        [SimData(0, values=list(range(1000, 1400)), datatype=DataType.REGISTERS)],
    )
    devices = [SimDevice(id=device_id, simdata=blocks) for device_id in (1, 2)]
    identity = ModbusDeviceIdentification(
        info_name={
            "VendorName": "Skidlink",
            "ProductCode": "TEST",
            "MajorMinorRevision": "1.0",
            "ProductName": "Test device",
        }
    )
    framer, address = FramerType(framing), ("127.0.0.1", 0)
    server: Any
    if transport == "serial":
        server = ModbusSerialServer(devices, framer=framer, port=rest[0], baudrate=115_200)
    elif transport == "udp":
        server = ModbusUdpServer(devices, framer=framer, address=address)
    elif transport == "tls":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(rest[0])
        if len(rest) > 1:
            context.load_verify_locations(rest[1])
            context.verify_mode = ssl.CERT_REQUIRED
        server = ModbusTlsServer(devices, framer=framer, address=address, sslctx=context)
    else:
        server = ModbusTcpServer(devices, framer=framer, address=address, identity=identity)
    await server.serve_forever(background=True)
    port = 0
    if transport == "udp":
        port = server.transport.get_extra_info("sockname")[1]
    elif transport != "serial":
        port = cast("asyncio.Server", server.transport).sockets[0].getsockname()[1]
    sys.stdout.write(f"ready {port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
