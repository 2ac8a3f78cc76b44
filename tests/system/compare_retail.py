#!/usr/bin/env python3
"""Compares the retail CSV with what arrived at the platform, invoice by invoice.

    compare_retail.py CSV[.gz] EVENTS.ndjson

Grouped by InvoiceNo over the whole file: the lines (item, quantity, price), the number of pieces and the amount
must be equal exactly. It shares no code with the simulator. Exit 0: equal; 1: not, with the first differences.
"""
import collections
import csv
import gzip
import json
import sys
from decimal import Decimal


def from_csv(path):
    opener = gzip.open if path.endswith(".gz") else open
    invoices = collections.defaultdict(collections.Counter)
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            invoices[row["InvoiceNo"]][(row["StockCode"], Decimal(row["Quantity"]), Decimal(row["UnitPrice"]))] += 1
    return invoices


def from_events(path):
    invoices = collections.defaultdict(collections.Counter)
    seen = {}
    for text in open(path, encoding="utf-8"):
        event = json.loads(text, parse_float=Decimal)
        if event["type"] not in ("store.pos.sale.v1", "store.pos.return.v1"):
            continue
        data = event["data"]
        if "invoice" not in data:
            continue
        # The platform recognises repeats by their number; a second event with one id would be a second sale.
        number = (event["gatewayid"], event["epoch"], event["stream"], event["sequence"])
        if number in seen:
            if seen[number] != text:
                sys.exit(f"sequence {number} came with two contents")
            continue
        seen[number] = text
        is_return = event["type"] == "store.pos.return.v1"
        if is_return != data["invoice"].startswith("C"):
            sys.exit(f"invoice {data['invoice']} has type {event['type']}")
        for line in data["lines"]:
            invoices[data["invoice"]][(line["item"], Decimal(line["quantity"]), Decimal(line["unit_price"]))] += 1
    return invoices


def totals(lines):
    pieces = sum(quantity * count for (_, quantity, _), count in lines.items())
    amount = sum(quantity * price * count for (_, quantity, price), count in lines.items())
    return sum(lines.values()), pieces, amount


def main():
    expected, arrived = from_csv(sys.argv[1]), from_events(sys.argv[2])
    wrong = 0
    for invoice in sorted(expected.keys() | arrived.keys()):
        if expected.get(invoice) == arrived.get(invoice):
            continue
        wrong += 1
        if wrong <= 5:
            print(f"invoice {invoice}: the file has (lines, pieces, amount) {totals(expected.get(invoice, {}))}, "
                  f"the platform {totals(arrived.get(invoice, {}))}")
    lines, pieces, amount = (sum(column) for column in zip(*(totals(v) for v in arrived.values())))
    print(f"{len(arrived)} invoices, {lines} lines, {pieces} pieces, amount {amount}; {wrong} invoices differ")
    sys.exit(1 if wrong else 0)


main()
