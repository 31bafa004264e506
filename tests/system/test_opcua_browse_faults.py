"""`skidlink opcua browse` on servers that fail at single nodes: these are named, and the exit code tells."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from asyncua.server.internal_session import InternalSession
from typer.testing import CliRunner, Result

from engine.cli.app import app
from tests.system.opcua_server import SKID, Proxy, SkidServer, ua

SKIDLINK = Path(sys.executable).with_name("skidlink")
V = ua.VariantType
UNKNOWN = ua.StatusCodes.BadNodeIdUnknown


class NoClass(IntEnum):
    """Of no class that OPC UA has."""

    ODD = 999


@pytest.fixture(scope="module")
def plc() -> Iterator[SkidServer]:
    """Three folders with a variable each; the second leads back to the first."""
    server = SkidServer([SKID])
    folders: list[Any] = []

    async def fill() -> None:
        for name in ("A", "B", "C"):
            folder = await server.folder.add_object(ua.NodeId(name, server.index), ua.QualifiedName(name, server.index))
            await folder.add_variable(
                ua.NodeId(f"{name}1", server.index), ua.QualifiedName(f"{name}1", server.index), 1.5, V.Double
            )
            folders.append(folder)
        await folders[1].add_reference(folders[0], ua.ObjectIds.Organizes)
        await folders[1].add_reference(server.folder, ua.ObjectIds.Organizes)

    server.run(fill())
    yield server
    server.stop()


def browse(endpoint: str, *arguments: str) -> Result:
    return CliRunner().invoke(
        app, ["opcua", "browse", endpoint, f"Objects/nsu={SKID};System", "--security", "none", *arguments]
    )


def names(result: Result) -> set[str]:
    return {
        entry["path"].rpartition("/")[2].rpartition(":")[2].rpartition(";")[2] for entry in json.loads(result.stdout)
    }


def answering(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Any, Any], None]) -> None:
    """Have the server change its answer for the node B, as real ones do that fail there."""
    whole = InternalSession.browse

    async def spoilt(self: InternalSession, params: Any) -> Any:
        answers = await whole(self, params)
        for node, answer in zip(params.NodesToBrowse, answers, strict=True):
            if node.NodeId.Identifier == "B":
                spoil(node, answer)
        return answers

    monkeypatch.setattr(InternalSession, "browse", spoilt)


EVERYTHING = {"System", "A", "B", "C", "A1", "B1", "C1"}


def test_a_loop_of_references_has_an_end(plc: SkidServer) -> None:
    found = browse(plc.endpoint, "--json")
    assert found.exit_code == 0, found.stderr
    assert names(found) == EVERYTHING


def test_a_node_that_the_server_does_not_know_costs_what_is_below_it(
    plc: SkidServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_: Any, answer: Any) -> None:
        answer.StatusCode, answer.References = ua.StatusCode(ua.UInt32(UNKNOWN)), []

    answering(monkeypatch, unknown)
    found = browse(plc.endpoint, "--json")
    assert names(found) == EVERYTHING - {"B1"}
    assert f"System/{plc.index}:B: not browsed: the server says BadNodeIdUnknown" in found.stderr
    assert found.exit_code == 1


def test_a_class_that_there_is_not_costs_nothing(plc: SkidServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(node: Any, answer: Any) -> None:
        if node.ResultMask & ua.BrowseResultMask.NodeClass:
            answer.References = [replace(reference, NodeClass=NoClass.ODD) for reference in answer.References]

    answering(monkeypatch, odd)
    found = browse(plc.endpoint, "--json")
    assert names(found) == EVERYTHING
    assert {entry["value"] for entry in json.loads(found.stdout) if entry["path"].endswith("B1")} == {"1.5"}
    assert found.exit_code == 0, found.stderr


def test_an_answer_that_cannot_be_decoded_at_all_is_named(plc: SkidServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(_: Any, answer: Any) -> None:
        answer.References = [replace(reference, NodeClass=NoClass.ODD) for reference in answer.References]

    answering(monkeypatch, odd)
    found = browse(plc.endpoint, "--json")
    assert names(found) == EVERYTHING - {"B1"}
    assert ":B: not browsed: the server says BadDecodingError" in found.stderr
    assert found.exit_code == 1


@pytest.mark.parametrize("refused", [True, False])
def test_a_continuation_point_that_leads_nowhere_keeps_what_came_before(
    plc: SkidServer, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    def cut(_: Any, answer: Any) -> None:
        answer.ContinuationPoint = b"more"

    async def browse_next(_: InternalSession, params: Any) -> Any:
        if refused:
            invalid = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadContinuationPointInvalid))
            return [ua.BrowseResult(StatusCode=invalid) for _ in params.ContinuationPoints]
        return [ua.BrowseResult(ContinuationPoint=b"more") for _ in params.ContinuationPoints]

    answering(monkeypatch, cut)
    monkeypatch.setattr(InternalSession, "browse_next", browse_next, raising=False)
    found = browse(plc.endpoint, "--json")
    assert names(found) == EVERYTHING
    assert ":B: only " in found.stderr
    assert found.exit_code == 1


class Trap(Proxy):
    """Closes the connection in which some bytes are asked for, as a server does that falls over them."""

    def __init__(self, port: int, bytes_: bytes) -> None:
        super().__init__(port)
        self._bytes = bytes_
        self.sprung = 0

    async def __aenter__(self) -> Trap:
        await super().__aenter__()
        return self

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, far_writer]

        async def watch() -> None:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(65536):
                    if self._bytes in data:
                        self.sprung += 1
                        break
                    far_writer.write(data)
            far_writer.close()
            writer.close()

        await asyncio.gather(watch(), self._pump(far_reader, writer))


async def test_a_server_that_hangs_up_at_one_node_is_asked_for_the_others(plc: SkidServer) -> None:
    identifier = (2).to_bytes(4, "little") + b"B1"
    async with Trap(plc.port, identifier) as trap:
        found = await asyncio.to_thread(browse, trap.endpoint, "--json", "--timeout-ms", "60000")
    assert trap.sprung > 0
    assert names(found) == EVERYTHING
    assert ":B1: asked for it, the connection broke" in found.stderr
    assert {entry["path"][-2:]: entry["value"] for entry in json.loads(found.stdout)}["C1"] == "1.5"
    assert found.exit_code == 1


async def test_what_was_found_is_shown_where_the_server_is_lost_for_good(
    plc: SkidServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.opcua.browse._PAUSE_S", 0.0)

    class Once(Trap):
        async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self.sprung:
                self._writers.append(writer)
                await reader.read(1)
                writer.close()
            else:
                await super()._accept(reader, writer)

    async with Once(plc.port, (2).to_bytes(4, "little") + b"B1") as trap:
        found = await asyncio.to_thread(browse, trap.endpoint, "--json", "--timeout-ms", "60000")
    assert names(found) == EVERYTHING
    assert "what was found until then is shown" in found.stderr
    assert found.exit_code == 1


class Mute(Proxy):
    """Says nothing more once a node was asked for."""

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                self.silent = self.silent or (2).to_bytes(4, "little") + b"B1" in data
                if not self.silent:
                    writer.write(data)
        writer.close()


async def test_whoever_ends_a_long_search_sees_what_was_found(plc: SkidServer) -> None:
    async with Mute(plc.port) as proxy:
        process = await asyncio.create_subprocess_exec(
            SKIDLINK, "opcua", "browse", proxy.endpoint, "--security", "none", "--timeout-ms", "60000",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        try:
            async with asyncio.timeout(200):
                assert b"nodes so far (Ctrl-C ends the search" in await process.stderr.readline()
                process.send_signal(signal.SIGINT)
                out, log = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 1
    assert b"the search was ended; what was found until then is shown" in log
    assert f"{plc.index}:C".encode() in out
