"""A UOD in Python, for what is easier computed than written out: here the same reading on several devices.

A file like this has a function `create()`; the keys are those of the YAML spelling. `skidlink skid` starts a simulated
skid to run it against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.uod.model import Tag, Uod

WORD_ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
"""The transmitter shows its conductivity four times, so that a user can find out what their PLC expects."""


def create() -> Uod:
    """Make the UOD of the transmitter for temperature and conductivity."""
    from engine.uod.model import Author, Derived, Device, Tag, Uod

    tags: dict[str, Tag] = {
        "TT01": Tag(device="transmitter", input=0, type="int16", scale=0.01, unit="degC", not_available=[-32768]),
        **{
            f"CT01 {order}": Tag(
                device="transmitter",
                holding=100 + 2 * place,
                type="float32",
                word_order=order,
                unit="mS/cm",
                deadband=0.01,
            )
            for place, order in enumerate(WORD_ORDERS)
        },
    }
    return Uod(
        uod="Transmitter",
        author=Author(name="Process Lab", email="lab@example.org"),
        location="Lab 3",
        tick_ms=500,
        devices={
            "transmitter": Device(driver="modbus-tcp", host="127.0.0.1", port=5020, device_id=2, stale_after_ms=5000),
        },
        tags=tags,
        derived={
            # Conductivity as it would be at 25 degC: two per cent for each degree.
            "CT01 at 25": Derived(expr="`CT01 ABCD` / (1 + 0.02 * (TT01 - 25))"),
        },
        process_values=["TT01", *(name for name in tags if name != "TT01"), "CT01 at 25"],
    )
