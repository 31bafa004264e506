"""A simulated filtration skid on real OPC UA and Modbus TCP servers: the demo, and test equipment with faults."""

from uod_examples.skid.bus import Bus, Frame, ModbusBus, OpcUaBus, Showing, SkidError
from uod_examples.skid.model import SkidModel
from uod_examples.skid.proxy import FaultProxy
from uod_examples.skid.skid import MapRow, Skid, Truth, address_map, serve

__all__ = [
    "Bus",
    "FaultProxy",
    "Frame",
    "MapRow",
    "ModbusBus",
    "OpcUaBus",
    "Showing",
    "Skid",
    "SkidError",
    "SkidModel",
    "Truth",
    "address_map",
    "serve",
]
