"""gateway/openapi.yaml as openapi_replay.py uses it: operations, responses, examples, and bodies against schemas.

Nothing here knows the gateway.
"""
import copy
import json

import jsonschema
import yaml

METHODS = ("get", "put", "post", "delete", "patch")


class Document:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.tree = yaml.safe_load(file)
        self.values = self.tree.get("x-replay-values", {})
        closed = copy.deepcopy(self.tree["components"]["schemas"])
        close(closed)
        self.components = {"schemas": closed}

    def operations(self):
        for path, item in self.tree["paths"].items():
            for method in METHODS:
                if method in item:
                    yield Operation(self, path, method, item[method])

    def resolved(self, node):
        while isinstance(node, dict) and "$ref" in node and node["$ref"].startswith("#/components/"):
            _, _, kind, name = node["$ref"].split("/")
            node = self.tree["components"][kind][name]
        return node

    def component_responses(self):
        return self.tree["components"]["responses"]

    def complaints(self, schema, value):
        """What a strict reader of the document would say: members that are not in it count as wrong, too."""
        schema = copy.deepcopy(schema)
        close(schema)
        judge = jsonschema.Draft202012Validator({**schema, "components": self.components})
        return [f"{error.json_path}: {error.message[:300]}" for error in judge.iter_errors(value)]

    def body_complaints(self, schema, content_type, text):
        schema_now = self.resolved(schema)
        if "json" not in content_type or "ndjson" in content_type:
            found = self.complaints(schema, text)
            if "contentSchema" in schema_now:
                lines = [line for line in text.split("\n") if line]
                if not lines:
                    found.append("there is no line")
                for line in lines:
                    found += self.complaints(schema_now["contentSchema"], json.loads(line))
            return found
        return self.complaints(schema, json.loads(text))


def close(node):
    """Members that a schema does not name are none of its objects', unless it says otherwise."""
    if isinstance(node, dict):
        if node.get("type") == "object" and "properties" in node:
            node.setdefault("additionalProperties", False)
        for value in node.values():
            close(value)
    elif isinstance(node, list):
        for value in node:
            close(value)


class Operation:
    def __init__(self, document, path, method, node):
        self.document = document
        self.path = path
        self.method = method.upper()
        self.node = node
        self.listeners = node["x-listeners"]
        self.roles = node["x-roles"]
        self.responses = {int(status): document.resolved(response) for status, response in
                          node["responses"].items()}
        self.replays = node.get("x-replay", {})

    def __str__(self):
        return f"{self.method} {self.path}"

    def refers_to(self, component):
        wanted = "#/components/responses/" + component
        return any(response.get("$ref") == wanted for response in self.node["responses"].values())

    def response_example(self, name):
        """(status, content type, example) of the response example with this name; None: there is none."""
        for status, response in self.responses.items():
            for content_type, media in response.get("content", {}).items():
                if name in media.get("examples", {}):
                    return status, content_type, media["examples"][name]["value"]
        return None

    def request_example(self, name, or_any=False):
        """(content type, value) of the request body with this name, or of the first; None: the request has none."""
        for content_type, media in self.node.get("requestBody", {}).get("content", {}).items():
            for example_name, example in media.get("examples", {}).items():
                if name == example_name or or_any:
                    return content_type, example["value"]
        return None
