"""Which nodes the server lets nobody write, or not this user, as far as it tells without being written to.

Access levels: OPC 10000-3 8.57.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds

from drivers.opcua.decoding import whole_number
from drivers.opcua.link import Link
from drivers.opcua.node_ids import value_of

_CURRENT_WRITE = 0x02
READ_ONLY = (
    "the server lets nobody write the node {}: ask the PLC's programmer to let OPC UA clients write it (access level "
    "CurrentWrite)"
)
NOT_THIS_USER = (
    "the server does not let this user write the node {}: ask the PLC's programmer which user may, and give that user "
    "under the device"
)


async def unwritable(link: Link, nodes: Mapping[int, ua.NodeId]) -> dict[int, str]:
    """Why nodes cannot be written; a server that does not tell is believed to let them. Raises `LinkError`."""
    wanted = (AttributeIds.AccessLevel, AttributeIds.UserAccessLevel)
    answers = await link.read([value_of(node, attribute) for attribute in wanted for node in nodes.values()])
    anybody, user = answers[: len(nodes)], answers[len(nodes) :]
    found: dict[int, str] = {}
    for (number, node), everyone, ours in zip(nodes.items(), anybody, user, strict=True):
        if not _lets_write(everyone):
            found[number] = READ_ONLY.format(node.to_string())
        elif not _lets_write(ours):
            found[number] = NOT_THIS_USER.format(node.to_string())
    return found


def _lets_write(answer: Any) -> bool:
    level = whole_number(answer)
    if level is None or not (answer.StatusCode is None or answer.StatusCode.is_good()):
        return True
    return bool(level & _CURRENT_WRITE)
