"""The table of a run, in Markdown: a row for each work and server, from the rounds' figures."""
import statistics

COLUMNS = ("work", "program", "messages/s: median (spread)", "times Postfix", "CPU s per 1,000", "of Postfix's", "sync calls", "disk flushes",
           "KB written", "peak PSS, MB", "answer in ms: p50 / p95 / p99", "at the sink in ms: p50 / p95 / p99")
BASE = "Postfix"


def median(rounds, what):
    values = [r[what] for r in rounds if r.get(what) is not None]
    return statistics.median(values) if values else None


def figure(value, digits):
    return "-" if value is None else f"{value:,.{digits}f}"


def rate(rounds):
    values = [r["rate"] for r in rounds if "rate" in r]
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def ratio(rounds, base, what, digits):
    mine, theirs = median(rounds, what), median(base, what)
    return f"{mine / theirs:.{digits}f}" if mine is not None and theirs else "-"


def latency(rounds, of):
    values = [median(rounds, of + p) for p in ("p50", "p95", "p99")]
    return " / ".join(figure(v, 1) for v in values) if values[0] is not None else "-"


def row(work, name, rounds, base):
    cells = (work, name, rate(rounds), ratio(rounds, base, "rate", 1), figure(median(rounds, "cpu"), 2), ratio(rounds, base, "cpu", 2),
             figure(median(rounds, "syncs"), 2), figure(median(rounds, "flushes"), 2), figure(median(rounds, "kb"), 1),
             figure(median(rounds, "pss"), 0), latency(rounds, ""), latency(rounds, "way_"))
    return "| " + " | ".join(cells) + " |"


def head():
    return "| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS)


def rows(results):
    """results: every round as {"work", "program", "rate", ...}. Gives the lines, in the order of first appearance."""
    groups = {}
    for r in results:
        groups.setdefault(r["work"], {}).setdefault(r["program"], []).append(r)
    return [row(work, name, rounds, programs.get(BASE, []))
            for work, programs in groups.items() for name, rounds in programs.items() if any("rate" in r for r in rounds)]
