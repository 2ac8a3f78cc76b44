"""A real gateway for openapi_replay.py: its files, its tokens, its process, and plain HTTP to its listeners.

Nothing here knows the document.
"""
import ctypes
import http.client
import json
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import time

PATIENCE_S = 60  # on a loaded machine
ROLES = ("device", "app", "platform", "technician")


PORTS = range(20_000, 32_000)  # below those of outgoing connections, as in tests/support/process.cpp
reserved = []  # sockets: a port is ours for the life of this process


def free_port():
    for port in random.sample(PORTS, 200):
        ours = socket.socket(socket.AF_UNIX)
        try:
            ours.bind(f"\0touchpoint-test-port-{port}")
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            ours.close()
            continue
        reserved.append(ours)
        return port
    raise SystemExit("openapi: no port is free")


def die_with_us():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def wait_until(is_true, what, seconds=PATIENCE_S):
    end = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > end:
            raise SystemExit(f"openapi: waited {seconds} s in vain for: {what}")
        time.sleep(0.05)


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    def header(self, name):
        return self.headers.get(name.lower())

    def json(self):
        return json.loads(self.body)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Shop:
    """One touchpointd in `folder`. `local`, `platform`, `store`: more keys of these tables; `more`: more tables."""

    def __init__(self, programs, folder, broker_url, name, local="", platform="", store="", more="",
                 tokens=True):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.programs = programs
        self.ports = {"local": free_port(), "platform": free_port()}
        self.control = self.folder / "control.sock"
        self.tokens = {}
        self.process = None
        tokens_file = self.folder / "tokens.toml"
        (self.folder / "touchpoint.toml").write_text(
            f'[gateway]\nid = "gw-{name}"\nstore = "s1"\n'
            f'[mqtt]\nurl = "{broker_url}"\nclient_id = "openapi-{name}"\n'
            f'[store]\npath = "{self.folder / "data"}"\njournal_path = "{self.folder / "run"}"\n'
            f"commit_interval_ms = 20\n{store}"
            "[profiles]\nanswer_within_ms = 1000\n"  # a machine that is busy with tests is no reason to say so
            + (f'[auth]\ntokens_file = "{tokens_file}"\n' if tokens else "")
            + f'[http.local]\nlisten = "127.0.0.1:{self.ports["local"]}"\n{local}'
            f'[http.platform]\nlisten = "127.0.0.1:{self.ports["platform"]}"\n{platform}'
            f'[control]\nsocket = "{self.control}"\ngroup = ""\n{more}')
        if tokens:
            for role in ROLES:
                more_arguments = ["--device", "pos/t1"] if role == "device" else []
                made = subprocess.run(
                    [programs["touchpoint"], "--config", self.folder / "touchpoint.toml", "token", "create",
                     "--role", role, *more_arguments], capture_output=True, text=True)
                words = made.stdout.split()
                if made.returncode != 0 or not words or not words[-1].startswith("tp_"):
                    raise SystemExit(f"openapi: no token: {made.stdout}{made.stderr}")
                self.tokens[role] = words[-1]

    def start(self, ready=True):
        """Returns when it takes events; not `ready`: when it answers."""
        log = open(self.folder / "gateway.log", "ab")
        self.process = subprocess.Popen(
            [self.programs["touchpointd"], "--config", self.folder / "touchpoint.toml"], stdout=log, stderr=log,
            preexec_fn=die_with_us)
        path = "/readyz" if ready else "/healthz"
        wait_until(lambda: self.says_yes(path) or self.process.poll() is not None, "a gateway that is ready")
        if self.process.poll() is not None:
            raise SystemExit("openapi: the gateway ended: " + self.log())

    def says_yes(self, path):
        try:
            return self.ask("control", "GET", path).status == 200
        except OSError:
            return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(PATIENCE_S) != 0:
            raise SystemExit("openapi: the gateway did not end in order: " + self.log())

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def keep_data(self):
        shutil.copytree(self.folder / "data", self.folder / "kept", symlinks=True)

    def restore_data(self):
        shutil.rmtree(self.folder / "data")
        shutil.copytree(self.folder / "kept", self.folder / "data", symlinks=True)

    def log(self):
        return (self.folder / "gateway.log").read_text(errors="replace")

    def connection(self, listener, timeout=PATIENCE_S):
        if listener == "control":
            return UnixConnection(self.control, timeout)
        return http.client.HTTPConnection("127.0.0.1", self.ports[listener], timeout=timeout)

    def ask(self, listener, method, target, headers=None, body=None, token=None, size=None):
        """`headers`: a dict, or a list of pairs where one stands twice. `size`: reads so much of a stream."""
        connection = self.connection(listener)
        fields = list(headers.items() if isinstance(headers, dict) else headers or [])
        names = {name.lower() for name, _ in fields}
        try:
            connection.putrequest(method, target, skip_accept_encoding=True, skip_host="host" in names)
            if token:
                connection.putheader("Authorization", "Bearer " + token)
            for name, value in fields:
                connection.putheader(name, value)
            body = body.encode() if isinstance(body, str) else body
            if body is not None and not names & {"content-length", "transfer-encoding"}:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read1(size) if size else answer.read())
        finally:
            connection.close()

    def greeting(self, listener):
        """What a client is told that gets no place: before it has asked anything."""
        connection = self.connection(listener)
        connection.connect()
        try:
            answer = http.client.HTTPResponse(connection.sock)
            answer.begin()
            return Answer(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()
