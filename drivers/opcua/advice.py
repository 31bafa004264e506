"""What to do about a status that a server gives for one node: one sentence each, for whom it concerns."""

from __future__ import annotations

from asyncua.ua.status_codes import StatusCodes

_NOT_THERE = "ask the PLC's programmer whether the variable is published over OPC UA, and under which node id"
_NO_ACCESS = "ask the PLC's programmer which user may do that, and give that user under the device"
_DEVICE = "look at the device behind the server, its cable and its power"

_ADVICE: dict[int, str] = {
    StatusCodes.BadNodeIdUnknown: _NOT_THERE,
    StatusCodes.BadNodeIdInvalid: _NOT_THERE,
    StatusCodes.BadNotReadable: "ask the PLC's programmer to let OPC UA clients read it (access level CurrentRead)",
    StatusCodes.BadNotWritable: "ask the PLC's programmer to let OPC UA clients write it (access level CurrentWrite)",
    StatusCodes.BadUserAccessDenied: _NO_ACCESS,
    StatusCodes.BadIdentityTokenRejected: _NO_ACCESS,
    StatusCodes.BadSecurityModeInsufficient: "delete security: none under the device, or ask the PLC's programmer to "
    "let sessions without security use the variable",
    StatusCodes.BadAttributeIdInvalid: "the node has no value: name a variable below it",
    StatusCodes.BadTypeMismatch: "ask the PLC's programmer for the data type, and whether it is an array",
    StatusCodes.BadOutOfRange: "ask the PLC's programmer which values it takes, and give them as min and max",
    StatusCodes.BadWriteNotSupported: "ask the PLC's programmer whether it can be written without status and time",
    StatusCodes.BadWaitingForInitialData: "wait; if it lasts, ask the PLC's programmer what writes the variable",
    StatusCodes.BadNotConnected: "ask the PLC's programmer to connect the variable to a device or a program",
    StatusCodes.BadConfigurationError: "ask the PLC's programmer to correct the configuration of the variable",
    StatusCodes.BadOutOfService: "ask the PLC's programmer why the variable is out of service",
    StatusCodes.BadNoCommunication: _DEVICE,
    StatusCodes.BadDeviceFailure: _DEVICE,
    StatusCodes.BadSensorFailure: "look at the sensor and its wiring",
    StatusCodes.BadIndexRangeNoData: "the array has no such element: lower index",
    StatusCodes.BadIndexRangeInvalid: "the array has no such element: lower index",
}


def with_advice(said: str, code: int) -> str:
    """What a server has said by a status code, and what to do about it where that is known."""
    advice = _ADVICE.get(code & 0xFFFF_0000)
    return f"{said}: {advice}" if advice else said
