"""One engine controls a device."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engine.skid_lock import SkidLock, SkidLockedError, lock_folder, lock_names
from engine.uod.skid import Skid
from tests.unit.unmanned_links import skid_of

OUTPUT = {"direction": "output", "safe_value": 0}


def skid(name: str = "Skid", *, host: str = "192.0.2.20", device_id: int = 1, **more: Any) -> Skid:
    """A skid with one pump, a transmitter that is only read, and a simulated device."""
    return skid_of({
        "uod": name,
        "devices": {
            "pump": {"driver": "modbus-tcp", "host": host, "device_id": device_id},
            "transmitter": {"driver": "modbus-tcp", "host": "192.0.2.99"},
            "box": {"driver": "simulated"},
        } | more,
        "tags": {
            "PU01": {"device": "pump", "holding": 1, "type": "uint16"} | OUTPUT,
            "PU02": {"device": "box"} | OUTPUT,
            "LT01": {"device": "transmitter", "input": 1, "type": "uint16"},
        },
    })  # fmt: skip


def test_what_is_written_is_locked_and_nothing_else() -> None:
    assert lock_names(skid()) == ["192.0.2.20:502 device id 1"]


def test_a_heartbeat_is_an_output_too() -> None:
    made = skid_of({
        "uod": "One",
        "devices": {"plc": {"driver": "modbus-tcp", "host": "192.0.2.20"}},
        "tags": {"WD01": {"device": "plc", "coil": 1, "direction": "output", "heartbeat": "toggle"}},
    })  # fmt: skip
    assert lock_names(made) == ["192.0.2.20:502 device id 1"]


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({"driver": "modbus-tcp", "host": "LocalHost", "port": 5020, "device_id": 3}, "127.0.0.1:5020 device id 3"),
        ({"driver": "opcua", "endpoint": "opc.tcp://PLC:4840/"}, "opc.tcp://plc:4840"),
    ],
)
def test_a_target_has_one_name_however_it_is_spelled(keys: dict[str, Any], name: str) -> None:
    place = {"node": "ns=2;s=X"} if keys["driver"] == "opcua" else {"holding": 1, "type": "uint16"}
    made = skid_of({"uod": "One", "devices": {"it": keys}, "tags": {"PU01": {"device": "it"} | place | OUTPUT}})
    assert lock_names(made) == [name]


def test_two_ways_to_a_serial_port_are_one(tmp_path: Path) -> None:
    port, link = tmp_path / "ttyUSB0", tmp_path / "by-id"
    port.touch()
    link.symlink_to(port)
    names = [
        lock_names(
            skid_of({
                "uod": "Serial",
                "devices": {"it": {"driver": "modbus-rtu", "port": str(path), "device_id": 1}},
                "tags": {"PU01": {"device": "it", "holding": 1, "type": "uint16"} | OUTPUT},
            })
        )
        for path in (port, link)
    ]  # fmt: skip
    assert names[0] == names[1]
    assert names[0][0].startswith(str(port))


def test_a_second_engine_is_told_who_controls_the_device_and_what_to_do(tmp_path: Path) -> None:
    first, second = SkidLock(skid("First"), tmp_path), SkidLock(skid("Second"), tmp_path)
    first.take()
    with pytest.raises(SkidLockedError) as refused:
        second.take()
    assert str(refused.value) == (
        f"192.0.2.20:502 device id 1 is controlled by another engine on this computer (process {os.getpid()}, First): "
        "two would write against each other; end that one, or start this one with --watch-only"
    )
    first.release()
    second.take()
    with pytest.raises(SkidLockedError, match="Second"):
        first.take()
    second.release()


def test_other_devices_behind_the_same_gateway_are_free(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        SkidLock(skid(device_id=number), tmp_path).take()


def test_all_devices_are_taken_or_none(tmp_path: Path) -> None:
    both = skid_of({
        "uod": "Both",
        "devices": {each: {"driver": "modbus-tcp", "host": each} for each in ("192.0.2.1", "192.0.2.2")},
        "tags": {
            f"PU{each[-1]}": {"device": each, "holding": 1, "type": "uint16"} | OUTPUT
            for each in ("192.0.2.1", "192.0.2.2")
        },
    })  # fmt: skip
    holder = SkidLock(skid(host="192.0.2.2"), tmp_path)
    holder.take()
    with pytest.raises(SkidLockedError):
        SkidLock(both, tmp_path).take()
    free = SkidLock(skid(host="192.0.2.1"), tmp_path)
    free.take()
    free.release()


def test_without_a_folder_an_engine_runs_and_says_what_it_does_not_know(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    SkidLock(skid(), tmp_path / "nowhere").take()
    assert "it cannot be seen whether another engine controls 192.0.2.20:502 device id 1" in caplog.text


def test_the_folder_is_the_same_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    before = lock_folder()
    for name in ("TMPDIR", "XDG_RUNTIME_DIR", "HOME"):
        monkeypatch.setenv(name, "/nowhere")
    assert lock_folder() == before
