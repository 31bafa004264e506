"""Serial ports: opened by pyserial, served without ever blocking the event loop.

Rules of this file:

* Where the event loop can watch a port (POSIX), it does. Elsewhere, and where the direction of an RS-485 transceiver
  is turned by RTS, which has to wait for the last bit, threads of the port's own do the blocking.
* A port that vanishes ends its connection with what the system says; it is opened anew like any other link.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import serial
import serial.rs485

from drivers.contract import LinkError
from drivers.modbus.connection import Connection, Pace
from drivers.modbus.counters import LinkCounters
from drivers.modbus.frames import Frames
from drivers.modbus.options import LineOptions
from drivers.modbus.serial_faults import fault_text, ports, settings_text

try:
    import termios
except ImportError:  # Windows has none, and nothing there raises its error
    termios = None

SERIAL_ERRORS = (OSError, ValueError) if termios is None else (OSError, ValueError, termios.error)

_PARITIES = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}
CAN_WATCH = os.name == "posix"
"""Whether the event loop can watch a serial port."""
_POLL_S = 0.1
"""How often a reading thread looks whether its port is to be closed."""


@dataclass(frozen=True, slots=True)
class SerialWire:
    """A serial port."""

    options: LineOptions
    frames: Callable[[LinkCounters], Frames]
    is_redialled: bool = False

    @property
    def name(self) -> str:
        """The port."""
        return self.options.port

    @property
    def settings(self) -> str:
        """Its settings as people write them."""
        return settings_text(self.options)

    @property
    def pace(self) -> Pace:
        """What the baud rate makes of the times (Serial Line Specification V1.02, section 2.5.1.1).

        A byte is start bit, data, parity and stop bits. Frames are 3.5 characters apart, 1.75 ms above 19,200 baud.
        """
        options = self.options
        bits = 1 + options.bytesize + (options.parity != "none") + options.stopbits
        byte_s = bits / options.baudrate
        return Pace(byte_s, 3.5 * byte_s if options.baudrate <= 19_200 else 0.00175)

    async def connect(self, make: Callable[[], Connection]) -> Connection:
        """Open the port. Raises `LinkError` saying what is wrong with it."""
        try:
            port = await asyncio.to_thread(_open, self.options)
        except SERIAL_ERRORS as error:
            found = await asyncio.to_thread(ports)
            raise LinkError(fault_text(self.options, error, found)) from error
        connection = make()
        if CAN_WATCH and self.options.rs485 != "rts":
            transport: asyncio.Transport = WatchedPort(port, connection)
        else:
            transport = ThreadedPort(port, connection)
        connection.connection_made(transport)
        return connection


def _open(options: LineOptions) -> serial.Serial:
    of = serial.rs485.RS485 if options.rs485 == "rts" else serial.Serial
    port = of(
        options.port,
        options.baudrate,
        options.bytesize,
        _PARITIES[options.parity],
        options.stopbits,
        timeout=_POLL_S,
        exclusive=True if os.name == "posix" else None,
    )
    if options.rs485 != "automatic":
        try:
            port.rs485_mode = serial.rs485.RS485Settings()
            if options.rs485 == "rts":
                port.rts = False
        except SERIAL_ERRORS as error:
            port.close()
            how: Literal["kernel", "RTS"] = "kernel" if options.rs485 == "kernel" else "RTS"
            raise LinkError(
                f"{options.port}: its driver cannot turn RS-485 round by {how} ({error}): set another rs485; most "
                "adapters are automatic"
            ) from error
    return port


class WatchedPort(asyncio.Transport):
    """A port that the event loop watches."""

    def __init__(self, port: serial.Serial, connection: Connection) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._port = port
        self._connection = connection
        self._unsent = b""
        self._closing = False
        self._descriptor: int = port.fileno()
        self._loop.add_reader(self._descriptor, self._read)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send what the port takes at once, and the rest when it takes more."""
        if not self._closing:
            waits = bool(self._unsent)
            self._unsent += data
            if not waits:
                self._flush()

    def is_closing(self) -> bool:
        """Whether nothing can be sent any longer."""
        return self._closing

    def abort(self) -> None:
        """Close the port at once."""
        self._end(None)

    def _flush(self) -> None:
        try:
            sent = os.write(self._descriptor, self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._end(error)
            return
        self._unsent = self._unsent[sent:]
        if self._unsent:
            self._loop.add_writer(self._descriptor, self._flush)
        else:
            self._loop.remove_writer(self._descriptor)

    def _read(self) -> None:
        space = self._connection.get_buffer(-1)
        try:
            count = os.readv(self._descriptor, [space])
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error)
            return
        if count:
            self._connection.buffer_updated(count)
        else:
            self._end(OSError("the serial adapter is gone"))

    def _end(self, error: OSError | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        self._port.close()
        self._loop.call_soon(self._connection.connection_lost, error)


class ThreadedPort(asyncio.Transport):
    """A port whose blocking is done by two threads, one that reads and one that writes."""

    def __init__(self, port: serial.Serial, connection: Connection) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._port = port
        self._connection = connection
        self._closing = False
        self._threads = ThreadPoolExecutor(2, "serial port")
        self._reading = self._threads.submit(self._read_on)
        self._reading.add_done_callback(self._tell_end)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Have the bytes sent; returns at once."""
        if not self._closing:
            self._threads.submit(self._port.write, bytes(data)).add_done_callback(self._check_sent)

    def is_closing(self) -> bool:
        """Whether nothing can be sent any longer."""
        return self._closing

    def abort(self) -> None:
        """Have the port closed; the connection hears of it when it is."""
        self._closing = True
        self._threads.shutdown(wait=False)

    def _read_on(self) -> None:
        """Read until the port is to be closed. Raises one of `SERIAL_ERRORS` when the port is gone."""
        with self._port as port:
            while not self._closing:
                data = port.read(max(1, port.in_waiting))
                if data:
                    self._loop.call_soon_threadsafe(self._hand_over, data)

    def _hand_over(self, data: bytes) -> None:
        while data and not self._closing:
            space = self._connection.get_buffer(-1)
            count = min(len(data), len(space))
            space[:count] = data[:count]
            data = data[count:]
            self._connection.buffer_updated(count)

    def _check_sent(self, sending: Future[int | None]) -> None:
        if sending.exception() is not None:
            self._closing = True  # the reading thread closes the port and tells of it

    def _tell_end(self, reading: Future[None]) -> None:
        self._closing = True
        error = reading.exception()
        self._loop.call_soon_threadsafe(
            self._connection.connection_lost, error if isinstance(error, Exception) else None
        )
