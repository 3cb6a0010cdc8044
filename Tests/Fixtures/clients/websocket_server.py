# An echo server of WebSockets. Prints its port, serves until it is killed. Text comes back with its length,
# bytes as they are; "bye" ends the connection from this side.
import asyncio

from websockets.asyncio.server import serve


async def echo(socket):
    async for message in socket:
        if message == "bye":
            await socket.close(4000, "as asked")
            return
        await socket.send(f"{len(message)}:{message}" if isinstance(message, str) else message)


async def main():
    async with serve(echo, "127.0.0.1", 0, max_size=16 << 20, subprotocols=["chat"]) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


asyncio.run(main())
