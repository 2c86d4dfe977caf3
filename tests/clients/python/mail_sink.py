"""A mail server that takes every mail: aiosmtpd on 127.0.0.1.

Usage: mail_sink.py PORT   (0: any free port)

Prints `listening PORT`, then one line of JSON per mail: to, subject, plain, html.
"""

import asyncio
import email
import email.policy
import json
import sys

from aiosmtpd.smtp import SMTP


class Sink:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        text = lambda kind: mail.get_body(preferencelist=(kind,)).get_content()
        told = {
            "to": envelope.rcpt_tos,
            "subject": str(mail["subject"]),
            "plain": text("plain"),
            "html": text("html"),
        }
        print(json.dumps(told), flush=True)
        return "250 OK"


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Sink(), hostname="sink"), "127.0.0.1", int(sys.argv[1]))
    print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


asyncio.run(main())
