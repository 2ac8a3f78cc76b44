"""Compares gateway/openapi.yaml with a list of what is served: one "LISTENER METHOD PATH ROLE..." a line.

Exit status: 0 both say the same, 1 they do not (each difference is a line).
"""
import sys

from openapi_document import Document

ROLES = ("device", "app", "platform", "technician")


def main():
    document = Document(sys.argv[1])
    with open(sys.argv[2], encoding="utf-8") as file:
        served = {line.strip() for line in file if line.strip()}
    documented = set()
    for operation in document.operations():
        roles = [role for role in ROLES if role in operation.roles]
        # The control socket asks for no token: everybody there has every role, whatever the route names.
        for listener in operation.listeners:
            documented.add(" ".join([listener, operation.method, operation.path, *([] if listener == "control" else roles)]))
    served = {" ".join(line.split()[:3]) if line.startswith("control ") else line for line in served}
    differences = [f"served, not documented: {line}" for line in sorted(served - documented)]
    differences += [f"documented, not served: {line}" for line in sorted(documented - served)]
    print("\n".join(differences) or f"{len(served)} routes, all documented")
    return 1 if differences or not served else 0


if __name__ == "__main__":
    sys.exit(main())
