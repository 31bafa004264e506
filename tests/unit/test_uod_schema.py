"""The JSON schema knows the keys of the drivers, and says what each key means."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.registry import driver_class, driver_paths
from engine.uod.counters import CounterTag
from engine.uod.model import Tag
from engine.uod.schema import uod_schema


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return uod_schema()


def part(schema: dict[str, Any], reference: dict[str, str]) -> dict[str, Any]:
    return schema["$defs"][reference["$ref"].removeprefix("#/$defs/")]


def test_the_driver_tells_the_devices_apart(schema: dict[str, Any]) -> None:
    devices = [part(schema, each) for each in schema["properties"]["devices"]["additionalProperties"]["oneOf"]]

    assert {device["properties"]["driver"]["const"] for device in devices} == set(driver_paths())
    for device in devices:
        options = driver_class(device["properties"]["driver"]["const"]).DeviceOptions
        assert device["properties"].keys() >= {"driver", "every_ms", *options.model_fields}
        assert device["additionalProperties"] is False


def test_a_tag_takes_the_common_keys_and_those_of_one_driver(schema: dict[str, Any]) -> None:
    *tags, counter = [part(schema, each) for each in schema["properties"]["tags"]["additionalProperties"]["anyOf"]]

    points = dict.fromkeys(driver_class(name).PointOptions for name in sorted(driver_paths()))
    assert [tag["properties"].keys() for tag in tags] == [
        {**Tag.model_fields, **point.model_fields}.keys() for point in points
    ]
    assert counter["properties"].keys() == CounterTag.model_fields.keys()
    assert all(tag["additionalProperties"] is False for tag in (*tags, counter))


def test_every_common_key_is_described(schema: dict[str, Any]) -> None:
    for name, definition in schema["$defs"].items():
        common = Tag.model_fields if name.endswith("tag") else definition.get("properties", {})
        if name.endswith("device"):
            common = {"driver", "every_ms", "stale_after_ms", "description"}
        silent = [key for key in common if "description" not in definition["properties"][key]]
        assert silent in ([], ["name", "email"]), name
