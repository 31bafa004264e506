"""Small questions over the aggregator's REST interface, with a bound on the answer and on all of its time."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Final

import httpx

from protocol.exceptions import ConnectError

WITHIN_S: Final = 5.0
"""From the request to the last byte of the answer, however fast single bytes come."""
LIMIT_BYTES: Final = 2**16
"""More of an answer is not read: the longest that means anything has a few hundred."""
_HEADERS: Final = {"content-type": "application/json", "accept-encoding": "identity"}
"""A packed answer could be a thousand times as long when it is unpacked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the aggregator has answered."""

    status: int
    body: bytes
    """As far as it was read."""

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The beginning of the body, for messages."""
        return self.body[:200].decode(errors="replace")


async def ask(http: httpx.AsyncClient, method: str, url: str, content: bytes | None = None) -> Answer:
    """Sends one request and reads the answer.

    Raises `ConnectError`, with what to do about it; the caller names the aggregator.
    """
    asked = f"{method} {httpx.URL(url).path}"
    try:
        async with asyncio.timeout(WITHIN_S), http.stream(method, url, content=content, headers=_HEADERS) as response:
            body = b""
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > LIMIT_BYTES:
                    break
            return Answer(response.status_code, body[:LIMIT_BYTES])
    except TimeoutError:
        why = f"the whole answer was not there within {WITHIN_S:g} s"
        raise ConnectError(f"no answer to {asked} ({why}); see that an aggregator runs there") from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        untrusted = "CERTIFICATE_VERIFY_FAILED" in str(error)
        cure = "name the file of its authority in SSL_CERT_FILE" if untrusted else "see that an aggregator runs there"
        why = re.sub(r"\[Errno -?\d+\] ", "", str(error))[:300] or type(error).__name__
        raise ConnectError(f"no answer to {asked} ({why}); {cure}") from error
    finally:
        http.cookies.clear()  # none is wanted, and nobody else bounds how many there are
