# A server of HTTP/2 inside TLS that tells of its connections: every response's body is
# "sni=NAME connection=N resumed=YES alpn=PROTOCOL body=BYTES". After a request for /goaway it sends GOAWAY, and
# what agreed to http/1.1 or to nothing is served in HTTP/1.1. Prints its port, serves until it is killed.
# Arguments: certificate, key, protocols for ALPN divided by commas (or "-"), then perhaps "clients=CA": clients
# must show a certificate of that authority; "streams=N": as many at a time.
import socket
import ssl
import sys
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

options = dict(entry.split("=", 1) for entry in sys.argv[4:])


def describe(sock, number, count):
    return "sni=%s connection=%d resumed=%s alpn=%s body=%d" % (
        getattr(sock, "asked", None) or "-", number, "yes" if sock.session_reused else "no",
        sock.selected_alpn_protocol() or "-", count)


def serve_h1(sock, number):
    pending = b""
    while True:
        while b"\r\n\r\n" not in pending:
            data = sock.recv(65536)
            if not data:
                return
            pending += data
        pending = pending.split(b"\r\n\r\n", 1)[1]
        body = describe(sock, number, 0).encode()
        sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


def serve_h2(sock, number):
    config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
    connection = h2.connection.H2Connection(config)
    if "streams" in options:
        codes = h2.settings.SettingCodes
        connection.local_settings = h2.settings.Settings(
            client=False, initial_values={codes.MAX_CONCURRENT_STREAMS: int(options["streams"])})
    connection.initiate_connection()
    sock.sendall(connection.data_to_send())
    counts = {}
    paths = {}
    leaves = False
    while True:
        data = sock.recv(65536)
        if not data:
            return
        # To close with bytes unread would reset the connection, and what was sent with it.
        if leaves:
            continue
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                paths[event.stream_id] = dict(event.headers)[":path"]
                counts[event.stream_id] = 0
            elif isinstance(event, h2.events.DataReceived):
                counts[event.stream_id] += len(event.data)
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                stream = event.stream_id
                connection.send_headers(stream, [(":status", "200")])
                connection.send_data(stream, describe(sock, number, counts[stream]).encode(), True)
                if paths[stream].endswith("/goaway"):
                    connection.close_connection(last_stream_id=stream)
                    leaves = True
        sock.sendall(connection.data_to_send())


def serve(raw, number):
    try:
        with context.wrap_socket(raw, server_side=True) as sock:
            if sock.selected_alpn_protocol() == "h2":
                serve_h2(sock, number)
            else:
                serve_h1(sock, number)
    except (OSError, h2.exceptions.ProtocolError):
        pass


def remember(sock, name, _):
    sock.asked = name


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
context.sni_callback = remember
if sys.argv[3] != "-":
    context.set_alpn_protocols(sys.argv[3].split(","))
if "clients" in options:
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(options["clients"])
listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1], flush=True)


def accept():
    number = 0
    while True:
        raw, _ = listener.accept()
        threading.Thread(target=serve, args=(raw, number), daemon=True).start()
        number += 1


threading.Thread(target=accept, daemon=True).start()
threading.Event().wait()
