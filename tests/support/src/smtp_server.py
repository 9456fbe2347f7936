"""An SMTP server (aiosmtpd) that misbehaves on demand.

It writes JSON objects to stdout, one a line: its port, then every mail that it keeps. It reads JSON objects from
stdin, one a line: how to behave from then on (see Behaviour in smtp.rs).
"""

import argparse
import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

behaviour = {}
connections = 0
open_connections = 0


def say(**what):
    print(json.dumps(what), flush=True)


def rule_for(stage, address):
    """The rule of this stage, if the address contains the text of the rule."""
    rule = behaviour.get(stage)
    if rule and rule.get("only", "") in address:
        return rule
    return None


async def apply_rule(stage, address):
    rule = rule_for(stage, address)
    if rule is None:
        return None
    if rule.get("delay"):
        await asyncio.sleep(rule["delay"])
    return rule.get("reply")


class Handler:
    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        reply = await apply_rule("ehlo", "")
        return [reply] if reply else responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        reply = await apply_rule("mail", address)
        if reply:
            return reply
        envelope.mail_from = address
        return "250 2.1.0 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        reply = await apply_rule("rcpt", address)
        if reply:
            return reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        reply = await apply_rule("content", envelope.rcpt_tos[0])
        if reply:
            return reply
        keep(server, session, envelope)
        rule = rule_for("dot", envelope.rcpt_tos[0])
        if rule is not None:
            server.transport.abort()
            await asyncio.sleep(0)
        return "250 2.0.0 Ok: queued as T%d" % connections


def keep(server, session, envelope):
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)

    def part(kind):
        body = message.get_body((kind,))
        return body.get_content().replace("\r\n", "\n") if body else None

    say(
        event="mail",
        sender=envelope.mail_from,
        recipients=envelope.rcpt_tos,
        headers=[[name, str(value)] for name, value in message.items()],
        text=part("plain"),
        html=part("html"),
        raw=envelope.content.decode("ascii", "replace"),
        hello=session.host_name,
        tls=server.transport.get_extra_info("sslcontext") is not None,
        login=session.auth_data,
    )


class Server(SMTP):
    async def push(self, status):
        rule = behaviour.get("greeting")
        if rule and str(status).startswith("220 ") and self.session.host_name is None:
            if rule.get("delay"):
                await asyncio.sleep(rule["delay"])
            if rule.get("reply"):
                await super().push(rule["reply"])
                self.transport.close()
                return
        await super().push(status)

    def connection_made(self, transport):
        global connections, open_connections
        connections += 1
        open_connections += 1
        if behaviour.get("drop"):
            transport.abort()
            return
        super().connection_made(transport)

    def connection_lost(self, error):
        global open_connections
        open_connections -= 1
        super().connection_lost(error)


def authenticate(login):
    def check(server, session, envelope, mechanism, data):
        given = "%s:%s" % (data.login.decode(), data.password.decode())
        if given == login and not behaviour.get("auth"):
            return AuthResult(success=True, auth_data=data.login.decode())
        return AuthResult(success=False, handled=False)

    return check


async def listen(make, port, context):
    return await asyncio.get_running_loop().create_server(make, "127.0.0.1", port, ssl=context)


async def main(options):
    context = None
    if options.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate, options.key)
    settings = {"hostname": "mail.test", "timeout": options.idle, "data_size_limit": None}
    if options.login:
        settings.update(authenticator=authenticate(options.login), auth_required=True)
        settings["auth_require_tls"] = bool(context)
        if options.tls == "wrapped":
            settings["auth_require_tls"] = False
    if options.tls == "starttls":
        settings.update(tls_context=context, require_starttls=True)
    make = lambda: Server(Handler(), **settings)
    wrapped = context if options.tls == "wrapped" else None
    server = await listen(make, 0, wrapped)
    port = server.sockets[0].getsockname()[1]
    say(event="listening", port=port)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while True:
        line = await reader.readline()
        if not line:
            return
        command = json.loads(line)
        if command is not None:
            behaviour.clear()
            behaviour.update(command)
        if behaviour.get("closed"):
            server.close()
            await server.wait_closed()
        elif not server.is_serving():
            server = await listen(make, port, wrapped)
        say(event="taken", connections=connections, open=open_connections)


parser = argparse.ArgumentParser()
parser.add_argument("--tls", choices=["none", "starttls", "wrapped"], default="none")
parser.add_argument("--certificate")
parser.add_argument("--key")
parser.add_argument("--login")
parser.add_argument("--idle", type=float, default=300)
asyncio.run(main(parser.parse_args()))
