"""The certificates that are kept: our own, made once, and those of the servers, pinned when they are first seen.

They lie in the user's data folder, so that an upgrade or another UOD does not cost the trust of the servers; the
environment variable SKIDLINK_DATA names another folder. Application certificates: OPC 10000-6 6.2.2.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
import os
import re
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from asyncua.crypto import cert_gen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from drivers.contract import LinkError

_log = logging.getLogger("skidlink.drivers.opcua")

VALID_DAYS = 3650
"""Ten years: a certificate that ends every year stops a skid every year."""
WARN_BEFORE = datetime.timedelta(days=30)
_SHOWN_HOSTS = 5
_LONGEST_NAME = 100
"""Of a file, in bytes, without its ending."""
NEW_ONE = "have a new one made in time"


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """The certificate by which servers know this client."""

    path: Path
    der: bytes
    key: bytes
    """The private key, PEM."""
    application_uri: str
    """As the certificate has it: servers compare it with what the client calls itself."""
    new: bool = False
    """It has been made just now, so no server can trust it yet."""
    given: bool = False
    """The author has it from elsewhere, as from the site's certification authority."""

    @property
    def renewal(self) -> str:
        """What to do when it ends."""
        return NEW_ONE if self.given else f"delete {self.path} for a new one, which the servers must then trust"

    @property
    def advice(self) -> str:
        """What to do on the server."""
        return (
            f"trust this client's certificate on the server: thumbprint {thumbprint(self.der)}, file {self.path}. Most "
            "servers list it among the rejected certificates now; else copy the file to their trusted ones"
        )


def data_folder() -> Path:
    """Where this user's certificates are kept."""
    if given := os.environ.get("SKIDLINK_DATA"):
        return Path(given) / "opcua"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "skidlink" / "opcua"


def own_certificate() -> OwnCertificate:
    """This user's client certificate, made on first use; blocks for some tenths of a second then.

    Raises `LinkError` when the files cannot be read or written.
    """
    folder = data_folder() / "own"
    path, key_path = folder / "certificate.der", folder / "key.pem"
    try:
        new = not (path.exists() and key_path.exists())
        if new:
            _make(path, key_path)
        der = path.read_bytes()
        return OwnCertificate(path, der, key_path.read_bytes(), _uri_of(der), new)
    except (OSError, ValueError, x509.ExtensionNotFound, IndexError) as error:
        raise LinkError(
            f"the client certificate in {folder} cannot be used ({error}): correct the rights of this folder, or "
            "delete it for a new certificate, which the servers must then trust anew"
        ) from error


def given_certificate(path: Path, key_path: Path) -> OwnCertificate:
    """A client certificate of the author's own, and its key, both PEM or DER.

    Raises `LinkError` when they cannot be read, or do not belong together.
    """
    try:
        content, key_content = path.read_bytes(), key_path.read_bytes()
        pem = content.lstrip().startswith(b"-----")
        certificate = x509.load_pem_x509_certificate(content) if pem else x509.load_der_x509_certificate(content)
        load = load_pem_private_key if key_content.lstrip().startswith(b"-----") else load_der_private_key
        key = load(key_content, None)
        form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
            raise LinkError(f"private_key {key_path} is not the key of certificate {path}: give the one made with it")
        der = certificate.public_bytes(Encoding.DER)
        as_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return OwnCertificate(path, der, as_pem, _uri_of(der), given=True)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        _log.debug("certificate %s", path, exc_info=error)
        raise LinkError(
            f"certificate {path} or private_key {key_path} cannot be read: they must be PEM or DER, the key without a "
            "password"
        ) from None
    except (x509.ExtensionNotFound, IndexError):
        raise LinkError(
            f"certificate {path} names no application URI: have one made with a URI among its subject alternative names"
        ) from None


def _make(path: Path, key_path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    host = socket.gethostname() or "localhost"
    uri = f"urn:{host}:skidlink"
    key = cert_gen.generate_private_key()
    certificate = cert_gen.generate_self_signed_app_certificate(
        key,
        f"Skidlink on {host}"[:64],  # the longest common name that X.509 has room for
        {"organizationName": "Skidlink"},
        [x509.UniformResourceIdentifier(uri), x509.DNSName(host)],
        [ExtendedKeyUsageOID.CLIENT_AUTH],
        VALID_DAYS,
    )
    write_whole(key_path, cert_gen.dump_private_key_as_pem(key))
    write_whole(path, certificate.public_bytes(Encoding.DER))


def write_whole(path: Path, content: bytes) -> None:
    """Writes as a whole or not at all, also if the power fails, readable by this user only."""
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _uri_of(der: bytes) -> str:
    names: Any = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return names.value.get_values_for_type(x509.UniformResourceIdentifier)[0]


def thumbprint(der: bytes) -> str:
    """SHA-1 in pairs, as servers show it: OPC 10000-4 3.1 calls it the certificate's thumbprint."""
    return hashlib.sha1(der, usedforsecurity=False).digest().hex(":").upper()


def single(der: bytes) -> bytes:
    """The first certificate of a chain, whose length its second to fourth byte tell (X.690 8.1.3)."""
    return der[: int.from_bytes(der[2:4], "big") + 4]


def expiry_warning(der: bytes, whose: str, advice: str = NEW_ONE, within: datetime.timedelta | None = None) -> str:
    """What to say of a certificate that has ended, or will `within` so long (else `WARN_BEFORE`); "" if it holds."""
    try:
        end = x509.load_der_x509_certificate(der).not_valid_after_utc
    except ValueError:
        return ""  # some PLCs make certificates that are not quite X.509; those who check signatures notice
    left = end - datetime.datetime.now(datetime.UTC)
    if left > (WARN_BEFORE if within is None else within):
        return ""
    return f"{whose} {'ended' if left.total_seconds() < 0 else 'ends'} on {end:%Y-%m-%d}: {advice}"


def hosts_remark(der: bytes, endpoint: str) -> str:
    """What to say of a certificate that was made for other hosts than that of an endpoint; "" if it fits."""
    host = urlsplit(endpoint).hostname or ""
    try:
        names: Any = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        hosts = [*names.value.get_values_for_type(x509.DNSName)]
        hosts += [str(address) for address in names.value.get_values_for_type(x509.IPAddress)]
    except (ValueError, x509.ExtensionNotFound):
        return ""
    if not hosts or host.casefold() in {each.casefold() for each in hosts}:
        return ""
    return f". It names the hosts {', '.join(hosts[:_SHOWN_HOSTS])}, and not {host}"


class Pins:
    """The server certificate that was seen first at each endpoint."""

    def path(self, endpoint: str) -> Path:
        """The file of one endpoint, by a name that people recognise and no two endpoints share."""
        name = re.sub(r"[^\w.-]+", "_", endpoint.removeprefix("opc.tcp://"), flags=re.ASCII)[:_LONGEST_NAME]
        return data_folder() / "servers" / f"{name}-{hashlib.sha256(endpoint.encode()).hexdigest()[:8]}.der"

    def known(self, endpoint: str) -> bytes | None:
        """The certificate that this endpoint had; None where it has not been seen yet. Raises `LinkError`."""
        path = self.path(endpoint)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LinkError(f"{endpoint}: the file {path} cannot be read ({error}): correct its rights") from error

    def check(self, endpoint: str, der: bytes) -> None:
        """Raises `LinkError` when the endpoint has another certificate than when it was first seen."""
        known = self.known(endpoint)
        if known is not None and known != der:
            raise LinkError(
                f"{endpoint}: the server's certificate has changed, so nothing is sent to it: it was "
                f"{thumbprint(known)} and is {thumbprint(der)}. If somebody has renewed it or installed the server "
                f"anew, delete {self.path(endpoint)}; if nobody has, another machine may stand in its place"
            )

    def keep(self, endpoint: str, der: bytes) -> bool:
        """Pin a certificate; true when it is the first of its endpoint. Raises `LinkError`."""
        if self.known(endpoint) is not None:
            return False
        path = self.path(endpoint)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, der)
        except OSError as error:
            raise LinkError(f"{endpoint}: the server's certificate cannot be kept in {path} ({error})") from error
        return True
