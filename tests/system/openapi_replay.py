"""Replays every example of gateway/openapi.yaml against running gateways, and looks for what it does not say.

    python3 openapi_replay.py --document gateway/openapi.yaml --touchpointd PROGRAM --touchpoint PROGRAM
                              --broker mqtt://127.0.0.1:PORT --folder EMPTY_FOLDER

1. Each example of an operation: the request is made as documented, the answer has the status, the content type, the
   headers and a body of the schema (members that the schema does not name are wrong here); problem documents are equal
   to the example, other objects have its members.
2. Each refusal that is the same everywhere (components/responses with x-replay), for every operation that gives it.
3. Each path on each listener: what is not documented there is answered 404 or 405, and `Allow` names what is.
4. Each status of each operation has an example that was replayed, or x-not-replayed says why not.

Exit status: 0 all is as documented, 1 it is not (each is a sentence).
"""
import argparse
import gzip
import json
import pathlib
import sys
import urllib.parse

from openapi_document import METHODS, Document
from openapi_given import Given
from openapi_shop import PATIENCE_S, wait_until

SERVED_HEADERS = ("cache-control", "x-content-type-options", "referrer-policy", "content-security-policy")


class Replay:
    def __init__(self, document, given):
        self.document = document
        self.given = given
        self.kept = given.kept
        self.complaints = []
        self.replayed = set()  # (operation, status)
        self.requests = 0

    def complain(self, where, what):
        self.complaints.append(f"{where}: {what}")

    # --- the request

    def with_values(self, text):
        for literal, name in self.document.values.items():
            if literal in text:
                if name not in self.kept:
                    raise SystemExit(f"openapi: {name} was not kept before it is used")
                text = text.replace(literal, self.kept[name])
        return text

    def target(self, operation, how):
        path = operation.path
        parameters = [self.document.resolved(p) for p in operation.node.get("parameters", []) +
                      self.document.tree["paths"][operation.path].get("parameters", [])]
        documented = {p["name"] for p in parameters if p["in"] == "query"}
        for name, value in how.get("path", {}).items():
            path = path.replace("{" + name + "}", urllib.parse.quote(str(value), safe=""))
        # What no replay says: any value that fits.
        path = path.replace("{name}", "crm").replace("{sequence}", "1").replace("{id}", "c-17850")
        query = how.get("query", {})
        strange = [name for name in query if name not in documented]
        if strange and "strange" not in how["name"]:
            self.complain(f"{operation} {how['name']}", f"the query {strange} is not a documented parameter")
        if query:
            path += "?" + urllib.parse.urlencode(query)
        if "target_bytes" in how:
            path += ("&" if "?" in path else "?") + "x=" + "a" * (how["target_bytes"] - len(path) - 3)
        return self.with_values(path)

    def token(self, operation, how, listener, shop):
        if listener == "control" or not operation.roles and "token" not in how:
            return None
        wanted = how.get("token", operation.roles[0] if operation.roles else None)
        if wanted == "none":
            return None
        if wanted == "wrong":
            return "tp_aaaaaaaaaa_" + "a" * 43
        if wanted == "other":
            wanted = next(role for role in ("device", "app", "platform", "technician")
                          if role not in operation.roles)
        return shop.tokens[wanted]

    def ask(self, operation, how, listener, shop):
        headers = how.get("headers", {})
        headers = [tuple(pair) for pair in headers] if isinstance(headers, list) else list(headers.items())
        if "header_bytes" in how:
            headers.append(("X-Filler", "a" * how["header_bytes"]))
        body = None
        example = operation.request_example(how["name"], how.get("any_body"))
        if "body_bytes" in how:
            body = '{"note":"' + "a" * (how["body_bytes"] - 11) + '"}'
        elif example:
            headers.append(("Content-Type", example[0]))
            body = self.with_values(json.dumps(example[1]))
        self.requests += 1
        return shop.ask(listener, operation.method, self.target(operation, how), headers, body,
                        self.token(operation, how, listener, shop), how.get("stream") and 65536)

    # --- the answer

    def judge(self, where, operation, answer, status, content_type, example, exact):
        if answer.status != status:
            return self.complain(where, f"answered {answer.status}, documented {status}: {answer.body[:300]}")
        response = operation.responses.get(status)
        if response is None:
            return self.complain(where, f"{status} is not documented for {operation}")
        self.replayed.add((str(operation), status))
        for name in SERVED_HEADERS:
            if not answer.header(name):
                self.complain(where, f"the answer lacks {name}")
        for name, header in response.get("headers", {}).items():
            header = self.document.resolved(header)
            value = answer.header(name)
            if value is None and header.get("required"):
                self.complain(where, f"the answer lacks {name}")
            for wrong in self.document.complaints(header["schema"], value) if value is not None else []:
                self.complain(where, f"header {name} {wrong}")
        for name in answer.headers:
            if name.startswith("touchpoint-") and name not in {h.lower() for h in response.get("headers", {})}:
                self.complain(where, f"header {name} is not documented")
        if content_type is None:
            if answer.body:
                self.complain(where, "there is a body, and none is documented")
            return None
        if answer.header("content-type") != content_type:
            return self.complain(where, f"content type {answer.header('content-type')}, not {content_type}")
        body = gzip.decompress(answer.body) if answer.header("content-encoding") == "gzip" else answer.body
        text = body.decode()
        for wrong in self.document.body_complaints(response["content"][content_type]["schema"], content_type, text):
            self.complain(where, f"body {wrong} in {text[:300]}")
        if isinstance(example, dict):
            self.compare(where, json.loads(text), example, exact and content_type == "application/problem+json")
        return None

    def compare(self, where, body, example, exact):
        if set(body) != set(example):
            self.complain(where, f"members {sorted(body)}, in the example {sorted(example)}")
        # Receipts and their like hold nothing that differs from run to run.
        if ({"stored", "first_refused"} & set(example) or set(example) == {"first", "last"}) and body != example:
            self.complain(where, f"the body is {body}, in the example {example}")
        keys = ("type", "title", "status", "detail") if exact else ("type", "title", "status")
        for key in keys if "detail" in example else ():
            wanted = str(example[key]).replace("6f3a3bff19f5b828", self.given.epoch)
            if str(body.get(key)) != wanted:
                self.complain(where, f"{key} is {body.get(key)!r}, in the example {wanted!r}")

    # --- 1. examples of operations

    def examples(self):
        work = []
        for operation in self.document.operations():
            for name, how in operation.replays.items():
                work.append((how["order"], operation, dict(how, name=name)))
            self.look_for_examples_nobody_makes(operation)
        for _, operation, how in sorted(work, key=lambda item: item[0]):
            self.replay(operation, how)

    def look_for_examples_nobody_makes(self, operation):
        for status, response in operation.node["responses"].items():
            if "$ref" in response and "x-replay-in-operations" not in self.document.resolved(response):
                continue
            for media in self.document.resolved(response).get("content", {}).values():
                for name in media.get("examples", {}):
                    if name not in operation.replays:
                        self.complain(operation, f"example {name} of {status} is not replayed")
        for media in operation.node.get("requestBody", {}).get("content", {}).values():
            for name, example in media.get("examples", {}).items():
                if name not in operation.replays:
                    self.complain(operation, f"request example {name} is not replayed")

    def replay(self, operation, how):
        where = f"{operation}, example {how['name']}"
        found = operation.response_example(how["name"])
        status, content_type, example = found or (how.get("status"), None, None)
        if status is None:
            return self.complain(where, "it is replayed, but no response has an example of this name")
        listener = how.get("listener", operation.listeners[0])
        with self.given.state(how.get("given")) as shop:
            listener = self.given.listener or listener
            answer = self.ask(operation, how, listener, shop)
            if how.get("eventually") and answer.status != status:
                def again():
                    nonlocal answer
                    answer = self.ask(operation, how, listener, shop)
                    return answer.status == status
                wait_until(again, f"{where}: {status}")
        self.judge(where, operation, answer, status, content_type, example, exact=True)
        for name, header in how.get("keep", {}).items():
            self.kept[name] = answer.header(header)
        return None

    # --- 2. refusals that are the same everywhere

    def refusals(self):
        for component, response in self.document.component_responses().items():
            for name, how in response.get("x-replay", {}).items():
                status = next(int(s) for operation in self.document.operations()
                              for s, r in operation.node["responses"].items()
                              if r.get("$ref") == "#/components/responses/" + component)
                example = response["content"]["application/problem+json"]["examples"][name]["value"]
                with self.given.state(how.get("given")) as shop:
                    for operation in self.document.operations():
                        self.refusal(component, response, operation, dict(how, name=name), status, example, shop)

    def refusal(self, component, response, operation, how, status, example, shop):
        if not operation.refers_to(component) and not response.get("x-everywhere"):
            return
        for listener in operation.listeners:
            if listener == "control" and status in (401, 403, 429) or how.get("token") and not operation.roles:
                continue
            if how.get("token") == "other" and len(operation.roles) == 4:
                continue  # there is no other
            if self.given.refused_listeners and listener not in self.given.refused_listeners:
                continue
            where = f"{operation} on {listener}, {component}.{how['name']}"
            if self.given.asks_itself:
                answer = self.given.asks_itself(listener, operation.method, self.target(operation, how))
            else:
                answer = self.ask(operation, how, listener, shop)
            self.requests += 1
            self.judge(where, operation, answer, status, "application/problem+json", example, exact=False)

    # --- 3. nothing but what is documented

    def routes(self):
        paths = self.document.tree["paths"]
        for listener in ("local", "platform", "control"):
            for path in paths:
                served = {operation.method for operation in self.document.operations()
                          if matches(operation.path, path) and listener in operation.listeners}
                allowed = served | ({"HEAD"} if "GET" in served else set())
                for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE"):
                    if method in allowed:
                        continue
                    target = path.replace("{name}", "crm").replace("{sequence}", "1").replace("{id}", "c-17850")
                    answer = self.given.shop.ask(listener, method, target)
                    self.requests += 1
                    where = f"{method} {path} on {listener}"
                    wanted = 405 if served else 404
                    if answer.status != wanted:
                        self.complain(where, f"answered {answer.status}, not documented, so {wanted} is right")
                    allow = set((answer.header("allow") or "").replace(" ", "").split(",")) - {""}
                    if allow != allowed:
                        self.complain(where, f"Allow names {sorted(allow)}, documented are {sorted(allowed)}")

    # --- 4. nothing forgotten

    def coverage(self):
        for operation in self.document.operations():
            if not operation.replays:
                self.complain(operation, "has no example that is replayed")
            for status, response in operation.responses.items():
                if (str(operation), status) not in self.replayed and "x-not-replayed" not in response:
                    self.complain(operation, f"{status} was not replayed, and nothing says why")


def matches(pattern, path):
    ours, theirs = pattern.split("/"), path.split("/")
    return len(ours) == len(theirs) and all(
        a == b or a.startswith("{") for a, b in zip(ours, theirs))


def main():
    parser = argparse.ArgumentParser()
    for name in ("document", "touchpointd", "touchpoint", "broker", "folder"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    document = Document(options.document)
    given = Given({"touchpointd": options.touchpointd, "touchpoint": options.touchpoint},
                  pathlib.Path(options.folder), options.broker)
    replay = Replay(document, given)
    # A judge that finds nothing wrong in wrong things is none.
    discarded = {"first": 1, "last": 2, "discarded": 2, "next": None}
    if not document.complaints({"$ref": "#/components/schemas/Discarded"}, {**discarded, "strange": 3}):
        replay.complain("the judge", "overlooks a member that is not documented")
    try:
        given.open()
        replay.examples()
        given.open_again()
        replay.refusals()
        replay.routes()
        replay.coverage()
    finally:
        given.close()
        for complaint in replay.complaints + given.complaints:
            print(complaint)
    for listed, methods in sorted((path, sorted(m for m in METHODS if m in item))
                                  for path, item in document.tree["paths"].items()):
        print(f"  {listed} {' '.join(methods).upper()}")
    print(f"{replay.requests} requests, {len(replay.replayed)} of operation and status, "
          f"{len(replay.complaints + given.complaints)} complaints")
    return 1 if replay.complaints or given.complaints or replay.requests < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
