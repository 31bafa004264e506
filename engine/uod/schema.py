"""The UOD as a JSON schema, with the keys of every installed driver, so that editors complete and check it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, create_model

from drivers.contract import DriverError, Options
from drivers.registry import driver_class, driver_paths
from engine.uod.counters import CounterTag
from engine.uod.model import Device, Name, Tag, Uod

log = logging.getLogger("skidlink.engine.uod")


def uod_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a UOD; a driver that cannot be imported is left out, with a warning."""
    devices: list[type[BaseModel]] = []
    tags: dict[type[Options], type[BaseModel]] = {}
    for name, options, point in _drivers():
        driver: Any = (Literal[name], Field(description=Device.model_fields["driver"].description))
        devices.append(_joined(f"{name} device", Device, options, driver=driver))
        device: Any = (str, Field(description=Tag.model_fields["device"].description))
        tags.setdefault(point, _joined(f"{name} tag", Tag, point, device=device))
    parts: dict[str, Any] = {
        "devices": Annotated[Union[tuple(devices)], Field(discriminator="driver")],  # noqa: UP007
        "tags": Union[*tags.values(), CounterTag],
    }
    fields: dict[str, Any] = {
        name: (
            dict.__class_getitem__((Name, part)),
            Field(default_factory=dict, description=Uod.model_fields[name].description),
        )
        for name, part in parts.items()
    }
    joined = create_model("Skidlink UOD", __base__=Uod, **fields)
    schema = joined.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def _drivers() -> Iterator[tuple[str, type[Options], type[Options]]]:
    for name in sorted(driver_paths()):
        try:
            driver = driver_class(name)
        except DriverError as error:
            log.warning("left out of the schema: %s", error)
        else:
            yield name, driver.DeviceOptions, driver.PointOptions


def _joined(title: str, common: type[BaseModel], options: type[Options], **more: Any) -> type[BaseModel]:
    """The common keys and a driver's own, as one model that takes no others."""
    own: dict[str, Any] = {
        name: (field.annotation, field)
        for name, field in options.model_fields.items()
        if name not in common.model_fields
    }
    base = create_model(title, __base__=common, **own, **more)
    base.model_config = ConfigDict(extra="forbid")
    base.model_rebuild(force=True)
    return base
