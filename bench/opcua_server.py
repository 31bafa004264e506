"""The server of `bench.opcua`: asyncua's, in a process of its own; says at which port it listens, then serves."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
from typing import Any

import asyncua.ua
from asyncua.crypto import cert_gen
from asyncua.server.server import Server
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

ua: Any = asyncua.ua
NODES = 5_000
NAMESPACE = "urn:skid"
PUBLISHING_MS = 100
RISE = 100_000
"""By how much every value rises each turn."""


async def serve() -> None:
    """Serve Doubles until the input ends; each line that comes in gives the first so many of them a new value."""
    server = Server()
    await server.init()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    policies = ua.SecurityPolicyType
    server.set_security_policy([policies.NoSecurity, policies.Basic256Sha256_SignAndEncrypt])
    key = cert_gen.generate_private_key()
    names: list[x509.GeneralName] = [
        x509.UniformResourceIdentifier("urn:freeopcua:python:server"),
        x509.DNSName("localhost"),
    ]
    certificate = cert_gen.generate_self_signed_app_certificate(
        key, "Bench", {}, names, [ExtendedKeyUsageOID.SERVER_AUTH], 365
    )
    await server.load_certificate(certificate.public_bytes(Encoding.DER))
    await server.load_private_key(cert_gen.dump_private_key_as_pem(key), format="pem")
    index = await server.register_namespace(NAMESPACE)
    nodes = [
        await server.nodes.objects.add_variable(ua.NodeId(f"D{number}", index), f"D{number}", number * 1.1)
        for number in range(NODES)
    ]
    async with server:
        print(json.dumps({"port": port}), flush=True)
        turn = 0
        while line := await asyncio.to_thread(sys.stdin.readline):
            turn += 1
            for number, node in enumerate(nodes[: int(line)]):
                await node.write_value(number * 1.1 + turn * RISE)
            print(json.dumps({"turn": turn}), flush=True)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(serve())
