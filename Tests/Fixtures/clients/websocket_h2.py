# A WebSocket over one stream of HTTP/2 by extended CONNECT (RFC 8441) through 127.0.0.1:PORT, with the h2
# package; frames by hand (RFC 6455 5.2). Prints ok, or fails.
import socket
import struct
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings


def frame(opcode, payload):
    if len(payload) < 126:
        head = bytes([0x80 | opcode, 0x80 | len(payload)])
    else:
        head = bytes([0x80 | opcode, 0x80 | 126]) + struct.pack("!H", len(payload))
    return head + b"\0\0\0\0" + payload


class Client:
    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.settimeout(60)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.flush()
        self.data = b""
        self.headers = None
        self.ended = False
        while not self.h2.remote_settings.enable_connect_protocol:
            self.pump()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def pump(self):
        bytes_read = self.sock.recv(65536)
        assert bytes_read, "closed"
        for event in self.h2.receive_data(bytes_read):
            if isinstance(event, h2.events.ResponseReceived):
                self.headers = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self.data += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended = True
            elif isinstance(event, h2.events.StreamReset):
                raise AssertionError(f"reset {event.error_code}")
        self.flush()

    def need(self, count):
        while len(self.data) < count:
            self.pump()
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def read(self):
        head = self.need(2)
        length = head[1] & 0x7F
        if length == 126:
            length = struct.unpack("!H", self.need(2))[0]
        return head[0] & 0x0F, self.need(length)


client = Client(int(sys.argv[1]))
assert client.h2.remote_settings.enable_connect_protocol == 1
stream = client.h2.get_next_available_stream_id()
client.h2.send_headers(
    stream,
    [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", sys.argv[2]),
        (":authority", "app.test"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat"),
    ],
)
client.flush()
while client.headers is None:
    client.pump()
assert client.headers[":status"] == "200", client.headers
assert client.headers["sec-websocket-protocol"] == "chat", client.headers
assert "sec-websocket-accept" not in client.headers, client.headers
client.h2.send_data(stream, frame(1, b"hello"))
client.flush()
assert client.read() == (1, b"5:hello")
message = bytes(range(256)) * 200
for start in range(0, 1):
    data = frame(2, message)
    while data:
        client.h2.send_data(stream, data[:16000])
        data = data[16000:]
    client.flush()
assert client.read() == (2, message)
client.h2.send_data(stream, frame(1, b"bye"))
client.flush()
opcode, payload = client.read()
assert opcode == 8 and payload == struct.pack("!H", 4000) + b"as asked", payload
client.h2.send_data(stream, frame(8, payload), end_stream=True)
client.flush()
while not client.ended:
    client.pump()
print("ok")
