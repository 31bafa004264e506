"""The server's own texts for numbers: enumerations, and variables with two or more named states.

Where they are: properties of the data type (OPC 10000-3 5.8.3) or of the variable itself (OPC 10000-8 5.3.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from drivers.opcua.codec import Type, as_text
from drivers.opcua.decoding import list_of
from drivers.opcua.link import Link
from drivers.opcua.node_ids import standard_node, value_of
from drivers.opcua.nodes import data_type_of

Texts = Mapping[int, str]
"""number -> text"""

_ENUM_VALUE: Any = ua.EnumValueType
_HAS_PROPERTY = standard_node(ObjectIds.HasProperty)
_PROPERTIES = ("EnumStrings", "EnumValues", "FalseState", "TrueState")


async def texts_of(link: Link, variables: Sequence[ua.NodeId]) -> list[Texts]:
    """The texts of each variable's values; empty where the server has none. Raises `LinkError`."""
    if not variables:
        return []
    answers = await link.read([value_of(node, AttributeIds.DataType) for node in variables])
    types = [data_type_of(answer) or node for answer, node in zip(answers, variables, strict=True)]
    holders = [*variables, *types]
    places = [(place, name) for place in range(len(holders)) for name in _PROPERTIES]
    found = await link.translate([_property(holders[place], name) for place, name in places])
    there = [(*place, node) for place, node in zip(places, found, strict=True) if node is not None]
    values = await link.read([value_of(node) for _, _, node in there])
    known: list[dict[str, Any]] = [{} for _ in holders]
    for (place, name, _), answer in zip(there, values, strict=True):
        known[place][name] = None if answer.Value is None else answer.Value.Value
    count = len(variables)
    return [_texts(known[place]) or _texts(known[place + count]) for place in range(count)]


def _property(holder: ua.NodeId, name: str) -> ua.BrowsePath:
    element: Any = ua.RelativePathElement(_HAS_PROPERTY, TargetName=ua.QualifiedName(name))
    element.IsInverse = False
    return ua.BrowsePath(holder, ua.RelativePath([element]))


def _texts(properties: Mapping[str, Any]) -> Texts:
    """The texts as the properties of one node tell them; what is not as the specification has it is left out."""
    named = [each for each in list_of(properties.get("EnumValues")) if isinstance(each, _ENUM_VALUE)]
    listed = [each for each in list_of(properties.get("EnumStrings")) if isinstance(each, ua.LocalizedText)]
    if named:
        return {int(each.Value): as_text(each.DisplayName, Type.LocalizedText) for each in named}
    states = listed or [properties.get("FalseState"), properties.get("TrueState")]
    return {
        number: as_text(text, Type.LocalizedText)
        for number, text in enumerate(states)
        if isinstance(text, ua.LocalizedText)
    }
