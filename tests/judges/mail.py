"""A real mail server: aiosmtpd, with STARTTLS and a password where asked; each mail it takes is a line of JSON.

    python mail.py PORT [CERT KEY USER PASSWORD]

The first word of the local part of a recipient says what it does with the mail: `full@` is refused for good, `busy@`
the first time only.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from email import message_from_bytes, policy
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Taker:
    def __init__(self) -> None:
        self.busy = True

    async def handle_RCPT(  # noqa: N802  its name there
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address.startswith("full@"):
            return "550 no such mailbox"
        if address.startswith("busy@") and self.busy:
            self.busy = False
            return "451 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  its name there
        mail = message_from_bytes(envelope.content, policy=policy.default)
        body = mail.get_body()
        said = {name: str(value) for name, value in mail.items()}
        text = "" if body is None else body.get_content()
        line = {"to": envelope.rcpt_tos, "from": envelope.mail_from, "headers": said, "text": text}
        print(json.dumps({**line, "tls": bool(session.ssl)}), flush=True)
        return "250 taken"


async def main(port: str, *secured: str) -> None:
    options: dict[str, Any] = {}
    if secured:
        cert, key, user, password = secured
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(cert, key)
        wanted = LoginPassword(user.encode(), password.encode())

        def check(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
            return AuthResult(success=given == wanted, handled=False)

        options = {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": check}
    taker = Taker()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(taker, **options), "127.0.0.1", int(port))
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
