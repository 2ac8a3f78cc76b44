"""The programs that a benchmark starts, each in a folder of its own on free ports, and what can be read of them."""
import contextlib
import hashlib
import json
import mmap
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

START_S = 60  # longest wait for a program to be ready
TOKEN = "tp_bench_" + "0" * 43
PAGE = 4096


class Failed(Exception):
    """What went wrong, in a sentence."""


def free_port():
    # Below the ports of outgoing connections: one of those can be gone again before somebody listens on it.
    for port in random.sample(range(20_000, 32_000), 200):
        with contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", port)).close()
            return port
    raise Failed("no port is free")


def wait_for(what, ready, deadline_s=START_S, every_s=0.02):
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        with contextlib.suppress(OSError, urllib.error.URLError):
            value = ready()
            if value:
                return value
        time.sleep(every_s)
    raise Failed(f"{what}: not within {deadline_s:.0f} s")


def get(url, body=None):
    request = urllib.request.Request(url, data=body, method="POST" if body else "GET",
                                     headers={"Content-Type": "application/json"} if body else
                                     {"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


class Program:
    def __init__(self, name, folder, command, env=None):
        self.name = name
        self.log = folder / f"{name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(c) for c in command], stdout=log, stderr=subprocess.STDOUT,
                                            stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def check(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended: " + " / ".join(self.log.read_text(errors="replace").splitlines()[-3:]))

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_anon(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        raise Failed("no RssAnon in /proc")


class Shop:
    """A broker, a gateway and a platform, as far as they were started; `journal` lies in memory as in /run."""

    def __init__(self, build, disk=None):
        self.build = build
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="touchpoint-bench-", dir=disk))
        self.journal = pathlib.Path(tempfile.mkdtemp(prefix="touchpoint-bench-", dir="/dev/shm"))
        self.broker_port, self.http_port, self.platform_port = free_port(), free_port(), free_port()
        self.platform_http_port = free_port()  # of the gateway, for the platform
        self.broker = self.gateway = self.platform = None
        self.calls_file = self.folder / "calls"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for program in (self.gateway, self.platform, self.broker):
            if program:
                program.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.journal, ignore_errors=True)

    def start_broker(self):
        (self.folder / "broker.conf").write_text(
            f"listener {self.broker_port} 127.0.0.1\nuser root\nallow_anonymous true\npersistence true\n"
            f"persistence_location {self.folder}/\nautosave_interval 60\nmax_queued_messages 1000000\n"
            "max_inflight_messages 100\nmessage_size_limit 262144\nset_tcp_nodelay true\nlog_type error\n")
        mosquitto = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.broker = Program("broker", self.folder, [mosquitto, "-c", self.folder / "broker.conf"])
        wait_for("the broker listens",
                 lambda: self.broker.check() or socket.create_connection(("127.0.0.1", self.broker_port), 1).close() is None)

    def start_platform(self):
        """Nothing is written: the platform is not what is measured. It is another machine in a shop, so here it gets what
        the gateway leaves of the cores."""
        self.platform = Program("platform", self.folder, ["nice", "-n", "19", self.build / "tools/platform/platform", "--listen",
                                                          f"127.0.0.1:{self.platform_port}"])

    def summary(self):
        return json.loads(get(f"http://127.0.0.1:{self.platform_port}/summary"))

    def start_gateway(self, push=False, env=None, calls=False, guarded=False, profiles_bytes=0):
        """Returns the seconds from its start to READY=1. `guarded`: with a token, and limits for clients on this machine.
        `profiles_bytes`: room for profiles, which the platform writes over a listener of its own."""
        config = (f'[gateway]\nid = "gw-bench"\nstore = "s1"\n[mqtt]\nurl = "mqtt://127.0.0.1:{self.broker_port}"\n'
                  f'[store]\npath = "{self.folder}/data"\njournal_path = "{self.journal}"\n'
                  f'[http.local]\nlisten = "127.0.0.1:{self.http_port}"\n{"limit_loopback = true" if guarded else ""}\n'
                  f'[control]\nsocket = "{self.folder}/c.sock"\n')
        if guarded:
            tokens = self.folder / "tokens.toml"
            tokens.write_text(f'[[token]]\nid = "bench"\nrole = "technician"\nhash = "sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()}"\n'
                              'created = "2026-01-01T00:00:00.000Z"\n')
            tokens.chmod(0o640)
            config += f'[auth]\ntokens_file = "{tokens}"\n'
        if profiles_bytes:
            config += (f'[http.platform]\nlisten = "127.0.0.1:{self.platform_http_port}"\n'
                       f'[profiles]\nbytes = {profiles_bytes}\n')
        if push:
            config += (f'[[uplink.push]]\nname = "platform"\nurl = "http://127.0.0.1:{self.platform_port}/events"\n'
                       "retry_first_ms = 100\nretry_max_ms = 200\n")
        (self.folder / "touchpoint.toml").write_text(config)
        if calls:
            env = {**(env or {}), "LD_PRELOAD": str(self.build / "tests/bench/libbench_calls.so"),
                   "BENCH_CALLS_FILE": str(self.calls_file)}
        notify = str(self.folder / "notify.sock")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(notify)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.bind(notify)
            told.settimeout(0.2)
            began = time.monotonic()
            self.gateway = Program("gateway", self.folder, [self.build / "gateway/touchpointd", "--config",
                                                            self.folder / "touchpoint.toml"],
                                   {**(env or {}), "NOTIFY_SOCKET": notify})
            while time.monotonic() - began < START_S:
                self.gateway.check()
                with contextlib.suppress(TimeoutError):
                    if b"READY=1" in told.recv(4096):
                        return time.monotonic() - began
            raise Failed(f"the gateway was not ready within {START_S} s")

    def wait_connected(self):
        wait_for("the gateway is connected", lambda: self.gateway.check() or self.metric("touchpoint_mqtt_connected") == 1)

    def metric(self, name, labels=""):
        text = get(f"http://127.0.0.1:{self.http_port}/metrics")
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines()
                   if line.startswith(name + ("{" if labels else "")) and labels in line
                   and line[len(name):len(name) + 1] in ("{", " "))

    def histogram(self, name):
        """How many stood in each bucket alone: {upper bound: count}, the last one inf."""
        text = get(f"http://127.0.0.1:{self.http_port}/metrics")
        found = re.findall(rf'^{name}_bucket{{le="([^"]+)"}} (\d+)$', text, re.MULTILINE)
        buckets = [(float(bound), int(count)) for bound, count in found]
        return {bound: count - before for (bound, count), (_, before) in zip(buckets, [(0, 0)] + buckets)}

    def horizon(self, stream):
        return self.metric("touchpoint_store_horizon_sequence", f'stream="{stream}"')

    def wait_horizon(self, stream, events, deadline_s=300):
        """When `stream` was durable up to `events`: CLOCK_MONOTONIC, to 30 ms."""
        wait_for(f"{events} events are durable", lambda: self.gateway.check() or self.horizon(stream) >= events,
                 deadline_s, 0.03)
        return time.monotonic()

    def journal_bytes(self):
        return sum(f.stat().st_blocks * 512 for f in self.journal.rglob("*") if f.is_file())

    def load(self, messages, **options):
        return json.loads(subprocess.run(self.load_command(messages, **options), check=True, capture_output=True,
                                         text=True).stdout)

    def load_command(self, messages, array=1, rate=0, kinds="pos", connections=10, window=50, plain=False,
                     receipts=False, seed=1):
        command = [self.build / "tests/bench/bench_load", "--port", self.broker_port, "--messages", int(messages),
                   "--array", array, "--rate", rate, "--kinds", kinds, "--connections", connections, "--window",
                   window, "--seed", seed]
        command += ["--plain"] * plain + ["--receipts"] * receipts
        return [str(c) for c in command]

    def calls(self):
        """Counters of disk_calls.hpp, in its order: {"events": {...}, "cache": {...}}"""
        names = ("writes", "bytes", "pages", "zeros", "dsync_writes", "flushes")
        with open(self.calls_file, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as counters:
            numbers = struct.unpack_from("<18Q", counters)
        return {name: dict(zip(names, numbers[i * 6:i * 6 + 6])) for i, name in enumerate(("events", "cache", "log"))}

    def set_flush_us(self, us):
        """From now on a flush takes so long more. Of a gateway that was started with calls=True."""
        with open(self.calls_file, "r+b") as file, mmap.mmap(file.fileno(), 0) as counters:
            struct.pack_into("<Q", counters, 18 * 8, us)
