"""What keeps a serial port from being opened, in words that say what to do about it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from serial.tools import list_ports

from drivers.modbus.options import LineOptions

_MISSING = frozenset({errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EIO})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})
_BUSY = frozenset({errno.EBUSY, errno.EAGAIN})
_MOST_PORTS = 8
"""How many ports a message names."""


def settings_text(options: LineOptions) -> str:
    """The settings of a line as people write them, for example 19200 8E1."""
    return f"{options.baudrate} {options.bytesize}{options.parity[0].upper()}{options.stopbits}"


def ports() -> list[str]:
    """The serial ports of this computer. Blocks."""
    return sorted(port.device for port in list_ports.comports())


def fault_text(options: LineOptions, error: Exception, found: Sequence[str]) -> str:
    """Says why a port cannot be opened, and what to do; `found` are the ports that there are. Looks at the port."""
    name, settings = options.port, settings_text(options)
    others = [port for port in found if port != name]
    listed = f"{', '.join(others[:_MOST_PORTS]) or 'none'}{', ...' if len(others) > _MOST_PORTS else ''}"
    there = f"serial ports found: {listed}"
    place = Path(name)
    code, text = getattr(error, "errno", None), str(error)
    if place.is_dir():
        return f"{name} is a folder, not a serial port: set port to one of its files, or to another port; {there}"
    if place.is_file():
        return f"{name} is a file, not a serial port: correct port; {there}"
    if code in _MISSING or "FileNotFoundError" in text or os.strerror(errno.EIO) in text:
        return f"{name} is not there: plug the adapter in, or correct port (on Windows, for example COM3); {there}"
    if code in _BUSY:
        return (
            f"{name} is used by another program: end that one first; devices of one skid share a port, two engines "
            "cannot"
        )
    if code in _FORBIDDEN or "PermissionError" in text:
        return _forbidden(name, place)
    if isinstance(error, ValueError) or code == errno.EINVAL or "could not configure port" in text.lower():
        if _is_no_terminal(text):
            return f"{name} is not a serial port (it takes no {settings}): correct port; {there}"
        return (
            f"{name} does not take {settings} ({error}): set baudrate, parity and stopbits to what the adapter and the "
            "device can do"
        )
    return f"{name} cannot be opened at {settings} ({error}): check the adapter and its driver; {there}"


def _is_no_terminal(text: str) -> bool:
    return os.strerror(errno.ENOTTY) in text


def _forbidden(name: str, place: Path) -> str:
    if sys.platform == "win32":
        return f"{name} is used by another program, or you may not open it: end the other program first"
    try:
        group = place.group()
    except (OSError, KeyError):
        group = "dialout"
    if group == "root":
        return (
            f"{name} may only be opened by root: have its owner or its rights changed (a udev rule does that for good)"
        )
    return (
        f"{name} may not be opened by you: add yourself to its group (sudo usermod -aG {group} $USER), then log in anew"
    )
