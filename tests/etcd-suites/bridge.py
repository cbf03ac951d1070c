"""A local port for clients without certificates: each connection goes on to a system, with TLS where that needs it.

It runs in a process of its own, so that a suite that keeps Python busy does not delay it.
"""

import asyncio
import contextlib
import ssl
import sys

# How clients of HTTP/2 begin; others speak HTTP/1.1.
PREFACE = b"PRI"
CHUNK = 64 * 1024


async def copy(reader, writer):
    with contextlib.suppress(OSError, ssl.SSLError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    with contextlib.suppress(OSError, ssl.SSLError):
        writer.close()


async def serve(client, answers, host, port, tls):
    with contextlib.suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError):
        begun = await client.readexactly(len(PREFACE))
        context = None
        if tls:
            authority, certificate, key = tls
            context = ssl.create_default_context(cafile=authority)
            context.load_cert_chain(certificate, key)
            context.set_alpn_protocols(["h2" if begun == PREFACE else "http/1.1"])
        there, requests = await asyncio.open_connection(host, port, ssl=context)
        requests.write(begun)
        await asyncio.gather(copy(client, requests), copy(there, answers))
    answers.close()


async def main(front, host, port, tls):
    """`front` is a certificate and its key for clients that want TLS, or nothing; prints the port."""
    context = None
    if front:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*front)
        context.set_alpn_protocols(["h2", "http/1.1"])
    # Held here: the loop's own references are weak.
    tasks = set()

    def accept(client, answers):
        task = asyncio.create_task(serve(client, answers, host, port, tls))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    FRONT, HOST, PORT, TLS = sys.argv[1:5]
    asyncio.run(main(FRONT.split(":") if FRONT else None, HOST, int(PORT), TLS.split(":") if TLS else None))
