"""A UOD in Python, for what is easier computed than written out, and for commands that are more than steps.

A file like this has a function `create()`; the keys are those of the YAML spelling. `skidlink skid` starts a simulated
skid to run it against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.uod.function import CommandContext, CommandFunction

if TYPE_CHECKING:
    from engine.uod.function import Value
    from engine.uod.model import Tag, Uod

WORD_ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
"""The transmitter shows its conductivity four times, so that a user can find out what their PLC expects."""

TOTALISER_WRAPS_L = 2**32 / 1000
"""The totaliser counts millilitres in 32 bits."""


class Dose(CommandFunction):
    """Pumps a volume through the filter, counted by the totaliser: `Dose: 2 L`."""

    def start(self, context: CommandContext, argument: Value | None) -> None:
        total = context.read("FQ01").value
        if total is None:
            raise RuntimeError("the totaliser FQ01 cannot be read, so nobody could tell when it is enough")
        self.volume = float(argument or 0)
        self.before = float(total)
        context.set("VA01", "Open")
        context.set("VA02", "Open")
        context.set("PU01", 60)

    def progress(self, context: CommandContext) -> float | None:
        total = context.read("FQ01").value
        if total is None:
            return None  # a reading that is missing for a moment does no harm
        passed = (float(total) - self.before) % TOTALISER_WRAPS_L
        if context.elapsed_s > 30 and passed == 0:
            raise RuntimeError("nothing has flowed for 30 s; look at the pump and the valves")
        return passed / self.volume

    def cancel(self, context: CommandContext) -> None:
        context.warn(f"left off before {self.volume:g} L had passed")

    def finish(self, context: CommandContext) -> None:
        context.set("PU01", 0)
        context.set("VA02", "Closed")
        context.set("VA01", "Closed")


def create() -> Uod:
    """Make the UOD of the pump box and of the transmitter for temperature and conductivity."""
    from engine.uod.model import Author, Command, Derived, Device, ProcessValue, Tag, Uod

    valve = {"direction": "both", "choices": {"Closed": 0, "Open": 1}, "safe_value": "Closed"}
    tags: dict[str, Tag] = {
        "FQ01": Tag(device="pump", holding=110, type="uint32", raw_unit="mL", unit="L"),
        "PU01": Tag(
            device="pump",
            holding=0,
            type="uint16",
            scale=0.1,
            unit="%",
            direction="both",
            min=0,
            max=100,
            safe_value=0,
        ),
        "VA01": Tag(device="pump", coil=0, **valve),
        "VA02": Tag(device="pump", coil=1, **valve),
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
        uod="Pump box and transmitter",
        author=Author(name="Process Lab", email="lab@example.org"),
        location="Lab 3",
        tick_ms=500,
        devices={
            "pump": Device(driver="modbus-tcp", host="127.0.0.1", port=5020, device_id=1, word_order="CDAB", max_gap=0),
            "transmitter": Device(driver="modbus-tcp", host="127.0.0.1", port=5020, device_id=2, stale_after_ms=5000),
        },
        tags=tags,
        derived={
            # Conductivity as it would be at 25 degC: two per cent for each degree.
            "CT01 at 25": Derived(expr="`CT01 ABCD` / (1 + 0.02 * (TT01 - 25))"),
        },
        commands={
            "Dose": Command(
                runs=Dose,
                argument="number",
                units=["L", "mL"],
                min=0.05,
                max=20,
                excludes=["PU01", "VA01", "VA02"],
                description="Pump a volume through the filter",
            ),
        },
        process_values=[
            *(name for name in tags if name not in {"PU01", "VA01", "VA02"}),
            "CT01 at 25",
            ProcessValue(entry="PU01"),
            ProcessValue(choice="VA01"),
            ProcessValue(choice="VA02"),
        ],
    )
