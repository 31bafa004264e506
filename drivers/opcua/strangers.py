"""What answers at a port that is not an OPC UA server's: a web server, Modbus, SSH, TLS.

It is asked only where a first connection has failed. Each look is a connection of its own, ended at once.
"""

from __future__ import annotations

import asyncio
import ssl
import struct

from drivers.opcua.reach import Address

_HELLO = b"HELF" + struct.pack("<IIIIIIi", 32, 0, 65535, 65535, 0, 0, -1)
"""OPC 10000-6 7.1.2.3, without a URL."""
_MODBUS = struct.pack(">HHHBBHH", 0x5A5A, 0, 6, 1, 3, 0, 1)
"""A request to read one holding register: Modbus Messaging on TCP/IP Implementation Guide 3.1."""
_WEB = b"GET / HTTP/1.0\r\n\r\n"
_ENOUGH = 8
_TLS = "a server that speaks TLS (HTTPS, for example)"
_OPC_UA = "an OPC UA server"
_UNKNOWN = "another program"
_WRONG_PORT = "correct the port in endpoint (most OPC UA servers use 4840)"


async def who_answers(address: Address, timeout_s: float) -> str:
    """Say who answers at an address, and what to do; "" where it may be an OPC UA server after all.

    Each look waits for an answer up to `timeout_s`, all of them at the same time.
    """
    looks = [asyncio.create_task(_look(address, words, timeout_s)) for words in (_HELLO, _MODBUS, _WEB)]
    looks.append(asyncio.create_task(_look_for_tls(address, timeout_s)))
    unknown = ""
    try:
        for look in asyncio.as_completed(looks):
            found = await look
            if found == _UNKNOWN:
                unknown = _said(_UNKNOWN)  # another look may know more
            elif found:
                return found if found is not _OPC_UA else ""
    finally:
        for look in looks:
            look.cancel()
        await asyncio.gather(*looks, return_exceptions=True)
    return unknown


async def _look(address: Address, words: bytes, timeout_s: float) -> str:
    """Who answers these words; "" where nobody can tell."""
    answer = await _say(address, words, timeout_s)
    if answer[:3] in {b"ACK", b"ERR", b"RHE"}:
        return _OPC_UA
    kind = "a Modbus TCP server" if words is _MODBUS and _is_modbus(answer) else _kind_of(answer)
    if not kind and words is _HELLO and len(answer) >= _ENOUGH:
        return _UNKNOWN
    return _said(kind) if kind else ""


async def _look_for_tls(address: Address, timeout_s: float) -> str:
    """Who takes part in a TLS handshake; "" where nobody does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent, and nothing believed
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
    except ssl.SSLError as error:
        return _said(_TLS) if "ALERT" in (error.reason or "") else ""
    except OSError:
        return ""
    writer.transport.abort()
    return _said(_TLS)


def _said(kind: str) -> str:
    return f"{kind} answers at this port, not OPC UA over opc.tcp: {_WRONG_PORT}"


async def _say(address: Address, words: bytes, timeout_s: float) -> bytes:
    """The first bytes that come back, b"" where none do."""
    answer = b""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(address.host, address.port)
    except OSError:  # a time-out is one, too
        return b""
    try:
        async with asyncio.timeout(timeout_s):
            writer.write(words)
            while len(answer) < _ENOUGH and not _kind_of(answer) and (part := await reader.read(256)):
                answer += part
            writer.close()
            await writer.wait_closed()
    except OSError:
        return answer  # what came before says enough
    finally:
        writer.transport.abort()
    return answer


def _kind_of(answer: bytes) -> str:
    if answer.startswith(b"HTTP/"):
        return "a web server (HTTP)"
    if answer.startswith(b"SSH-"):
        return "an SSH server"
    if answer[:1] in {b"\x15", b"\x16"} and answer[1:2] == b"\x03":
        return _TLS
    if answer.startswith((b"220 ", b"220-")):
        return "a mail or FTP server"
    if answer.startswith((b"\xff\xfd", b"\xff\xfb")):
        return "a Telnet server"
    return ""


def _is_modbus(answer: bytes) -> bool:
    """Whether it is a response to `_MODBUS`: the same transaction, protocol 0, function 3 or its exception, no echo."""
    return answer[:4] == _MODBUS[:4] and answer[7:8] in {b"\x03", b"\x83"} and answer != _MODBUS[: len(answer)]
