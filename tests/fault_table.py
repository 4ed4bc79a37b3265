"""The table that `make faults` ends with: what was done to stores, and what came of it."""

import os
from collections import Counter, defaultdict

COLUMNS = ("trials", "lost", "silently wrong", "hangs", "tracebacks", "SIGSEGV", "failed tests")
# Rows of tests that count nothing themselves, by marker.
BY_MARKER = {
    "hostile": "hostile stores, pickles, archives and runs",
    "faults": "other faults: full disk, clocks, late shards, crashing plugins",
}


def is_long(config):
    """Whether the long form was asked for: `-m faults` or `-m "faults or hostile"`."""
    return "faults" in config.getoption("-m")


def long_form(config, usual, long):
    """The number of trials: `usual` in `make test`, else `long` times the share that FEATZOO_FAULTS gives."""
    if not is_long(config):
        return usual
    return max(1, round(long * float(os.environ.get("FEATZOO_FAULTS", "1"))))


def lines(reports):
    """The table, from the reports of tests.

    Args:
        reports: Of the calls of all tests that passed or failed.
    """
    table = defaultdict(Counter)
    for report in reports:
        counted = [value for name, value in getattr(report, "user_properties", []) if name == "faults"]
        row = next((BY_MARKER[name] for name in BY_MARKER if name in report.keywords), None)
        for each, counts in counted or ([(row, {"trials": 1})] if row else []):
            table[each].update(counts)
            table[each]["failed tests"] += report.failed
    if not table:
        return []
    width = max(map(len, table))
    rows = [(row, *(counts[column] for column in COLUMNS)) for row, counts in sorted(table.items())]
    total = ("all", *(sum(row[place] for row in rows) for place in range(1, len(COLUMNS) + 1)))
    found = ["", "  ".join([" " * width, *COLUMNS])]
    for row, *counts in [*rows, total]:
        cells = [f"{count:>{len(name)},}" for name, count in zip(COLUMNS, counts, strict=True)]
        found.append("  ".join([row.ljust(width), *cells]))
    return found
