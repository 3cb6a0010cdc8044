# Messages of all sizes through 127.0.0.1:PORT to websocket_echo.py, a ping, and the close code.
import os
import sys

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

url = f"ws://127.0.0.1:{sys.argv[1]}/chat"
with connect(url, max_size=None, proxy=None, open_timeout=60, close_timeout=60) as socket:
    for size in (0, 1, 125, 126, 65535, 65536, 3000000):
        data = os.urandom(size)
        socket.send(data)
        assert socket.recv() == data, size
        text = "ü" * (size // 2)
        socket.send(text)
        assert socket.recv() == text, size
    assert socket.ping(b"p").wait(60)
    socket.send("bye")
    try:
        socket.recv()
        assert False, "not closed"
    except ConnectionClosed as end:
        assert end.rcvd.code == 4001 and end.rcvd.reason == "as asked", end
print("all well")
