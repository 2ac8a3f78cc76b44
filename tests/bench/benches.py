"""The benchmarks. Each yields rows: what was measured, the figure, its goal. README.md says how to read them."""
import json
import statistics
import subprocess
import threading
import time
from pathlib import Path

from harness import PAGE, Failed, Shop, wait_for
from profiles import h
from rows import MB, row, spread

# (a) ---------------------------------------------------------------------------------------------------------------
def bare_rate(size, array, messages):
    with Shop(size.build) as shop:
        shop.start_broker()
        bare = subprocess.Popen([size.build / "tests/bench/bench_bare", str(shop.broker_port), str(messages)],
                                stdout=subprocess.PIPE, text=True)
        try:
            if bare.stdout.readline() != "ready\n":
                raise Failed("the bare subscriber did not start")
            load = shop.load(messages, array=array)
            got = json.loads(bare.stdout.readline())
        finally:
            bare.kill()
            bare.wait()
        return messages / (got["ended"] - load["began"]), got["cpu_seconds"] / messages * 1e6


def our_rate(size, array, messages):
    with Shop(size.build) as shop:
        shop.start_broker()
        shop.start_gateway()
        shop.wait_connected()
        cpu = shop.gateway.cpu_s()
        load = subprocess.Popen(shop.load_command(messages, array=array, receipts=True), stdout=subprocess.PIPE,
                                text=True)
        try:
            ended = shop.wait_horizon("sales", messages * array)
            cpu = shop.gateway.cpu_s() - cpu
            got = json.loads(load.communicate(timeout=120)[0])
        finally:
            load.kill()
            load.wait()
        return messages / (ended - got["began"]), cpu / messages * 1e6, got["receipts"] / got["events"]


def a(size):
    rates = {}
    for array, messages in ((1, size.intake_messages), (20, size.intake_messages // 4)):
        bare, ours = [], []
        for repetition in range(size.repeat):
            for measure, into in ((bare_rate, bare), (our_rate, ours))[::1 if repetition % 2 == 0 else -1]:
                into.append(measure(size, array, messages))
        ratios = [o[0] / b[0] for o, b in zip(ours, bare)]
        rates[array] = [o[0] * array for o in ours]
        what = "single events" if array == 1 else f"arrays of {array}"
        yield row("a", f"{what}: durable messages/s over a bare subscriber's", statistics.median(ratios), "ratio",
                  least=0.7 if array == 1 else None, **spread(ratios))
        yield row("a", f"{what}: bare subscriber", statistics.median(b[0] for b in bare), "messages/s",
                  cpu_us_per_message=round(statistics.median(b[1] for b in bare), 1))
        yield row("a", f"{what}: durable", statistics.median(rates[array]), "events/s",
                  cpu_us_per_message=round(statistics.median(o[1] for o in ours), 1),
                  receipts_part=round(min(o[2] for o in ours), 4))
    ratios = [many / single for single, many in zip(rates[1], rates[20])]
    yield row("a", "arrays of 20 over single events, events/s", statistics.median(ratios), "ratio", least=3,
              **spread(ratios))


# (b) ---------------------------------------------------------------------------------------------------------------
def commit(size, *arguments):
    done = subprocess.run([size.build / "tests/bench/bench_commit", *map(str, arguments)], check=True,
                          capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def b(size):
    for group, groups in ((100, size.commits), (1000, max(size.commits // 4, 10))):
        for flush_us, disk, name in ((5000, "/dev/shm", "5 ms a flush"), (0, None, "this machine's disk")):
            with Shop(size.build, disk) as shop:
                runs = commit(size, "ratio", "--folder", shop.folder, "--group", group, "--groups", groups, "--flush-us",
                              flush_us, "--repeat", size.repeat)
            ratios = [run["ratio"] for run in runs]
            yield row("b", f"groups of {group}, {name}: committer over segment log", statistics.median(ratios), "ratio",
                      least=0.85 if (group, flush_us) == (100, 5000) else None, **spread(ratios),
                      store_events_per_s=statistics.median(run["store_events_per_s"] for run in runs),
                      log_events_per_s=statistics.median(run["log_events_per_s"] for run in runs),
                      events_per_commit=statistics.median(run["events_per_commit"] for run in runs))
            yield row("b", f"groups of {group}, {name}: flushes a commit",
                      statistics.median(run["flushes_per_commit"] for run in runs), "flushes", most=1.02)


# (c) ---------------------------------------------------------------------------------------------------------------
def c(size):
    events = size.backlog_drained
    rates, cpu, wire = [], [], []
    for _ in range(max(size.repeat // 2, 1)):
        with Shop(size.build) as shop:
            shop.start_broker()
            shop.start_gateway(push=True)
            shop.wait_connected()
            shop.load(events // 20, array=20, kinds="kiosk", plain=False)
            shop.wait_horizon("interactions", events // 20 * 20)
            before = shop.gateway.cpu_s()
            shop.start_platform()
            wait_for("the platform is there", shop.summary)
            began = time.monotonic()
            wait_for("the backlog is delivered", lambda: shop.summary()["events"] >= events // 20 * 20, 300, 0.05)
            seconds = time.monotonic() - began
            summary = shop.summary()
            if summary["holes"] or summary["changed"] or summary["malformed"]:
                raise Failed(f"the platform found errors: {summary}")
            rates.append(events / seconds)
            cpu.append((shop.gateway.cpu_s() - before) / events * 1e6)
            wire.append(summary["bytes"] / summary["events"])
    yield row("c", f"drain of {events} events", statistics.median(rates), "events/s", **spread(rates))
    yield row("c", "CPU of the gateway", statistics.median(cpu), "s per 1 M events", **spread(cpu))
    yield row("c", "bodies on the wire, zstd", statistics.median(wire), "bytes/event")


# (d) ---------------------------------------------------------------------------------------------------------------
def day_of(size, kinds, name, goal):
    with Shop(size.build) as shop:
        shop.start_broker()
        shop.start_platform()
        shop.start_gateway(push=True, calls=True)
        shop.wait_connected()
        shop.load(20, kinds=kinds, connections=20, rate=20)  # the file is filled ahead, every device is known
        time.sleep(2)
        commits = shop.metric("touchpoint_store_commits_total")
        before = shop.calls()
        began = time.monotonic()
        shop.load(5 * size.day_seconds, kinds=kinds, connections=20, rate=5, seed=2)
        seconds = time.monotonic() - began
        after = shop.calls()
        commits = shop.metric("touchpoint_store_commits_total") - commits
    delta = {f: {n: after[f][n] - before[f][n] for n in after[f]} for f in after}
    written = {f: delta[f]["pages"] * PAGE for f in ("events", "cache")}
    per_day = 86400 / seconds
    flushes = delta["events"]["flushes"] + delta["events"]["dsync_writes"]
    yield row("d", f"5 events/s, {name}: written a day", sum(written.values()) * per_day / 1e9, "GB", most=goal,
              seconds=round(seconds), commits_per_s=round(commits / seconds, 3),
              bytes_per_commit=round(written["events"] / commits), flushes_per_commit=round(flushes / commits, 3),
              write_lengths_gb=round(sum(delta[f]["bytes"] for f in ("events", "cache")) * per_day / 1e9, 3),
              cache_gb=round(written["cache"] * per_day / 1e9, 3))


def d(size):
    with Shop(size.build) as shop:
        held = commit(size, "held", "--folder", shop.folder, "--group", 1000, "--groups", size.commits)[0]
    yield row("d", "groups of 1000: held on disk", held["held_bytes"], "bytes/event", most=100, **held)
    yield row("d", "groups of 1000: written", held["written_bytes"], "bytes/event")
    yield from day_of(size, "kiosk,beacon", "kiosks and beacons", 4)
    yield from day_of(size, "kiosk,beacon,beacon,pos", "a quarter of them tills", None)


# (e) ---------------------------------------------------------------------------------------------------------------
class Watch:
    """The largest RssAnon plus journal, looked at ten times a second."""

    def __init__(self, shop):
        self.shop = shop
        self.most = self.anon = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.ended.wait(0.1):
            anon = self.shop.gateway.rss_anon()
            journal = self.shop.journal_bytes()
            if anon + journal > self.most:
                self.most, self.anon = anon + journal, anon

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def settle(shop):
    """Memory at rest: after the last flush and the next look of everything periodic."""
    time.sleep(1.5)
    return shop.gateway.rss_anon() + shop.journal_bytes()


def restart(shop, end="stop"):
    getattr(shop.gateway, end)()
    ready = shop.start_gateway(push=True)
    shop.wait_connected()
    return ready


def e(size):
    events, load_s = size.backlog, size.load_seconds
    with Shop(size.build) as shop:
        shop.start_broker()
        ready = shop.start_gateway(push=True)  # the platform is away
        shop.wait_connected()
        idle = settle(shop)
        yield row("e", "idle, new store", idle / MB, "MB", most=16, anon_mb=round(shop.gateway.rss_anon() / MB, 2))
        yield row("e", "start to ready, new store", ready, "s", most=0.5)
        with Watch(shop) as watch:
            shop.load(events // 100, array=100, kinds="kiosk", plain=True)
            shop.wait_horizon("interactions", events // 100 * 100)
        yield row("e", f"while {events} events came as fast as they could", watch.most / MB, "MB",
                  anon_mb=round(watch.anon / MB, 2))
        after_load = settle(shop)
        readies = [restart(shop) for _ in range(3)]
        backlog = settle(shop)
        yield row("e", f"what a backlog of {events} adds, after a restart", (backlog - idle) / MB, "MB", most=4)
        yield row("e", f"the same without one", (after_load - idle) / MB, "MB")
        yield row("e", f"start to ready with {events} waiting", statistics.median(readies), "s", most=0.5)
        # After a kill -9 the file is looked at first (store/environment.hpp, readable).
        readies = [restart(shop, "kill") for _ in range(3)]
        yield row("e", "the same after a kill -9", statistics.median(readies), "s", most=0.5)
        # The dedup window is filled by as many ids.
        shop.load(events // 100, array=100, kinds="kiosk", seed=2)
        shop.wait_horizon("interactions", events // 100 * 200)
        readies = [restart(shop) for _ in range(3)]
        ids = shop.metric("touchpoint_store_dedup_ids")
        yield row("e", f"start to ready with {2 * events} waiting and {ids:.0f} ids", statistics.median(readies), "s",
                  most=0.5)
        yield row("e", f"idle with {2 * events} waiting and {ids:.0f} ids", settle(shop) / MB, "MB")
        shop.start_platform()
        with Watch(shop) as watch:
            shop.load(2000 * load_s, rate=2000, kinds="pos,kiosk,beacon", connections=30, seed=3)
        yield row("e", "2,000 events/s and a backlog being delivered, dedup window full", watch.most / MB, "MB",
                  anon_mb=round(watch.anon / MB, 2))
        wait_for("the backlog is delivered", lambda: shop.metric("touchpoint_push_waiting_events") == 0, 600, 0.2)
        with Watch(shop) as watch:
            shop.load(2000 * load_s, rate=2000, kinds="pos,kiosk,beacon", connections=30, seed=4)
        yield row("e", "2,000 events/s, dedup window full", watch.most / MB, "MB", most=40,
                  anon_mb=round(watch.anon / MB, 2), dedup_ids=shop.metric("touchpoint_store_dedup_ids"))


# (f) ---------------------------------------------------------------------------------------------------------------
def f(size):
    with Shop(size.build) as shop:
        shop.start_broker()
        shop.start_platform()
        shop.start_gateway(push=True)
        shop.wait_connected()
        for number, rate in enumerate((5, 100, 1000)):
            seconds = size.latency_seconds if rate == 5 else size.latency_seconds // 2
            got = shop.load(rate * seconds, rate=rate, receipts=True, seed=number + 1)
            goals = ({"most": 50}, {"most": 250}) if rate == 5 else ({}, {})
            if got["receipts"] != got["events"]:
                raise Failed(f"{got['receipts']} receipts for {got['events']} sales")
            yield row("f", f"sales at {rate}/s: receipt p50", got["p50_ms"], "ms", **goals[0], receipts=got["receipts"])
            yield row("f", f"sales at {rate}/s: receipt p99", got["p99_ms"], "ms", **goals[1], max_ms=got["max_ms"])


# (g) ---------------------------------------------------------------------------------------------------------------
def g(size):
    """A till's receipts at 5/s, alone and beside attack.py, in turns."""
    ratios, alone, attacked, rates = [], [], [], {}
    with Shop(size.build) as shop:
        shop.start_broker()
        shop.start_platform()
        shop.start_gateway(push=True, guarded=True)
        shop.wait_connected()

        def sales(seed):
            got = shop.load(5 * size.latency_seconds, rate=5, receipts=True, connections=1, seed=seed)
            if got["receipts"] != got["events"]:
                raise Failed(f"{got['receipts']} receipts for {got['events']} sales")
            return got["p99_ms"]

        sales(1)  # the device is known, the file filled ahead
        for repetition in range(size.repeat):
            alone.append(sales(2 * repetition + 2))
            attack = subprocess.Popen(["nice", "python3", Path(__file__).parent / "attack.py", "--mqtt",
                                       str(shop.broker_port), "--http", str(shop.http_port)], stdout=subprocess.PIPE,
                                      text=True)
            try:
                time.sleep(2)  # every slow connection is there
                attacked.append(sales(2 * repetition + 3))
            finally:
                attack.terminate()
                rates = json.loads(attack.communicate(timeout=30)[0])
            ratios.append(attacked[-1] / alone[-1])
        shop.gateway.check()
    yield row("g", "a till's receipt p99 under attack over alone", statistics.median(ratios), "ratio", most=2,
              **spread(ratios), attacks_per_s=rates)
    yield row("g", "alone", statistics.median(alone), "ms")
    yield row("g", "under attack", statistics.median(attacked), "ms")


BENCHES = {"a": a, "b": b, "c": c, "d": d, "e": e, "f": f, "g": g, "h": h}
