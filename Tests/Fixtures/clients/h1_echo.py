# An HTTP/1.1 server that sends each request's body back as it comes, framed as it came. Prints its port, serves
# until it is killed.
import asyncio


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(
                line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:] if ": " in line)
            if fields.get("transfer-encoding") == "chunked":
                writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                size = 1
                while size:
                    line = await reader.readuntil(b"\r\n")
                    size = int(line, 16)
                    writer.write(line + await reader.readexactly(size + 2))
                    await writer.drain()
                continue
            left = int(fields.get("content-length", "0"))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % left)
            while left:
                data = await reader.read(min(left, 65536))
                if not data:
                    return
                left -= len(data)
                writer.write(data)
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Future()


asyncio.run(main())
