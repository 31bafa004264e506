"""The skid's OPC UA server, read, written and subscribed to by asyncua's client; and both servers together."""

# asyncua names its own types for plain ones and takes the plain ones everywhere; its fields may be None by their types.
# pyright: reportArgumentType=false, reportPrivateImportUsage=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest
from asyncua import Client, ua

from uod_examples.skid import Skid, SkidError, address_map, serve
from uod_examples.skid.nodes import NAMESPACE, NODES

logging.getLogger("asyncua").setLevel(logging.ERROR)


@contextlib.asynccontextmanager
async def connected(skid: Skid) -> AsyncGenerator[Client]:
    async with Client(skid.opcua_endpoint, timeout=60.0) as client:
        yield client


async def read(client: Client, name: str) -> ua.DataValue:
    index = await client.get_namespace_index(NAMESPACE)
    return await client.get_node(ua.NodeId(name, index)).read_data_value(raise_on_bad_status=False)


async def write(client: Client, name: str, value: object, kind: ua.VariantType) -> None:
    """Write the value alone, as PLCs want it: without timestamps."""
    index = await client.get_namespace_index(NAMESPACE)
    shown = ua.DataValue(ua.Variant(value, kind))
    await client.get_node(ua.NodeId(name, index)).write_attribute(ua.AttributeIds.Value, shown)


async def test_every_node_is_the_truth_and_writes_act() -> None:
    async with Skid(modbus=False, running=True) as skid, connected(skid) as client:
        await skid.pause()
        await skid.advance(10.0)
        truth = skid.truth()
        now = datetime.now(UTC)
        for node in NODES:
            found = await client.nodes.root.get_child([f"0:{step}" if ":" not in step else step
                                                       for step in node.path.split("/")])  # fmt: skip
            assert (found.nodeid.Identifier, found.nodeid.NamespaceIndex) == (node.name, 2)
            value = await found.read_data_value()
            assert value.Value.VariantType == ua.VariantType[node.type]
            assert value.Value.Value == truth.opcua[node.name], node.name
            assert timedelta(0) <= now - value.SourceTimestamp < timedelta(minutes=1)

        await write(client, "VA01", False, ua.VariantType.Boolean)
        await write(client, "MO01", 1, ua.VariantType.Int32)
        await write(client, "BA01", "Batch 17", ua.VariantType.String)
        await write(client, "PU01", 12.5, ua.VariantType.Double)
        assert (await read(client, "PU01")).Value.Value == 12.5
        await skid.advance(10.0)
        values = skid.truth().values
        assert (values["VA01"], values["MO01"], values["BA01"]) == (False, 1, "Batch 17")
        assert values["ST01"] == 12.5
        assert values["MS01"] == "No suction"

        for name, value, kind, refusal in (
            ("FT01", 1.0, ua.VariantType.Double, ua.uaerrors.BadNotWritable),
            ("PU01", 1.0, ua.VariantType.Float, ua.uaerrors.BadTypeMismatch),
            ("PU01", 101.0, ua.VariantType.Double, ua.uaerrors.BadOutOfRange),
            ("XX01", 1.0, ua.VariantType.Double, ua.uaerrors.BadUserAccessDenied),
        ):
            with pytest.raises(refusal):
                await write(client, name, value, kind)
        assert skid.truth().values == values


async def test_faults_show_in_reads_and_subscriptions() -> None:
    async with Skid(modbus=False, paused=True, noise=False) as skid, connected(skid) as client:
        seen: asyncio.Queue[ua.DataValue] = asyncio.Queue()

        class Handler:
            def datachange_notification(self, node: object, value: object, data: ua.DataChangeNotification) -> None:
                seen.put_nowait(data.monitored_item.Value)

        async def heard() -> ua.DataValue:
            async with asyncio.timeout(60):
                return await seen.get()

        subscription = await client.create_subscription(20, Handler())
        index = await client.get_namespace_index(NAMESPACE)
        await subscription.subscribe_data_change(client.get_node(ua.NodeId("LT01", index)))
        assert (await heard()).Value.Value == 80.0
        await skid.set(LT01=77.0)
        assert (await heard()).Value.Value == 77.0
        await skid.opcua.fail("LT01", "BadSensorFailure")
        assert (await heard()).StatusCode.name == "BadSensorFailure"
        assert (await read(client, "LT01")).StatusCode.name == "BadSensorFailure"
        await skid.opcua.fail("LT01", "UncertainLastUsableValue")
        uncertain = await read(client, "LT01")
        assert (uncertain.StatusCode.name, uncertain.Value.Value) == ("UncertainLastUsableValue", 77.0)
        assert (await read(client, "FT01")).StatusCode.is_good()
        await skid.opcua.fail("VA01", "BadNotConnected")
        with pytest.raises(ua.uaerrors.BadNotConnected):
            await write(client, "VA01", True, ua.VariantType.Boolean)
        await skid.opcua.restore()
        assert (await read(client, "LT01")).Value.Value == 77.0

        skid.opcua.freeze_values()
        before = await read(client, "CK01")
        await skid.advance(1.0)
        after = await read(client, "CK01")
        assert (after.Value.Value, after.SourceTimestamp) == (before.Value.Value, before.SourceTimestamp)
        await skid.opcua.restore()
        assert (await read(client, "CK01")).Value.Value == skid.truth().opcua["CK01"]

        for name, status in (("LT01", "BadDay"), ("XX01", "BadSensorFailure")):
            with pytest.raises(SkidError, match=f"{status if name == 'LT01' else name}"):
                await skid.opcua.fail(name, status)


async def test_each_server_stands_alone_and_both_show_one_skid() -> None:
    async with Skid(running=True, record=True) as skid:
        pids = skid.pids
        assert len(set(pids.values())) == 2
        await skid.opcua.kill()
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection(skid.modbus_host, skid.modbus_port)
            writer.write(bytes.fromhex("0001 0000 0006 01 03 0078 0001"))
            assert (await reader.readexactly(11))[7:9] == b"\x03\x02"
            await skid.modbus.drop()
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
            writer.close()
        await skid.opcua.start()
        await skid.modbus.black_hole()
        async with connected(skid) as client:
            await write(client, "VA02", False, ua.VariantType.Boolean)
        await skid.modbus.restore()
        await skid.pause()
        truth = skid.truth()
        assert truth.opcua["VA02"] is truth.modbus["VA02"] is False
        assert truth.opcua["CK01"] == truth.modbus["CK01"] == skid.history[-1].values["CK01"]
        clocks = [int(frame.values["CK01"]) for frame in skid.history]
        assert clocks == sorted(clocks)
        for bus in (skid.opcua, skid.modbus):
            last = (bus.showings or [])[-1]
            assert last.frame is skid.history[-1]
            assert last.sent <= last.held < time.monotonic()


async def test_serve_says_when_it_is_ready_and_a_taken_port_is_named() -> None:
    ready: asyncio.Future[Skid] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(ready.set_result, opcua_port=0, modbus_port=0))
    skid = await ready
    assert {row.bus for row in address_map()} == {"opcua", "modbus"}
    with pytest.raises(SkidError, match=f"Modbus TCP server.*{skid.modbus_port}"):
        async with Skid(opcua=False, modbus_port=skid.modbus_port):
            pass
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert skid.pids == {}


async def test_the_servers_end_with_a_skid_that_is_killed() -> None:
    # All three processes hold the pipe for stderr open: its end is the end of the last of them.
    program = (
        "import asyncio; from uod_examples.skid import serve\n"
        "asyncio.run(serve(lambda skid: print(len(skid.pids), flush=True), opcua_port=0, modbus_port=0))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(100):
        assert await process.stdout.readline() == b"2\n"
        process.kill()
        await process.stderr.read()
        await process.wait()
