"""The fast path against asyncua's decoder: the same image from the same bytes, whatever they are."""

from __future__ import annotations

import datetime
import struct
from typing import Any

import asyncua.ua
import numpy as np
import pytest
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.contract import Image, Kind, Quality
from drivers.opcua.codec import INTEGERS, KINDS, Cell, OnUncertain, Timestamp, decode
from drivers.opcua.decoding import values_of
from drivers.opcua.fastpath import Reader
from drivers.opcua.kept_read import KeptRead
from drivers.opcua.records import results_begin, scan
from drivers.reasons import reason_text

ua: Any = asyncua.ua
V = ua.VariantType

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""What is tested is what comes out, not how soon: a loaded machine must not fail it."""

TEXTS = st.one_of(st.none(), st.text(max_size=12))
YEAR_1601 = datetime.datetime(1601, 1, 1, tzinfo=datetime.UTC)
MOMENTS = st.integers(0, 265_046_774_399 * 10**6).map(lambda found: YEAR_1601 + datetime.timedelta(microseconds=found))
TIMES = st.one_of(st.none(), MOMENTS)


def node_ids(form: Any, identifiers: st.SearchStrategy[Any], namespaces: int) -> st.SearchStrategy[Any]:
    return st.tuples(identifiers, st.integers(0, namespaces)).map(lambda found: ua.NodeId(*found, form))


NODE_IDS = st.one_of(
    node_ids(ua.NodeIdType.TwoByte, st.integers(0, 255), 0),
    node_ids(ua.NodeIdType.FourByte, st.integers(0, 65535), 255),
    node_ids(ua.NodeIdType.Numeric, st.integers(0, 2**32 - 1), 65535),
    node_ids(ua.NodeIdType.String, st.text(max_size=9), 65535),
    node_ids(ua.NodeIdType.Guid, st.uuids(), 65535),
    node_ids(ua.NodeIdType.ByteString, st.binary(max_size=9), 65535),
)
STATUSES = st.sampled_from(
    [
        0,
        0,
        0,
        0x00300000,
        0x00000400,
        0x40900000,
        0x408F0480,
        0x40930000,
        0x80310000,
        0x80340000,
        0x808B0000,
        0xC0000000,
    ]
)
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    **{t: st.integers(int(limits.min), int(limits.max)) for t, limits in INTEGERS.items()},
    V.Boolean: st.booleans(),
    V.Float: st.floats(width=32, allow_nan=False),
    V.Double: st.floats(allow_nan=False),
    V.String: TEXTS,
    V.DateTime: MOMENTS,
    V.Guid: st.uuids(),
    V.ByteString: st.one_of(st.none(), st.binary(max_size=12)),
    V.NodeId: NODE_IDS,
    V.ExpandedNodeId: st.one_of(
        NODE_IDS, st.integers(0, 99).map(lambda found: ua.ExpandedNodeId(found, 3, ua.NodeIdType.Numeric, "urn:x", 7))
    ),
    V.StatusCode: STATUSES.map(lambda code: ua.StatusCode(ua.UInt32(code))),
    # OPC 10000-6 5.2.2.13 has a UInt16; asyncua packs a signed one, so that it refuses to encode the upper half
    V.QualifiedName: st.builds(ua.QualifiedName, st.text(max_size=9), st.integers(0, 32767)),
    V.LocalizedText: st.builds(ua.LocalizedText, TEXTS, TEXTS),
    V.ExtensionObject: st.one_of(
        st.just(ua.ExtensionObject(ua.NodeId(9, 1), b"\x01\x02")), st.just(ua.Range(Low=1.0, High=2.0))
    ),
    V.DataValue: st.floats(allow_nan=False).map(lambda found: ua.DataValue(ua.Variant(found, V.Double))),
    V.DiagnosticInfo: st.integers(0, 9).map(lambda found: ua.DiagnosticInfo(SymbolicId=found, AdditionalInfo="why")),
}


@st.composite
def variants(draw: st.DrawFn) -> Any:
    variant_type = draw(st.sampled_from([*SCALARS, V.Null, V.Double, V.Double, V.Variant]))
    if variant_type is V.Null:
        return ua.Variant()
    if variant_type is V.Variant:
        inner = st.integers(-9, 9).map(lambda found: ua.Variant(found, V.Int32))
        return ua.Variant(draw(st.lists(inner, max_size=3)), V.Variant, is_array=True)
    scalars = SCALARS[variant_type]
    match draw(st.sampled_from(["scalar", "scalar", "array", "matrix", "null array"])):
        case "array":
            return ua.Variant(draw(st.lists(scalars, max_size=4)), variant_type, is_array=True)
        case "null array":
            return ua.Variant(None, variant_type, is_array=True)
        case "matrix":
            rows = draw(st.lists(st.lists(scalars, min_size=2, max_size=2), min_size=2, max_size=3))
            return ua.Variant(rows, variant_type)
        case _:
            return ua.Variant(draw(scalars), variant_type)


@st.composite
def data_values(draw: st.DrawFn) -> Any:
    value = ua.DataValue(draw(st.one_of(st.just(ua.Variant(1.5, V.Double)), variants())))
    if draw(st.integers(0, 9)) == 0:
        object.__setattr__(value, "Value", None)
    status = draw(STATUSES)
    value.StatusCode = ua.StatusCode(ua.UInt32(status)) if status or draw(st.booleans()) else None
    value.SourceTimestamp = draw(TIMES)
    # asyncua takes source picoseconds and server timestamp in the wrong order where both are there
    if draw(st.booleans()):
        value.ServerTimestamp = draw(TIMES)
        value.ServerPicoseconds = draw(st.one_of(st.none(), st.integers(0, 9999)))
    elif value.SourceTimestamp is not None:
        value.SourcePicoseconds = draw(st.one_of(st.none(), st.integers(0, 9999)))
    return value


def response(values: list[Any]) -> bytes:
    answer = ua.ReadResponse()
    answer.Results = values
    return ua_binary.struct_to_binary(answer)


def columns(image: Image) -> list[Any]:
    return [
        [column.tolist() for column in image.columns.values()],
        image.quality.tolist(),
        [reason_text(code) for code in image.reason.tolist()],
    ]


def by_asyncua(body: bytes, cells: list[Cell], image: Image, timestamp: Timestamp) -> list[Cell]:
    buffer = Buffer(body)
    ua_binary.nodeid_from_binary(buffer)
    ua_binary.struct_from_binary(ua.ResponseHeader, buffer)
    count = struct.unpack("<i", buffer.read(4))[0]
    return decode([ua_binary.struct_from_binary(ua.DataValue, buffer) for _ in range(count)], cells, image, timestamp)


@st.composite
def requests(draw: st.DrawFn) -> tuple[list[Cell], list[Kind], int]:
    count = draw(st.integers(1, 5))
    kinds = draw(st.lists(st.sampled_from(list(Kind)), min_size=count, max_size=count + 3))
    image = Image(kinds)
    texts = st.sampled_from([None, {0: "Closed", 1: "Open"}])
    indices = st.sampled_from([None, None, 0, 1, 3])
    wishes: list[OnUncertain | None] = [None, "publish", "stale"]
    uncertain = st.sampled_from(wishes)
    cells = [
        Cell(
            row % count,
            row,
            kind,
            int(image.cells[row]),
            draw(indices),
            draw(texts) if kind is Kind.TEXT else None,
            draw(uncertain),
        )
        for row, kind in enumerate(kinds)
    ]
    return cells, kinds, count


@patient
@given(requests(), st.data(), st.sampled_from(["source", "server", "tick"]))
def test_the_image_is_that_of_asyncua(request: Any, data: st.DataObject, timestamp: Timestamp) -> None:
    cells, kinds, count = request
    ours, theirs = Image(kinds), Image(kinds)
    reader = Reader(count, cells, timestamp)
    values: list[Any] = []
    for _ in range(3):
        if not values or data.draw(st.booleans()):
            values = data.draw(st.lists(data_values(), min_size=count, max_size=count))
        elif isinstance(values[0].Value, ua.Variant) and values[0].Value.VariantType is V.Double:
            values[0] = ua.DataValue(ua.Variant(data.draw(SCALARS[V.Double]), V.Double))
        body = response(values)
        changed = reader.layout_of(body).fill(body, ours)
        assert sorted(cell.row for cell in changed) == [cell.row for cell in by_asyncua(body, cells, theirs, timestamp)]
        assert columns(ours) == columns(theirs)
        np.testing.assert_allclose(ours.source_time, theirs.source_time, rtol=1e-15, atol=0)


@patient
@given(st.sampled_from([*INTEGERS, V.Boolean, V.Float, V.Double]), st.data())
def test_a_layout_that_fits_is_kept_and_gives_the_new_values(variant_type: Any, data: st.DataObject) -> None:
    kind = KINDS[variant_type]
    cells = [Cell(0, 0, kind, 0, None), Cell(1, 1, kind, 1, 1)]
    reader, image = Reader(2, cells, "source"), Image([kind, kind])
    layouts: set[int] = set()
    for _ in range(3):
        one, two, three = (data.draw(SCALARS[variant_type]) for _ in range(3))
        at = data.draw(MOMENTS)
        values = [
            ua.DataValue(ua.Variant(one, variant_type), SourceTimestamp=at),
            ua.DataValue(ua.Variant([two, three], variant_type)),
        ]
        body = response(values)
        layout = reader.layout_of(body)
        layouts.add(id(layout))
        layout.fill(body, image)
        expected = Image([kind, kind])
        by_asyncua(body, cells, expected, "source")
        assert columns(image) == columns(expected)
    assert len(layouts) == 1


@patient
@given(st.binary(max_size=200))
def test_no_bytes_make_it_do_more_than_refuse(junk: bytes) -> None:
    body = response([])[:-8] + junk
    try:
        scan(body, results_begin(body))
    except ua.UaError:
        return


@patient
@given(st.lists(data_values(), min_size=1, max_size=4), st.data())
def test_an_answer_that_is_cut_off_is_refused(values: list[Any], data: st.DataObject) -> None:
    body = response(values)[:-4]
    cut = body[: data.draw(st.integers(results_begin(body), len(body) - 1))]
    with pytest.raises(ua.UaError):
        Reader(len(values), [Cell(0, 0, Kind.FLOAT, 0, None)], "source").layout_of(cut)


def test_a_structure_that_cannot_be_decoded_costs_nobody_else() -> None:
    broken = ua.ExtensionObject(ua.NodeId(ua.ObjectIds.ServerStatusDataType_Encoding_DefaultBinary), b"\x01")
    body = response([ua.DataValue(ua.Variant(broken, V.ExtensionObject)), ua.DataValue(ua.Variant(7.5, V.Double))])
    cells = [Cell(0, 0, Kind.FLOAT, 0, None), Cell(1, 1, Kind.FLOAT, 1, None)]
    ours, theirs = Image([Kind.FLOAT] * 2), Image([Kind.FLOAT] * 2)
    Reader(2, cells, "source").layout_of(body).fill(body, ours)
    decode(values_of(body), cells, theirs, "source")
    assert columns(ours) == columns(theirs)
    assert ours.value(1) == 7.5
    assert reason_text(int(ours.reason[0])).startswith("the node is a structure")


def test_times_are_in_the_order_of_the_specification() -> None:
    """OPC 10000-6 5.2.2.17: source time, source picoseconds, server time, server picoseconds."""
    epoch, second = 116_444_736_000_000_000, 10_000_000
    value = b"\x3d\x0b" + struct.pack("<dqHqH", 1.0, epoch + 5 * second, 1, epoch + 7 * second, 2)
    body = response([])[:-8] + struct.pack("<i", 1) + value + struct.pack("<i", 0)
    cases: list[tuple[Timestamp, float]] = [("source", 5.0), ("server", 7.0)]
    for timestamp, expected in cases:
        image = Image([Kind.FLOAT])
        Reader(1, [Cell(0, 0, Kind.FLOAT, 0, None)], timestamp).layout_of(body).fill(body, image)
        assert image.source_time[0] == expected


def test_an_error_of_the_server_is_raised_with_its_status() -> None:
    fault = ua.ServiceFault()
    fault.ResponseHeader.ServiceResult = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadTooManyOperations))
    with pytest.raises(ua.UaStatusCodeError, match="BadTooManyOperations"):
        results_begin(ua_binary.struct_to_binary(fault))
    with pytest.raises(ua.UaError, match="2 operations, but 0 answers"):
        Reader(2, [], "tick").layout_of(response([]))


def test_a_kept_request_is_what_asyncua_would_send() -> None:
    nodes = [ua.ReadValueId(ua.NodeId(f"FT{n}", 2), ua.IntegerId(13)) for n in range(3)]
    token = ua.NodeId(b"\x01" * 32, 1, ua.NodeIdType.ByteString)
    sent = KeptRead(nodes, ua.TimestampsToReturn.Server, 2.0).body(ua_binary.nodeid_to_binary(token), 77)
    buffer = Buffer(sent)
    found = ua_binary.struct_from_binary(ua.ReadRequest, buffer)
    assert len(buffer) == 0
    assert found.RequestHeader.AuthenticationToken == token
    assert found.RequestHeader.RequestHandle == 77
    assert found.RequestHeader.TimeoutHint == 2000
    assert abs((found.RequestHeader.Timestamp - datetime.datetime.now(datetime.UTC)).total_seconds()) < 60
    assert found.Parameters.NodesToRead == nodes
    assert found.Parameters.TimestampsToReturn == ua.TimestampsToReturn.Server


def test_bad_values_are_bad_and_keep_their_last_number() -> None:
    image = Image([Kind.FLOAT])
    reader = Reader(1, [Cell(0, 0, Kind.FLOAT, 0, None)], "tick")
    for status in (0, 0x80310000):
        body = response([ua.DataValue(ua.Variant(float(status), V.Double), ua.StatusCode(ua.UInt32(status)))])
        reader.layout_of(body).fill(body, image)
    assert image.value(0) == 0.0
    assert image.quality[0] == Quality.BAD
    assert "BadNoCommunication" in reason_text(int(image.reason[0]))
