"""A mail server on a free port that takes mail over STARTTLS from one account and prints what it took, a JSON line each."""

import asyncio, json, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult


class Taken:
    async def handle_DATA(self, server, session, envelope):
        print(json.dumps({
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": session.ssl is not None,
            "message": envelope.content.decode(),
        }), flush=True)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"peerlight", b"secret"))


async def main(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def factory():
        return SMTP(Taken(), tls_context=context, require_starttls=True, authenticator=authenticate, auth_required=True)

    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
