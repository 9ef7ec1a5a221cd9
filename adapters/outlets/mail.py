"""Notices of alerts by mail: all words of one alert are one thread, and no machine answers them."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from adapters.outlets.notices import Later, Notice, Refused
from adapters.wire import rfc3339
from fusion.schema import US_PER_S

ANSWER_WITHIN_S = 15.0
MOST_SUBJECT = 120  # characters
_PERMANENT = 500  # SMTP replies from here on will not change (RFC 5321, 4.2.1)


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail is handed in. `tls` is "starttls", "implicit" or "none"."""

    host: str
    port: int
    tls: str = "starttls"
    user: str = ""
    password: str = field(default="", repr=False)
    ca: str | None = None  # file of the authority; None: those of the system


class Mail:
    """One server, one sender, some people."""

    def __init__(self, server: Server, site: str, sender: str, to: Sequence[str], link: str = "") -> None:
        self._server, self._site, self._sender, self._to, self._link = server, site, sender, tuple(to), link

    def words(self) -> str:
        """The server and how many people."""
        return f"{len(self._to)} addresses by {self._server.host}:{self._server.port}"

    async def deliver(self, notice: Notice) -> None:
        """Hand it in. Raises Later, Refused."""
        await asyncio.to_thread(self._hand_in, message(notice, self._site, self._sender, self._to, self._link))

    def _hand_in(self, mail: EmailMessage) -> None:
        try:
            with self._connected() as smtp:
                lost = smtp.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            code, said = next(iter(error.recipients.values()))
            raise _kind(code)(_words(code, said)) from None
        except smtplib.SMTPAuthenticationError as error:
            raise Later(f"it refuses our user and password ({error.smtp_code})") from None  # a person can mend that
        except smtplib.SMTPResponseException as error:
            raise _kind(error.smtp_code)(_words(error.smtp_code, error.smtp_error)) from None
        except (OSError, smtplib.SMTPException) as error:  # ssl.SSLError is an OSError
            raise Later(str(error) or type(error).__name__) from None
        if lost:
            raise Refused(f"it takes none for {', '.join(sorted(lost))}")

    def _connected(self) -> smtplib.SMTP:
        at = self._server
        context = ssl.create_default_context(cafile=at.ca) if at.tls != "none" else None
        if at.tls == "implicit":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(at.host, at.port, timeout=ANSWER_WITHIN_S, context=context)
        else:
            smtp = smtplib.SMTP(at.host, at.port, timeout=ANSWER_WITHIN_S)
        try:
            if at.tls == "starttls":
                smtp.starttls(context=context)
            if at.user:
                smtp.login(at.user, at.password)
        except BaseException:
            smtp.close()
            raise
        return smtp


def _words(code: int, said: bytes | str) -> str:
    return f"it answers {code} {said.decode(errors='replace') if isinstance(said, bytes) else said}"


def _kind(code: int) -> type[Later] | type[Refused]:
    return Refused if code >= _PERMANENT else Later


def message(notice: Notice, site: str, sender: str, to: Sequence[str], link: str = "") -> EmailMessage:
    """The mail of a notice. RFC 5322; RFC 3834 asks machines not to answer it."""
    said = notice.alert
    first = f"<{said.id}@{site}.vedette.invalid>"
    mail = EmailMessage()
    mail["From"], mail["To"] = sender, ", ".join(to)
    mail["Subject"] = _plain(notice.text)[:MOST_SUBJECT]
    mail["Date"] = format_datetime(datetime.fromtimestamp(said.t_us / US_PER_S, UTC))
    if notice.kind == "raised":
        mail["Message-ID"] = first
    else:
        mail["Message-ID"] = f"<{notice.key}@{site}.vedette.invalid>"
        mail["In-Reply-To"] = mail["References"] = first
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Vedette-Key"] = notice.key
    mail.set_content("\n".join(map(_plain, _lines(notice, site, link))))
    return mail


def _plain(text: str) -> str:
    """What people and other systems wrote may hold line ends: here they would begin a header, or a sentence of ours."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _lines(notice: Notice, site: str, link: str) -> list[str]:
    said = notice.alert
    lines = [notice.text, "", f"alert {said.id}, rule {said.rule} version {said.rule_version}, track {said.track}"]
    lines += [f"raised {rfc3339(said.raised_us)}, this is of {rfc3339(said.t_us)}, site {site}"]
    lines += [f"  {q.name} {q.value}{f', asked: {q.condition}' if q.condition else ''}" for q in said.quantities]
    lines += [f"ends when {said.clears}"] if said.clears else []
    lines += ["", f"To acknowledge it: {link}"] if link else []
    return [*lines, "", "Vedette tells what is measured. It does not say what an object means to do."]
