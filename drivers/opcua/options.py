"""What an author writes about an OPC UA server and about the nodes on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, field_validator, model_validator

from drivers.contract import Options
from drivers.opcua.address import parse_address
from drivers.opcua.codec import OnUncertain
from drivers.opcua.reach import DEFAULT_PORT
from drivers.opcua.security import Access, ModeName, SecurityName

_CREDENTIALS = re.compile(r"^([^/]*//)[^/]*@")

Mode = Literal["poll", "subscribe"]
StaleBy = Literal["source", "received"]

TypeName = Literal[
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "string"
]


class DeviceOptions(Options):
    """One OPC UA server."""

    model_config = ConfigDict(hide_input_in_errors=True)  # an endpoint with a password in it is not repeated

    endpoint: str
    """As opc.tcp://192.0.2.10:4840, with the path that the server asks for."""
    keep_host: bool = False
    """true: sessions go to the host and port of endpoint, whatever the server calls itself; for servers behind a
    router or firewall that translates addresses (NAT), and for host names in the server that are wrong."""
    mode: Mode = "poll"
    """poll: read at the cadence of each tag, in batched requests; subscribe: the server says what has changed."""
    timeout_ms: int = Field(default=2000, ge=50, le=60_000)
    """How long the server may take to answer, and to accept a connection; unless it is given, no longer than a value
    that is asked for is not stale yet."""
    security: SecurityName = "auto"
    """auto: the best that the server offers, never less than it had before; none; or a policy."""
    security_mode: ModeName | None = None
    """Sign or SignAndEncrypt; else the better of the two that the server offers."""
    user: str | None = Field(default=None, min_length=1)
    """Who logs in; else the session is anonymous."""
    password_env: str | None = Field(default=None, min_length=1)
    """The environment variable that holds the user's password."""
    password_file: Path | None = None
    """The file whose only line is the user's password."""
    user_certificate: Path | None = None
    """The certificate of a user who logs in by it, PEM or DER."""
    user_key: Path | None = None
    """Its private key, PEM or DER."""
    certificate: Path | None = None
    """This client's own certificate, PEM or DER, where the site issues them; else one is made and kept."""
    private_key: Path | None = None
    """Its private key, PEM or DER."""
    timestamp: Literal["source", "server", "tick"] = "source"
    """Whose time a value carries: the instrument's, the server's, or none but that of our own reading."""
    on_uncertain: OnUncertain | None = None
    """Values with an uncertain status: publish or stale. If not given, the last usable, substitute and initial values
    are stale and the others are published."""
    stale_by: StaleBy = "received"
    """What `stale_after_ms` counts from. received: when the value was last read, or known to hold; source: also when
    its source time last changed, for a server that still answers when it has lost the instrument."""

    fast_path: bool = True
    """false: every value goes through asyncua's own decoder, which is slower, should the two ever differ."""

    @model_validator(mode="before")
    @classmethod
    def _blacken(cls, data: Any) -> Any:
        """Take passwords out before anything is checked, as messages repeat what they find fault with."""
        if not isinstance(data, dict):
            return data
        fields = cast("dict[str, Any]", data)
        blackened = {key: "***" if _is_secret(key) else value for key, value in fields.items()}
        if isinstance(endpoint := fields.get("endpoint"), str):
            blackened["endpoint"] = _CREDENTIALS.sub(r"\1***@", endpoint)
        return blackened

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.stale_by == "source" and self.timestamp != "source":
            raise ValueError(
                f"with timestamp: {self.timestamp} no source times are asked for: delete timestamp, or write "
                "stale_by: received"
            )
        if self.user is not None and self.user_certificate is not None:
            raise ValueError("user and user_certificate are two ways to log in: keep one of them")
        if (self.user_certificate is None) != (self.user_key is None):
            raise ValueError("user_certificate and user_key belong together: give both")
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key belong together: give both")
        passwords = sum(source is not None for source in (self.password_env, self.password_file))
        if passwords and self.user is None:
            raise ValueError("a password without a user: give user")
        if self.user is not None and passwords != 1:
            raise ValueError("a user needs a password: give password_env or password_file, one of them")
        if self.security == "none" and self.security_mode is not None:
            raise ValueError("security_mode says how a policy is used: delete it, or name a policy in security")
        return self

    def answer_within_s(self, needed_s: float) -> float:
        """How long an answer may take that is of use for so many seconds: what the author gives holds all the same."""
        given = self.timeout_ms / 1000
        return given if "timeout_ms" in self.model_fields_set else min(given, needed_s)

    @property
    def access(self) -> Access:
        """How the server is reached, and as whom."""
        return Access(
            self.security,
            self.security_mode,
            self.user,
            self.password_env,
            self.password_file,
            self.user_certificate,
            self.user_key,
            self.certificate,
            self.private_key,
            self.keep_host,
        )

    @field_validator("endpoint")
    @classmethod
    def _normalise(cls, text: str) -> str:
        """Give equal endpoints equal texts: lower case host, port written out, no slash at the end."""
        try:
            url = urlsplit(text.strip())
            port = url.port or DEFAULT_PORT
        except ValueError as error:
            raise ValueError(f"{text!r} is no endpoint ({error}): write opc.tcp://192.0.2.10:4840") from None
        if url.scheme != "opc.tcp" or not url.hostname:
            raise ValueError(f"{text!r} is no endpoint: write opc.tcp://HOST:PORT, as opc.tcp://192.0.2.10:4840")
        if url.username is not None or url.password is not None:
            raise ValueError("user and password do not belong here: write user, and password_env or password_file")
        host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        return f"opc.tcp://{host}:{port}{url.path.rstrip('/')}"


class PointOptions(Options):
    """One node of an OPC UA server, or one element of an array."""

    node: str
    """ns=2;s=FT01, nsu=urn:skid;s=FT01, i=2258, Objects/2:System/2:FT01 or Objects/nsu=urn:skid;System/..."""
    index: int | None = Field(default=None, ge=0)
    """Which element of an array, from 0; those of a matrix are counted row by row."""
    type: TypeName | None = None
    """What the node is declared to hold; else it is learned from the server at each connect."""

    server_texts: bool = False
    """true: the tag's value is the text that the server has for the number of an enumeration or a state."""
    read_back: bool = False
    """true: a value that was written is read again, and is refused if the node holds another."""
    mode: Mode | None = None
    """How this tag is read, where it is not as its device says."""
    on_uncertain: OnUncertain | None = None
    """Its values with an uncertain status: publish or stale. If not given, its device decides."""
    stale_by: StaleBy | None = None
    """What `stale_after_ms` counts from: received, or also source. If not given, its device decides."""
    sampling_ms: int | None = Field(default=None, ge=0)
    """How often the server looks at a subscribed node, 0 as often as it can; else at the cadence of the tag."""
    server_deadband: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """The server keeps a subscribed value to itself that differs by no more than this, in the node's own unit."""

    @model_validator(mode="after")
    def _check_texts(self) -> Self:
        if self.server_texts and self.type is not None:
            raise ValueError("with server_texts the value is a text, whatever the node holds: delete type")
        return self

    @field_validator("node")
    @classmethod
    def _check_node(cls, text: str) -> str:
        return parse_address(text).text


def _is_secret(key: object) -> bool:
    """Whether an author who writes this key is likely to put a password behind it."""
    return isinstance(key, str) and key.lower() in {"password", "passwd", "pass", "pwd", "secret", "token"}
