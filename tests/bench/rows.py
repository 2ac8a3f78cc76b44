"""A figure as a line of JSON, with its goal."""

MB = 1 << 20


def row(bench, what, figure, unit="", least=None, most=None, **detail):
    met = None
    goal = ""
    if least is not None:
        met, goal = figure >= least, f">= {least:g}"
    if most is not None:
        met, goal = figure <= most, f"<= {most:g}"
    return {"bench": bench, "what": what, "figure": round(figure, 4), "unit": unit, "goal": goal, "met": met, **detail}


def spread(values):
    return {"runs": len(values), "low": round(min(values), 4), "high": round(max(values), 4)}
