# Speaks with the server of websocket_server.py through 127.0.0.1:PORT by HTTP/1.1; prints ok, or fails.
import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def main():
    address = f"ws://127.0.0.1:{sys.argv[1]}{sys.argv[2]}"
    async with connect(address, max_size=16 << 20, subprotocols=["chat"], proxy=None) as socket:
        assert socket.subprotocol == "chat"
        await socket.send("hello")
        assert await socket.recv() == "5:hello"
        message = bytes(range(256)) * 8192
        await socket.send(message)
        assert await socket.recv() == message
        await (await socket.ping())
        await socket.send("bye")
        try:
            await socket.recv()
            raise AssertionError("open")
        except ConnectionClosed as end:
            assert end.rcvd.code == 4000 and end.rcvd.reason == "as asked", end
    sockets = await asyncio.gather(*(connect(address, subprotocols=["chat"], proxy=None) for _ in range(20)))
    for number, socket in enumerate(sockets):
        await socket.send(str(number))
    for number, socket in enumerate(sockets):
        assert await socket.recv() == f"{len(str(number))}:{number}"
        await socket.close()
    print("ok")


asyncio.run(main())
