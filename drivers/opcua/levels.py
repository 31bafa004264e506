"""The security that each server had: it is never talked to with less, as somebody in between could hide the better.

A file an endpoint beside its pinned certificate, as `known_hosts` of SSH is for keys. A level belongs to a certificate:
who trusts a new certificate begins anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.contract import LinkError
from drivers.opcua.certificates import Pins, write_whole

_log = logging.getLogger("skidlink.drivers.opcua")


@dataclass(frozen=True, slots=True)
class Level:
    """How a session was secured."""

    policy: str
    """The URI of its policy."""
    mode: str
    """Sign or SignAndEncrypt"""


class Levels:
    """The best level that was seen of each endpoint."""

    def __init__(self, pins: Pins) -> None:
        self._pins = pins

    def path(self, endpoint: str) -> Path:
        """The file of one endpoint."""
        return self._pins.path(endpoint).with_suffix(".json")

    def known(self, endpoint: str) -> Level | None:
        """The best that this endpoint had with its pinned certificate; None where nothing is known.

        Raises `LinkError` where the files cannot be read.
        """
        certificate, path = self._pins.known(endpoint), self.path(endpoint)
        if certificate is None:
            return None
        try:
            kept: Any = json.loads(path.read_bytes())
            if kept["certificate"] != _digest(certificate):
                return None
            return Level(str(kept["policy"]), str(kept["mode"]))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LinkError(f"{endpoint}: the file {path} cannot be read ({error}): correct its rights") from error
        except (ValueError, KeyError, TypeError):
            _log.warning("%s: the file %s is damaged; it is written anew", endpoint, path)
            return None

    def keep(self, endpoint: str, level: Level, certificate: bytes) -> None:
        """Remember a level. Raises `LinkError`."""
        path = self.path(endpoint)
        content = {"certificate": _digest(certificate), "policy": level.policy, "mode": level.mode}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(content).encode())
        except OSError as error:
            raise LinkError(f"{endpoint}: the server's security cannot be kept in {path} ({error})") from error


def _digest(certificate: bytes) -> str:
    return hashlib.sha256(certificate).hexdigest()
