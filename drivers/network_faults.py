"""Why no connection to a host can be made, in words that a technician can act upon."""

from __future__ import annotations

import errno
import re
import socket

_NO_WAY = frozenset((errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EADDRNOTAVAIL))


def network_fault(error: BaseException | None, *, host: str, port: str) -> str | None:
    """The reason and what to do, or None where the error is of another kind.

    `host` and `port` are the keys to correct. A name with several addresses fails with one error for all of them, which
    asyncio gives as a text (base_events.py, `create_connection`).
    """
    if not isinstance(error, OSError):
        return None
    if isinstance(error, socket.gaierror):
        return f"the host name is not known: correct {host}, or write the IP address"
    codes = {error.errno} if error.errno else {int(code) for code in re.findall(r"\[Errno (\d+)\]", str(error))}
    if isinstance(error, ConnectionRefusedError) or errno.ECONNREFUSED in codes:
        return f"nothing listens at this port: start the server, or correct {port}"
    if codes and codes <= _NO_WAY:
        return "no way to the host: check network, cable and address"
    return None
