#!/usr/bin/env python3
"""Prints the book's summary (docs/src/results.md) of benchmarks/results/*.txt as a Markdown table."""
import pathlib
import re

ORDER = "diurnal bursty faults gpu-defrag churn hetero founding-10x50 quickstart founding-3x3".split()

print("| scenario | best | second | third | best single move | stay |")
print("|---|---|---|---|---|---|")
for scenario in ORDER:
    path = pathlib.Path(__file__).parent / "results" / f"{scenario}.txt"
    if not path.exists():
        continue
    # name, parameters, return, interval; the rest is not needed here
    rows = [re.split(r"\s+", line, maxsplit=3)[:3] for line in path.read_text().splitlines()[1:] if line]

    def cell(row):
        name, parameters, value = row
        note = "" if parameters == "tuned" else " (default)"
        return f"{name}{note} {float(value):.2f}"

    def value(name):
        return next(f"{float(row[2]):.2f}" for row in rows if row[0] == name)

    first, second, third = map(cell, rows[:3])
    print(f"| `{scenario}` | **{first}** | {second} | {third} | {value('best-single-move')} | {value('stay')} |")
