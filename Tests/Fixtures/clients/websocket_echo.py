# A WebSocket server that sends every message back; "bye" makes it close with 4001. Prints "port N".
from websockets.sync.server import serve


def echo(connection):
    for message in connection:
        if message == "bye":
            connection.close(4001, "as asked")
            return
        connection.send(message)


with serve(echo, "127.0.0.1", 0, max_size=None) as server:
    print("port", server.socket.getsockname()[1], flush=True)
    server.serve_forever()
