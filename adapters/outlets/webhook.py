"""Notices of alerts to a web hook: a POST of JSON for each, signed where there is a secret."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx

from adapters.formats import alert as alerts
from adapters.formats import notice as format_of
from adapters.outlets.notices import Later, Notice, Refused
from adapters.wire import Names

ANSWER_WITHIN_S = 10.0
SIGNATURE = "X-Vedette-Signature"
_LATER = (408, 425, 429)  # and all of 500: the rest says that the same request will never do


class Hook:
    """One URL. Redirections are not followed: a notice goes where it was sent to."""

    def __init__(self, url: str, site: str, secret: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self._url, self._site, self._secret, self._headers = url, site, secret, dict(headers or {})
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs whole URLs

    def words(self) -> str:
        """Host alone: paths of web hooks are secrets."""
        return urlsplit(self._url).hostname or "?"

    async def deliver(self, notice: Notice) -> None:
        """POST it. Raises Later, Refused."""
        said = notice.alert
        alert = alerts.encode(said, Names(self._site, simulated=said.simulated, mode=said.mode), 0)
        body = format_of.encode(notice.kind, notice.key, notice.text, alert, notice.replayed)
        headers = {"Content-Type": "application/json", "Idempotency-Key": notice.key, **self._headers}
        if self._secret:
            headers[SIGNATURE] = f"sha256={signature(self._secret, body)}"
        try:
            async with httpx.AsyncClient(timeout=ANSWER_WITHIN_S) as client:
                answer = await client.post(self._url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise Later(str(error) or type(error).__name__) from None
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR or answer.status_code in _LATER:
            raise Later(f"it answers {answer.status_code}")
        if not answer.is_success:
            raise Refused(f"it answers {answer.status_code}")


def signature(secret: bytes, body: bytes) -> str:
    """HMAC-SHA256 of the body (RFC 2104), hexadecimal."""
    return hmac.new(secret, body, hashlib.sha256).hexdigest()
