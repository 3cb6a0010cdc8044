# A server of HTTP/2 that takes WebSockets by extended CONNECT (RFC 8441) and answers as websocket_server.py
# does. Prints its port, serves until it is killed. With the argument "no-connect" it does not offer it.
import socket
import struct
import sys
import threading

import h2.config
import h2.connection
import h2.events
import h2.settings

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode, payload):
    if len(payload) < 126:
        return bytes([0x80 | opcode, len(payload)]) + payload
    if len(payload) < 65536:
        return bytes([0x80 | opcode, 126]) + struct.pack("!H", len(payload)) + payload
    return bytes([0x80 | opcode, 127]) + struct.pack("!Q", len(payload)) + payload


def unmask(mask, payload):
    whole = mask * (len(payload) // 4 + 1)
    number = int.from_bytes(payload, "big") ^ int.from_bytes(whole[:len(payload)], "big")
    return number.to_bytes(len(payload), "big")


class Chat:
    """One stream: what came and is no whole frame, what goes out as the window allows."""

    def __init__(self):
        self.came = b""
        self.out = b""
        self.ends = False

    def take(self, data):
        self.came += data
        while len(self.came) >= 2:
            length, at = self.came[1] & 0x7F, 2
            if length >= 126:
                size = 2 if length == 126 else 8
                at += size
                if len(self.came) < at:
                    return
                length = int.from_bytes(self.came[2:at], "big")
            if len(self.came) < at + 4 + length:
                return
            payload = unmask(self.came[at:at + 4], self.came[at + 4:at + 4 + length])
            opcode = self.came[0] & 0x0F
            self.came = self.came[at + 4 + length:]
            self.answer(opcode, payload)

    def answer(self, opcode, payload):
        if opcode == TEXT and payload == b"bye":
            self.out += frame(CLOSE, struct.pack("!H", 4000) + b"as asked")
        elif opcode == TEXT:
            self.out += frame(TEXT, b"%d:%s" % (len(payload), payload))
        elif opcode == BINARY:
            self.out += frame(BINARY, payload)
        elif opcode == PING:
            self.out += frame(PONG, payload)
        elif opcode == CLOSE:
            if not self.ends and payload[:2] != struct.pack("!H", 4000):
                self.out += frame(CLOSE, payload)
            self.ends = True


def serve(sock):
    config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
    connection = h2.connection.H2Connection(config)
    if "no-connect" not in sys.argv:
        codes = h2.settings.SettingCodes
        connection.local_settings = h2.settings.Settings(
            client=False, initial_values={codes.ENABLE_CONNECT_PROTOCOL: 1})
    connection.initiate_connection()
    sock.sendall(connection.data_to_send())
    chats = {}
    while True:
        data = sock.recv(65536)
        if not data:
            return
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                head = dict(event.headers)
                good = head.get(":method") == "CONNECT" and head.get(":protocol") == "websocket"
                good = good and "sec-websocket-key" not in head and "upgrade" not in head
                answer = [(":status", "200" if good else "400")]
                if "sec-websocket-protocol" in head:
                    answer.append(("sec-websocket-protocol", head["sec-websocket-protocol"]))
                connection.send_headers(event.stream_id, answer, end_stream=not good)
                if good:
                    chats[event.stream_id] = Chat()
            elif isinstance(event, h2.events.DataReceived):
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if event.stream_id in chats:
                    chats[event.stream_id].take(event.data)
            elif isinstance(event, h2.events.StreamEnded):
                if event.stream_id in chats:
                    chats[event.stream_id].ends = True
            elif isinstance(event, h2.events.StreamReset):
                chats.pop(event.stream_id, None)
        for stream, chat in list(chats.items()):
            while chat.out:
                room = min(connection.local_flow_control_window(stream), 16384, len(chat.out))
                if room == 0:
                    break
                connection.send_data(stream, chat.out[:room])
                chat.out = chat.out[room:]
            if chat.ends and not chat.out:
                connection.end_stream(stream)
                del chats[stream]
        sock.sendall(connection.data_to_send())


listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1], flush=True)


def accept():
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock,), daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
threading.Event().wait()
