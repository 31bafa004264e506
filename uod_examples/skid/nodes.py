"""The OPC UA address space of the skid. Pure.

Each node is reached by its browse path, `Objects/2:Skid/2:FT01`, and by its id, `nsu=urn:skidlink:skid;s=FT01`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from uod_examples.skid.model import Status, Value

NAMESPACE = "urn:skidlink:skid"
FOLDER = "Skid"


@dataclass(frozen=True, slots=True)
class SkidNode:
    """One variable. Its name is that of the quantity, but for the alarm, which is a bit of the status word."""

    name: str
    type: str
    """as in OPC 10000-6, 5.1.2: Boolean, Int32, Double, ..."""
    unit: str = ""
    writable: bool = False

    @property
    def path(self) -> str:
        """Its browse path; the server's own namespace is the third, number 2."""
        return f"Objects/2:{FOLDER}/2:{self.name}"

    @property
    def node_id(self) -> str:
        """Its node id, with the namespace spelled out."""
        return f"nsu={NAMESPACE};s={self.name}"

    def raw(self, values: Mapping[str, Value]) -> Value:
        """What a client reads: as the model has it, a Float rounded to float32."""
        if self.name == "ALARM":
            return bool(int(values["SW01"]) & Status.ALARM)
        value = values[self.name]
        return float(struct.unpack("<f", struct.pack("<f", value))[0]) if self.type == "Float" else value


NODES = (
    SkidNode("LT01", "Double", "%"),
    SkidNode("FT01", "Double", "L/h"),
    SkidNode("PT01", "Float", "bar"),
    SkidNode("TT01", "Float", "degC"),
    SkidNode("ST01", "Float", "%"),
    SkidNode("FQ01", "UInt32", "mL"),
    SkidNode("PC01", "UInt64"),
    SkidNode("CK01", "Int64"),
    SkidNode("SW01", "UInt16"),
    SkidNode("ALARM", "Boolean"),
    SkidNode("MS01", "String"),
    SkidNode("PU01", "Double", "%", writable=True),
    SkidNode("VA01", "Boolean", writable=True),
    SkidNode("VA02", "Boolean", writable=True),
    SkidNode("VA03", "Boolean", writable=True),
    SkidNode("MO01", "Int32", writable=True),
    SkidNode("BA01", "String", writable=True),
    SkidNode("WD01", "UInt16", writable=True),
)
