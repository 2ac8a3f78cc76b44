#!/usr/bin/env python3
"""The whole way on one machine: devices -> Mosquitto -> gateway -> platform, with the uplink away for a while.

    tools/demo                  until Ctrl-C
    tools/demo --seconds 60     for a minute; exit 0 only if every promised event is at the platform
    tools/demo --keep           leave the folder with logs, ledger and events

Nothing outside a temporary folder and build/ is touched; every port is one that was free. The verdict compares the
simulator's ledger with the platform's file (tools/verify-ledger), not the gateway's counters.
"""
import argparse
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
START_S = 30  # longest wait for a program to be ready
DRAIN_S = 120  # longest wait for the last events at the end
CUSTOMER, CARD = "c-1", "card:29001"  # no card of the simulated shop


class Failed(Exception):
    """What went wrong, in a sentence."""


class Interrupted(Exception):
    pass


def interrupt(number, frame):
    raise Interrupted()


def free_ports(count):
    # Below the ports of outgoing connections: one of those can be gone again before somebody listens on it.
    ports = []
    for port in random.sample(range(20_000, 32_000), 200):
        with contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", port)).close()
            ports.append(port)
        if len(ports) == count:
            return ports
    raise Failed("no port is free")


def get(url, body=None, method=None):
    request = urllib.request.Request(url, data=body, method=method or ("POST" if body else "GET"),
                                     headers={"Content-Type": "application/json"} if body else {})
    with urllib.request.urlopen(request, timeout=2) as answer:
        return answer.read().decode()


def metrics(port):
    """name -> sum over all labels"""
    sums = {}
    for line in get(f"http://127.0.0.1:{port}/metrics").splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            name = name.partition("{")[0]
            sums[name] = sums.get(name, 0.0) + float(value)
    return sums


class Demo:
    def __init__(self, folder, options):
        self.folder = folder
        self.options = options
        self.processes = []
        self.broker_port, self.http_port, self.platform_port, self.profiles_port = free_ports(4)
        self.platform = f"http://127.0.0.1:{self.platform_port}"
        self.ledger = folder / "ledger.ndjson"
        self.events = folder / "events.ndjson"
        self.uplink_down = False

    def start(self, name, *command):
        with open(self.folder / f"{name}.log", "wb") as log:
            # A group of its own: Ctrl-C is for us, and we stop the programs in their order.
            process = subprocess.Popen([str(c) for c in command], stdout=log, stderr=subprocess.STDOUT,
                                       stdin=subprocess.DEVNULL, start_new_session=True)
        self.processes.append((name, process))
        return process

    def wait_ready(self, name, ready):
        process = dict(self.processes)[name]
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise Failed(f"{name} ended at once: {self.last_words(name)}")
            try:
                if ready():
                    return
            except OSError:  # also URLError and time-outs
                pass
            time.sleep(0.05)
        raise Failed(f"{name} was not ready within {START_S} s: {self.last_words(name)}")

    def last_words(self, name):
        lines = (self.folder / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return " / ".join(lines[-3:]) or "it said nothing"

    def accepts(self, port):
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True

    def start_all(self):
        broker_data = self.folder / "broker"
        broker_data.mkdir()
        (self.folder / "broker.conf").write_text(
            f"listener {self.broker_port} 127.0.0.1\n"
            "user root\n"  # started by root it would change to a user who cannot enter our folder
            "allow_anonymous true\n"
            "persistence true\n"
            f"persistence_location {broker_data}/\n"
            "autosave_interval 60\n"
            "max_queued_messages 100000\n"
            "max_inflight_messages 100\n"
            "message_size_limit 262144\n"
            "set_tcp_nodelay true\n")
        mosquitto = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.start("broker", mosquitto, "-c", self.folder / "broker.conf")
        self.start("platform", BUILD / "tools/platform/platform", "--listen", f"127.0.0.1:{self.platform_port}",
                   "--out", self.events)
        for name in ("data", "journal"):
            (self.folder / name).mkdir()
        (self.folder / "touchpoint.toml").write_text(
            '[gateway]\nid = "gw-demo"\nstore = "demo"\n'
            f'[mqtt]\nurl = "mqtt://127.0.0.1:{self.broker_port}"\n'
            f'[store]\npath = "{self.folder}/data"\njournal_path = "{self.folder}/journal"\n'
            f'[http.local]\nlisten = "127.0.0.1:{self.http_port}"\n'
            f'[http.platform]\nlisten = "127.0.0.1:{self.profiles_port}"\n'
            f'[control]\nsocket = "{self.folder}/control.sock"\n'
            f'[[uplink.push]]\nname = "platform"\nurl = "{self.platform}/events"\n'
            # A demonstration has no five minutes for the longest pause between tries.
            'retry_first_ms = 250\nretry_max_ms = 2000\n')
        self.wait_ready("broker", lambda: self.accepts(self.broker_port))
        self.wait_ready("platform", lambda: bool(get(f"{self.platform}/summary")))
        self.start("gateway", BUILD / "gateway/touchpointd", "--config", self.folder / "touchpoint.toml")
        self.wait_ready("gateway", lambda: metrics(self.http_port).get("touchpoint_mqtt_connected", 0) == 1)
        duration = ["--seconds", self.options.seconds] if self.options.seconds else []
        self.start("simulate", BUILD / "gateway/command/touchpoint", "simulate", "--url",
                   f"mqtt://127.0.0.1:{self.broker_port}", "--rate", self.options.rate, "--devices",
                   self.options.devices, "--ledger", self.ledger, *duration)

    def know_a_customer(self):
        """The platform puts a profile into the store, and a till reads it by the customer's card."""
        name = f"http://127.0.0.1:{self.profiles_port}/v1/profiles/{CUSTOMER}"
        document = json.dumps({"version": 1, "aliases": [CARD], "traits": {"tier": "gold"}}).encode()
        deadline = time.monotonic() + START_S
        while True:
            try:
                get(name, document, "PUT")  # said again, it is unchanged
                began = time.monotonic()
                profile = json.loads(get(f"http://127.0.0.1:{self.http_port}/v1/profiles/{CARD}"))
                break
            except (OSError, ValueError) as error:  # also 503: not now
                if time.monotonic() > deadline:
                    raise Failed(f"the till does not know the customer ({error})") from error
                time.sleep(0.5)
        took_ms = (time.monotonic() - began) * 1000
        if profile.get("id") != CUSTOMER:
            raise Failed(f"the till was told of somebody else: {profile}")
        print(f"a till knows {CARD} as {profile['id']}, read in {took_ms:.1f} ms", flush=True)

    def print_what_to_try(self):
        local = f"http://127.0.0.1:{self.http_port}"
        print(f"""folder {self.folder}; metrics {local}/metrics; broker mqtt://127.0.0.1:{self.broker_port}
In another terminal, while this runs:
  {BUILD}/gateway/command/touchpoint --config {self.folder}/touchpoint.toml status
  curl '{local}/v1/events?device=kiosk/try&event=search' -d '{{"customer":"{CARD}","query":"oat milk"}}'
  curl {local}/v1/profiles/{CARD}
  curl -X PUT http://127.0.0.1:{self.profiles_port}/v1/profiles/c-2 -d '{{"version":1,"aliases":["card:29002"]}}'""", flush=True)

    def set_uplink(self, down):
        try:
            get(f"{self.platform}/control", json.dumps({"mode": "down" if down else "up"}).encode())
        except OSError as error:
            raise Failed(f"the platform cannot be told to go away or come back ({error})") from error
        self.uplink_down = down
        print(f"         --- the uplink is {'taken away' if down else 'back'} ---", flush=True)

    def print_line(self, began):
        """The backlog, or None when the gateway was too busy to say."""
        try:
            m = metrics(self.http_port)
        except OSError as error:
            print(f"{time.monotonic() - began:5.0f} s  the gateway did not say ({error})", flush=True)
            return None
        waiting = m.get("touchpoint_push_waiting_events", 0)
        print(f"{time.monotonic() - began:5.0f} s  received {m.get('touchpoint_intake_events_total', 0):8.0f}"
              f"  on disk {m.get('touchpoint_store_horizon_sequence', 0):8.0f}"
              f"  delivered {m.get('touchpoint_push_events_total', 0):8.0f}  backlog {waiting:7.0f}"
              f"{'  (uplink away)' if self.uplink_down else ''}", flush=True)
        return waiting

    def check_alive(self):
        for name, process in self.processes:
            if name != "simulate" and process.poll() is not None:
                raise Failed(f"{name} ended with status {process.returncode}: {self.last_words(name)}")

    def run(self):
        """Until the simulator has ended; the uplink is away in the middle third."""
        simulate = dict(self.processes)["simulate"]
        began = time.monotonic()
        seconds = self.options.seconds
        # Without an end there is no third of it: twenty seconds of every minute.
        away = (seconds / 3, seconds * 2 / 3) if seconds else (20, 40)
        tick = began
        while simulate.poll() is None:
            self.check_alive()
            passed = time.monotonic() - began
            if not seconds:
                passed %= 60
            down = away[0] <= passed < away[1]
            if down != self.uplink_down:
                self.set_uplink(down)
            self.print_line(began)
            tick += 1
            time.sleep(max(0.0, tick - time.monotonic()))
        return began

    def drain(self, began):
        """Everything that devices were promised gets to the platform."""
        if self.uplink_down:
            self.set_uplink(False)
        deadline = time.monotonic() + DRAIN_S
        quiet = 0
        while quiet < 2:  # an event may be between intake and commit when the backlog reads 0
            self.check_alive()
            if time.monotonic() > deadline:
                raise Failed(f"the backlog was not delivered within {DRAIN_S} s")
            quiet = quiet + 1 if self.print_line(began) == 0 else 0
            time.sleep(1)

    def stop(self, name):
        for started, process in self.processes:
            if started != name or process.poll() is not None:
                continue
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(DRAIN_S if name == "simulate" else 15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise Failed(f"{name} did not end when it was told to")

    def verdict(self):
        # The writers have ended, so their files are whole.
        for name in ("gateway", "platform", "broker"):
            self.stop(name)
        return subprocess.run([sys.executable, ROOT / "tools/verify-ledger", "--ledger", self.ledger, "--events",
                               self.events], check=False).returncode

    def kill_all(self):
        for _, process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def build():
    with open(os.devnull, "wb") as nothing:
        quiet = None if sys.stdout.isatty() else nothing
        subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True, stdout=quiet)
    subprocess.run(["cmake", "--build", BUILD, "--target", "touchpointd", "touchpoint", "platform"], check=True)


def main():
    parser = argparse.ArgumentParser(description="A shop, a gateway and a platform on this machine.")
    parser.add_argument("--seconds", type=int, default=0, help="end by itself after this time (default: Ctrl-C)")
    parser.add_argument("--rate", type=float, default=100, help="events a second (default 100)")
    parser.add_argument("--devices", type=int, default=30, help="kiosks, beacons and tills (default 30)")
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs, ledger and events")
    options = parser.parse_args()
    if options.seconds < 0:
        parser.error("--seconds is a number of seconds from 0 on")

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        build()
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"demo: the programs could not be built ({error})", file=sys.stderr)
        return 1
    except Interrupted:
        return 130
    folder = pathlib.Path(tempfile.mkdtemp(prefix="touchpoint-demo-"))
    demo = Demo(folder, options)
    status = 1
    try:
        demo.start_all()
        demo.print_what_to_try()
        demo.know_a_customer()
        try:
            began = demo.run()
        except Interrupted:
            began = time.monotonic()
            print("\nending: waiting for what is under way (Ctrl-C again ends at once)", flush=True)
            if demo.uplink_down:
                demo.set_uplink(False)
            demo.stop("simulate")
        demo.drain(began)
        status = demo.verdict()
        # Of a run that was to the end, its exit status counts too: it says whether every event was answered.
        if dict(demo.processes)["simulate"].returncode != 0:
            print(f"simulate: {demo.last_words('simulate')}")
            status = 1
    except Failed as failure:
        print(f"demo: {failure}", file=sys.stderr)
        options.keep = True
    except Interrupted:
        print("demo: interrupted; no verdict", file=sys.stderr)
        status = 130
    finally:
        demo.kill_all()
        if options.keep or status == 1:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
