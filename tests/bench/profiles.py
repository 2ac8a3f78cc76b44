"""Benchmark (h): profiles loaded beside events, read by tills over HTTP, and what their encryption costs."""
import contextlib
import json
import signal
import statistics
import subprocess
import threading
import time

from harness import Failed, Program, Shop, free_port, wait_for
from rows import MB, row, spread

PROFILE_BYTES = 2048
FLUSH_US = 200_000
# Of profiles.bytes: 2 KB of JSON lie in an overflow page of their own with a row in a leaf, two aliases, a touch.
ROOM_A_PROFILE = 6_000
# Of reads, that must have nothing to do with a stop of the machine for the rest to say something of the gateway.
APART_LEAST = 0.8
COMMITS = "touchpoint_store_commit_seconds"


def p99_between(before, after):
    """Of what came between two looks at a histogram: in its bucket as far in as it is among those there."""
    came = {bound: after[bound] - before[bound] for bound in after}
    left = 0.99 * sum(came.values())
    below = 0.0
    for bound, count in came.items():
        if left <= count:
            return below if bound == float("inf") else below + (bound - below) * left / max(count, 1)
        left -= count
        below = bound
    raise Failed("no commit was timed")


class Memory:
    """The largest RssAnon of the gateway, looked at ten times a second."""

    def __init__(self, shop):
        self.shop = shop
        self.most = shop.gateway.rss_anon()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.ended.wait(0.1):
            self.most = max(self.most, self.shop.gateway.rss_anon())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def answer_of(process):
    text, _ = process.communicate(timeout=120)
    if process.returncode != 0:
        raise Failed(f"bench_customers ended with {process.returncode}")
    return json.loads(text)


def customers(size, *arguments):
    return subprocess.Popen([size.build / "tests/bench/bench_customers", *map(str, arguments)], stdout=subprocess.PIPE,
                            text=True)


def read(size, port, rate=0.0, seconds=None, seed=1):
    return customers(size, "read", "--port", port, "--profiles", size.profiles, "--rate", rate, "--seconds",
                     seconds or size.read_seconds, "--seed", seed)


def sealing(size):
    with Shop(size.build, "/dev/shm") as shop:
        done = subprocess.run([size.build / "tests/bench/bench_sealing", "--folder", shop.folder, "--profiles",
                               str(min(size.profiles, 20_000)), "--bytes", str(PROFILE_BYTES), "--repeat",
                               str(size.repeat)], check=True, capture_output=True, text=True)
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    for what, whole, part in (("read by alias", "read_us", "open_us"), ("write without its flush", "write_us", "seal_us")):
        ratios = [run[whole] / (run[whole] - run[part]) for run in runs]
        yield row("h", f"{what}, sealed over what is left without", statistics.median(ratios), "ratio", **spread(ratios),
                  whole_us=statistics.median(run[whole] for run in runs),
                  sealing_us=statistics.median(run[part] for run in runs), row_bytes=runs[0]["row_bytes"])


def pause(load, shop):
    load.send_signal(signal.SIGUSR1)

    def nothing_comes():
        held = shop.metric("touchpoint_profiles")
        time.sleep(1)
        return shop.metric("touchpoint_profiles") == held
    wait_for("the load pauses", nothing_comes, 60)


def bulk_load(size, shop):
    """What the machine does otherwise changes by the minute: the load makes a pause after each few slices, for one alone."""
    seeds = iter(range(1, 1_000_000))

    def one():
        """p99 in ms: of a commit, and of a till's receipt."""
        before = shop.histogram(COMMITS)
        got = shop.load(1000 * size.slice_seconds, rate=1000, kinds="pos,kiosk,beacon", connections=30, receipts=True,
                        seed=next(seeds))
        if got["receipts"] < got["events"] // 3 - 30:  # of the tills, whose turn comes each third time
            raise Failed(f"{got['receipts']} receipts for {got['events']} events, a third of them sales")
        return p99_between(before, shop.histogram(COMMITS)) * 1000, got["p99_ms"]

    one()  # devices are known, the file is filled ahead
    idle = shop.gateway.rss_anon()
    alone = [one()]
    beside = []  # alone[i], beside[i], alone[i + 1]
    with Memory(shop) as memory:
        load = customers(size, "load", "--port", shop.platform_http_port, "--profiles", size.profiles, "--bytes",
                         PROFILE_BYTES)
        try:
            while load.poll() is None:
                together = []
                while len(together) < size.slices_beside and load.poll() is None:
                    together.append(one())
                if together and load.poll() is not None and (beside or len(together) > 1):
                    together.pop()  # the load ended in the middle of it
                if not together:
                    break
                beside.append(together)
                if load.poll() is None:
                    pause(load, shop)
                alone.append(one())
                load.send_signal(signal.SIGUSR1)
            loaded = answer_of(load)
        finally:
            load.kill()
            load.wait()

    def compared(which):
        """Median over median, and of each stretch of the load over what was just before and after it."""
        with_it = [pair[which] for together in beside for pair in together]
        without = [pair[which] for pair in alone]
        near = [statistics.median(pair[which] for pair in together) / ((before[which] + after[which]) / 2)
                for together, before, after in zip(beside, alone, alone[1:])]
        return statistics.median(with_it) / statistics.median(without), {
            "alone_ms": round(statistics.median(without), 3), "beside_ms": round(statistics.median(with_it), 3),
            "worst_slice_ms": round(max(with_it), 3), "slices": len(with_it), **spread(near)}

    held = shop.metric("touchpoint_profiles")
    if loaded["created"] != size.profiles or held != size.profiles:
        raise Failed(f"{size.profiles} profiles were sent, {loaded['created']} created, {held:.0f} are held")
    ratio, made_of = compared(0)
    yield row("h", f"commit p99 at 1,000 events/s while {size.profiles} profiles are loaded, over alone", ratio, "ratio",
              most=2, **made_of)
    ratio, made_of = compared(1)
    yield row("h", "receipt p99 of the same, over alone", ratio, "ratio", **made_of)
    yield row("h", "profiles loaded beside them", loaded["per_s"], "profiles/s", batch_p50_ms=loaded["batch_p50_ms"],
              batch_p99_ms=loaded["batch_p99_ms"], seconds=loaded["seconds"])
    yield row("h", "room that a profile of 2 KB takes, as profiles.bytes counts it",
              shop.metric("touchpoint_profiles_bytes") / held, "bytes",
              file_bytes=round((shop.folder / "data/cache/data.mdb").stat().st_blocks * 512 / held))
    yield row("h", "memory of the gateway (RssAnon) while loading", memory.most / MB, "MB", before_mb=round(idle / MB, 2))


@contextlib.contextmanager
def constant(size, shop, body_bytes, pages_of=None):
    """`pages_of`: a file of which it looks at three random pages for each answer."""
    port = free_port()
    server = Program(f"{'pages' if pages_of else 'constant'}-{port}", shop.folder,
                     [size.build / "tests/bench/bench_constant", port, round(body_bytes), *([pages_of] if pages_of else [])])
    try:
        wait_for("the constant is served", lambda: server.check() or b"ready" in server.log.read_bytes())
        yield port, server
    finally:
        server.stop()


@contextlib.contextmanager
def rivals(size, shop):
    """Two Beast servers, each a port and a program: one with a constant, one that looks at the memory that a read of ours looks at."""
    body_bytes = answer_of(read(size, shop.http_port, 100, 0.5))["body_bytes"]
    with constant(size, shop, body_bytes) as plain, \
            constant(size, shop, body_bytes, shop.folder / "data/cache/data.mdb") as pages:
        yield plain, pages


def apart(what, runs, most):
    """Of reads that no stop of the machine touched (tests/bench/stops.hpp): no goal where those are few, nothing where it
    could not be watched."""
    if any("apart" not in run for run in runs):
        return
    part_of_all = sum(run["apart"] for run in runs) / sum(run["reads"] for run in runs)
    yield row("h", f"{what}, apart from stops of the machine: p99", statistics.median(run["apart_p99_ms"] for run in runs), "ms",
              most=most if part_of_all >= APART_LEAST else None, p999_ms=statistics.median(run["apart_p999_ms"] for run in runs),
              part_of_all=round(part_of_all, 4),
              core_stops_per_s=round(sum(run["stops"] for run in runs) / sum(run["seconds"] for run in runs), 2),
              longest_stop_ms=max(run["longest_stop_ms"] for run in runs), **spread([run["apart_p99_ms"] for run in runs]))


def paced(size, shop):
    """Before anything reads as fast as it can: what the machine does with the pages read then is in the tail afterwards."""
    runs, plain, pages = [], [], []
    with Memory(shop) as memory, rivals(size, shop) as ((plain_port, _), (pages_port, _)):
        for repetition in range(size.repeat):
            for into, port in ((runs, shop.http_port), (plain, plain_port), (pages, pages_port)):
                into.append(answer_of(read(size, port, 5000, seed=100 + repetition)))
    middle = {key: statistics.median(run[key] for run in runs) for key in ("p50_ms", "p99_ms", "p999_ms", "per_s")}
    rival = statistics.median(run["p99_ms"] for run in pages)
    yield row("h", "reads by alias at 5,000/s: p99", middle["p99_ms"], "ms", most=2, p50_ms=middle["p50_ms"],
              p999_ms=middle["p999_ms"], per_s=middle["per_s"], max_ms=max(run["max_ms"] for run in runs),
              not_now=sum(run["not_now"] for run in runs), constant_p99_ms=statistics.median(run["p99_ms"] for run in plain),
              pages_p99_ms=rival, **spread([run["p99_ms"] for run in runs]))
    yield from apart("reads by alias at 5,000/s", runs, 2)
    yield row("h", "memory of the gateway (RssAnon) meanwhile", memory.most / MB, "MB")


def beside_drain(size, shop):
    """Who reads from the gateway, then who reads from a bare server instead, each beside a drain of its own."""
    with rivals(size, shop) as (_, (pages, _)):
        ours, seen = drained(size, shop, shop.http_port, 1_000_001)
        wait_for("all is drained", lambda: shop.metric("touchpoint_push_waiting_events") == 0, 300, 0.1)
        theirs, _ = drained(size, shop, pages, 2_000_001)
    yield row("h", "the same reads while a backlog drains and a flush takes 200 ms: p99", ours["p99_ms"], "ms",
              most=10, p50_ms=ours["p50_ms"], p999_ms=ours["p999_ms"], not_now=ours["not_now"],
              max_ms=ours["max_ms"], per_s=ours["per_s"], pages_p99_ms=theirs["p99_ms"], **seen)
    yield from apart("the same reads while a backlog drains", [ours], 10)
    yield row("h", "memory of the gateway (RssAnon) meanwhile", seen["memory_mb"], "MB")


def drained(size, shop, port, seed):
    """A backlog, which then drains while a flush is slow and somebody reads at `port`."""
    shop.platform.stop()
    shop.load(size.read_backlog // 100, array=100, kinds="kiosk", plain=True, seed=seed)
    wait_for("the backlog is durable",
             lambda: shop.metric("touchpoint_push_waiting_events") >= size.read_backlog // 100 * 100, 300, 0.1)
    shop.set_flush_us(FLUSH_US)
    flushes = shop.calls()["events"]["flushes"] + shop.calls()["events"]["dsync_writes"]
    waiting = shop.metric("touchpoint_push_waiting_events")
    shop.start_platform()
    wait_for("the drain has begun", lambda: shop.metric("touchpoint_push_waiting_events") < waiting, 60, 0.01)
    with Memory(shop) as memory:
        reading = read(size, port, 5000, 600, seed=2)
        began = time.monotonic()
        try:
            # As long as there is something to drain.
            with contextlib.suppress(Failed):
                wait_for("the end of the drain", lambda: shop.metric("touchpoint_push_waiting_events") == 0,
                         10 * size.read_seconds, 0.05)
            seconds = time.monotonic() - began
            reading.send_signal(signal.SIGTERM)
            slow = answer_of(reading)
        finally:
            reading.kill()
            reading.wait()
    after = shop.calls()["events"]
    left = shop.metric("touchpoint_push_waiting_events")
    shop.set_flush_us(0)
    return slow, {"seconds": round(seconds, 2), "drained_per_s": round((waiting - left) / seconds),
                  "flushes": after["flushes"] + after["dsync_writes"] - flushes, "memory_mb": round(memory.most / MB, 1)}


def beside_constant(size, shop):
    names = ("reads by alias", "the constant", "three random pages of the cache's file")
    runs = {name: [] for name in names}
    cpu_us = {name: [] for name in names}
    with rivals(size, shop) as (plain, pages):
        servers = list(zip(names, ((shop.http_port, shop.gateway), plain, pages)))
        for repetition in range(size.repeat):
            for name, (port, program) in servers[::1 if repetition % 2 == 0 else -1]:
                before = program.cpu_s()
                runs[name].append(answer_of(read(size, port, 0, size.read_seconds / 2, seed=repetition + 3)))
                cpu_us[name].append((program.cpu_s() - before) / runs[name][-1]["reads"] * 1e6)
    ours, theirs, rival = ([run["per_s"] for run in runs[name]] for name in names)
    ratios = [a / b for a, b in zip(ours, theirs)]
    yield row("h", f"reads/s by alias over those of a Beast server with a constant of {runs[names[0]][0]['body_bytes']:.0f} bytes",
              statistics.median(ratios), "ratio", least=0.7, over_pages=round(statistics.median(a / b for a, b in zip(ours, rival)), 4),
              **spread(ratios))
    for name in names:
        yield row("h", f"{name} as fast as they are answered", statistics.median(run["per_s"] for run in runs[name]), "reads/s",
                  p99_ms=statistics.median(run["p99_ms"] for run in runs[name]), cpu_us_per_read=round(statistics.median(cpu_us[name]), 1))


def h(size):
    yield from sealing(size)
    with Shop(size.build, size.disk) as shop:
        shop.start_broker()
        shop.start_platform()
        shop.start_gateway(push=True, calls=True, profiles_bytes=max(size.profiles * ROOM_A_PROFILE, 16 * MB))
        shop.wait_connected()
        yield from bulk_load(size, shop)
        yield from paced(size, shop)
        yield from beside_constant(size, shop)
        yield from beside_drain(size, shop)
        shop.gateway.check()
