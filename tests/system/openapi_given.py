"""What must be so for an example of gateway/openapi.yaml to be answered as it says (`given` in its x-replay).

Every state is made from outside, by requests and configuration, and is undone when it is left.
"""
import base64
import contextlib
import http.client
import json
import os
import threading

from openapi_shop import PATIENCE_S, Answer, Shop, free_port, wait_until

SALES_AHEAD = 9  # as the document's example of a cursor that is ahead says
PLATFORM_PLACES = 100


class Given:
    def __init__(self, programs, folder, broker_url):
        self.programs = programs
        self.folder = folder
        self.broker_url = broker_url
        self.kept = {}
        self.complaints = []
        self.listener = None           # where the request must go instead
        self.refused_listeners = None  # only these can refuse in this way
        self.asks_itself = None        # makes the request, where an ordinary one cannot be made
        self.shop = None
        self.away = None
        self.shops = []

    def new_shop(self, name, broker, **more):
        shop = Shop(self.programs, self.folder / name, broker, name, **more)
        self.shops.append(shop)
        return shop

    def open(self):
        # A destination for customer events alone: it is never there, and holds nothing else.
        destination = (f'[[uplink.push]]\nname = "central"\nurl = "http://127.0.0.1:{free_port()}/events"\n'
                       'streams = ["customer"]\n')
        # Its broker is never there, and its own machine is limited as a stranger would be.
        hurried = "limit_loopback = true\nclient_requests_per_s = 20\nclient_requests_burst = 10\n"
        self.away = self.new_shop("away", f"mqtt://127.0.0.1:{free_port()}", local=hurried, platform=hurried,
                                  tokens=False)
        self.shop = self.new_shop("s1", self.broker_url, platform=f"connections_max = {PLATFORM_PLACES}\n",
                                  more=destination)
        self.away.start(ready=False)
        self.kept["cursor_foreign"] = self.cursor(self.away, "")
        self.shop.start()
        # The disk that was set back: a cursor of what is not there any more.
        self.shop.stop()
        self.shop.keep_data()
        self.shop.start()
        for number in range(SALES_AHEAD):
            self.send(self.shop, {"event_id": f"ahead-{number}"})
        self.kept["cursor_ahead"] = self.cursor(self.shop, "&streams=sales&max=100")
        self.shop.stop()
        self.shop.restore_data()
        self.shop.start()
        self.kept["cursor_first"] = self.cursor(self.shop, "&streams=sales")
        self.epoch = self.ask_platform("GET", "/v1/events").header("touchpoint-epoch")

    def open_again(self):
        """The requests below read as a consumer; the examples have deleted it."""
        self.ask_platform("PUT", "/v1/consumers/crm")

    def close(self):
        for shop in self.shops:
            shop.kill()
            for report in ("Sanitizer", "runtime error:"):
                if report in shop.log():
                    self.complaints.append("the gateway's log: " + shop.log()[-4000:])

    def send(self, shop, event, role="device", query="event=sale"):
        answer = shop.ask("local", "POST", "/v1/events?" + query, body=json.dumps(event), token=shop.tokens[role])
        if answer.status != 200:
            raise SystemExit(f"openapi: an event was not taken: {answer.status} {answer.body[:300]}")

    def cursor(self, shop, query):
        answer = shop.ask("platform", "GET", "/v1/events?from=oldest" + query, token=shop.tokens.get("platform"))
        return answer.header("touchpoint-next-cursor")

    def ask_platform(self, method, target, body=None):
        return self.shop.ask("platform", method, target, body=body, token=self.shop.tokens["platform"])

    @contextlib.contextmanager
    def state(self, sentence):
        if sentence is None:
            yield self.shop
            return
        make = {
            "the broker is away": self.broker_away,
            "32 consumers are there": self.many_consumers,
            "somebody reads as crm": self.reader_waits,
            "somebody takes crm over meanwhile": self.taken_over,
            "8 listeners are there": self.many_listeners,
            "a kiosk sends one event after the other": self.busy_kiosk,
            "the largest message was raised": self.larger_messages,
            "this address has asked too often": self.asked_too_often,
            "all places are taken": self.places_taken,
            "64 requests wait": self.many_polls,
            "this till has asked for too many unknown customers": self.many_misses,
            "the disk's room is used up": self.disk_full,
        }.get(sentence)
        if make is None:
            raise SystemExit(f"openapi: nobody knows how to make this so: {sentence}")
        try:
            with contextlib.ExitStack() as leaving:
                yield make(leaving)
        finally:
            self.listener = self.refused_listeners = self.asks_itself = None

    # --- the states; each returns the gateway to ask

    def broker_away(self, leaving):
        self.listener = "control"
        return self.away

    def many_consumers(self, leaving):
        made = []
        while self.ask_platform("PUT", f"/v1/consumers/many-{len(made)}", '{"streams":["customer"],"from":"latest"}'
                                ).status == 201:
            made.append(f"many-{len(made)}")
        leaving.callback(lambda: [self.ask_platform("DELETE", "/v1/consumers/" + name) for name in made])
        return self.shop

    def poll(self, leaving, target):
        """A request that waits; it ends with its connection."""
        connection = self.shop.connection("platform")
        connection.request("GET", target, headers={"Authorization": "Bearer " + self.shop.tokens["platform"]})
        leaving.callback(connection.close)
        return connection

    def reader_waits(self, leaving):
        self.poll(leaving, "/v1/consumers/crm/events?wait=60&reader=somebody&take_over=true")
        wait_until(lambda: self.ask_platform("GET", "/v1/consumers/crm/events").status == 409, "a reader that waits")
        return self.shop

    def taken_over(self, leaving):
        done = threading.Event()

        def take_over():
            while not done.wait(0.1):
                self.ask_platform("GET", "/v1/consumers/crm/events?take_over=true")
        thread = threading.Thread(target=take_over)
        thread.start()
        leaving.callback(thread.join)
        leaving.callback(done.set)
        return self.shop

    def many_listeners(self, leaving):
        def refused():  # who has left may still have a place, until a line is written to it
            connection = self.shop.connection("control")
            connection.request("GET", "/v1/tail")
            leaving.callback(connection.close)
            return connection.getresponse().status == 503
        wait_until(refused, "8 listeners")
        return self.shop

    def busy_kiosk(self, leaving):
        done = threading.Event()

        def send():
            while not done.wait(0.05):
                self.send(self.shop, {"query": "oat milk"}, "app", "device=kiosk/k7&event=search")
        thread = threading.Thread(target=send)
        thread.start()
        leaving.callback(thread.join)
        leaving.callback(done.set)
        return self.shop

    def larger_messages(self, leaving):
        self.shop.stop()
        (self.shop.folder / "conf.d").mkdir()
        (self.shop.folder / "conf.d" / "larger.toml").write_text("[devices]\nmessage_bytes_max = 400000\n")
        self.shop.start()
        return self.shop

    def asked_too_often(self, leaving):
        def ask(listener, method, target):
            # On one connection: a new one would be turned away before it could ask.
            last = None

            def refused():
                nonlocal last
                connection = self.away.connection(listener)
                try:
                    for _ in range(50):
                        connection.request(method, target)
                        answer = connection.getresponse()
                        last = Answer(answer.status, answer.getheaders(), answer.read())
                        if last.status == 429:
                            return last.header("retry-after") is not None
                except (OSError, http.client.HTTPException):
                    pass  # the connection itself got no place
                finally:
                    connection.close()
                return False
            wait_until(refused, "429 for who asks too often")
            return last
        self.asks_itself = ask
        self.refused_listeners = ("local", "platform")
        return self.away

    def places_are_free(self):
        answer = self.shop.ask("control", "GET", "/v1/status")
        return answer.status == 200 and sum(
            listener["connections"] for listener in answer.json()["http"]["listeners"]) < 3

    def places_taken(self, leaving):
        leaving.callback(lambda: wait_until(self.places_are_free, "free places"))
        for listener, places in (("local", 64), ("platform", PLATFORM_PLACES), ("control", 64)):
            for _ in range(places):
                connection = self.shop.connection(listener)
                connection.connect()
                leaving.callback(connection.close)
        self.asks_itself = lambda listener, method, target: self.shop.greeting(listener)
        return self.shop

    def many_polls(self, leaving):
        self.refused_listeners = ("platform",)
        end = self.cursor(self.shop, "&streams=customer")
        for _ in range(64):
            self.poll(leaving, f"/v1/events?after={end}&wait=60")
        wait_until(lambda: self.ask_platform("GET", "/v1/consumers").status == 503, "64 requests that wait")
        return self.shop

    def many_misses(self, leaving):
        def refused():
            answer = self.shop.ask("local", "GET", "/v1/profiles/card:nobody", token=self.shop.tokens["device"])
            return answer.status == 429
        wait_until(refused, "a till that asks for too many")
        return self.shop

    def disk_full(self, leaving):
        """The smallest room that can be configured, filled with sales: they are never shed."""
        full = self.new_shop("full", self.broker_url, store=f"bytes = {64 << 20}\n",
                             more="[devices]\nmessage_bytes_max = 1000000\n")
        full.start()
        leaving.callback(full.kill)
        refused = threading.Event()

        def fill():  # several at a time: they share a flush
            while not refused.is_set():
                incompressible = base64.b64encode(os.urandom(740_000)).decode()
                answer = full.ask("local", "POST", "/v1/events?event=sale", body=json.dumps({"note": incompressible}),
                                  token=full.tokens["device"])
                if answer.status == 503 and answer.json().get("type") == "busy":  # not only a slow disk
                    refused.set()
        threads = [threading.Thread(target=fill, daemon=True) for _ in range(6)]
        for thread in threads:
            thread.start()
        wait_until(refused.is_set, "a disk without room", seconds=5 * PATIENCE_S)
        for thread in threads:
            thread.join()
        return full
