#!/usr/bin/env python3
"""Draws scenarios that nobody chose: what a user may bring, in twelve files.

    benchmarks/unseen/generate.py [--check] [FOLDER]

Each file comes from one seed (see DRAWS) and is drawn once: no seed was picked for what policies do
in it. Six are for choosing settings (`dev-*.toml`), six for reporting (`held-*.toml`). With
`--check`, the files that lie in FOLDER are drawn again and compared instead of written.

A draw is thrown away, and the next one of the same seed taken, only if

1. `godwit evaluate` refuses it, no start placement is found, or its mean utilisation is not within
   bounds (validity; see `draw`);
2. the best of a few untrained baselines (SIMPLE) does not beat `stay` clearly in 20 held-out
   episodes: by 5 % of what `stay` costs, and in 16 of the 20 episodes (meaning). Nothing trained
   and no search has a part in this;
3. an episode of the best single move takes more than half a second of decisions (size).

Needs python3 and a release build of godwit (the environment variable GODWIT names another than
target/release/godwit). The files depend on seeds and on the version of godwit alone
(and, if an episode takes close to half a second, on the machine).
"""

import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
GODWIT = os.environ.get("GODWIT", str(ROOT / "target/release/godwit"))
# Name of the file and the seed that it is drawn from. The size class is that of the file's number:
# from the smallest clusters (1) to the largest (6).
DRAWS = [(f"dev-{k}", 7000 + k) for k in range(1, 7)] + [(f"held-{k}", 9000 + k) for k in range(1, 7)]
SIMPLE = ["load-balancer", "threshold-rules", "best-single-move", "evacuate"]
EPISODES = 20
ATTEMPTS = 60

# Resource kinds with their units; each scenario draws one to six of them.
KINDS = [
    ("cpu", "cores"), ("memory", "GiB"), ("gpu", "devices"), ("network", "Gbit/s"),
    ("disk_io", "kIOPS"), ("licences", ""), ("scratch", "TiB"), ("sessions", ""),
    ("tokens_s", "1/s"), ("power", "kW"),
]
GROUPS = ["web", "batch", "training", "inference", "cache", "build", "stream", "database", "notebook"]
CLASSES = ["standard", "large", "dense", "edge"]


def log_uniform(rng, least, most):
    return math.exp(rng.uniform(math.log(least), math.log(most)))


def short(x):
    """Three significant digits."""
    return float(f"{x:.3g}")


def toml(value):
    """A value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(x)}" for key, x in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(x) for x in value) + "]"
    if isinstance(value, float):
        return str(int(value)) if value == int(value) else repr(value)
    return str(value)


def table(name, fields):
    return f"\n{name}\n" + "".join(f"{key} = {toml(value)}\n" for key, value in fields.items())


def spread(rng, middle, width):
    """A range around a middle, or the middle alone."""
    if width < 0.05:
        return short(middle)
    return [short(middle * (1 - width)), short(middle * (1 + width))]


def draw_process(rng, kinds, period, ticks, recorded):
    """A demand process, its mean factor, and the most it may be."""
    follow = rng.sample(kinds, rng.randint(1, len(kinds)))
    kind = rng.choices(["constant", "diurnal", "bursty", "trace"], [2, 5, 3, 3 if recorded else 0])[0]
    if kind == "constant":
        return None, 1.0, 1.0, follow
    if kind == "diurnal":
        low = rng.uniform(0.1, 0.7)
        high = low + rng.uniform(0.0, 0.3)
        start = rng.uniform(0.0, 1.0)
        width = rng.choice([0.1, 0.3, 1.0])
        phase = [short(start - 1 + x) for x in (0.0, width)] if start + width > 1 else [
            short(start), short(start + width)]
        own = period if rng.random() < 0.75 else max(24, period // 2)
        return {
            "kind": kind, "period_ticks": own, "amplitude": [short(low), short(high)],
            "phase": phase, "noise": short(rng.choice([0.0, 0.03, 0.08, 0.15])),
            "persistence": short(rng.choice([0.0, 0.5, 0.8, 0.95])), "resources": follow,
        }, 1.0, 1.0 + high, follow
    if kind == "bursty":
        least = rng.uniform(1.5, 2.5)
        most = least + rng.uniform(0.2, 2.0)
        share = rng.uniform(0.03, 0.25)
        stop = log_uniform(rng, 0.03, 0.4)
        start = stop * share / (1 - share)
        mean = 1 + ((least + most) / 2 - 1) * share
        return {
            "kind": kind, "peak": [short(least), short(most)], "start_per_tick": short(start),
            "stop_per_tick": short(stop), "resources": follow,
        }, mean, most, follow
    # Recorded series: a season, a drift, steps and noise, as a monitoring system may keep them.
    series = []
    for _ in range(rng.randint(3, 5)):
        phase, swing = rng.random(), rng.uniform(0.1, 0.6)
        level, noise, values = 1.0, 0.0, []
        for t in range(5 * ticks + 2):
            if rng.random() < 0.01:
                level = rng.uniform(0.6, 1.4)
            noise = 0.8 * noise + rng.gauss(0, 0.04)
            wave = swing * math.sin(2 * math.pi * (t / period + phase))
            values.append(round(min(2.2, max(0.05, level + wave + noise)), 2))
        series.append(values)
    every = [x for values in series for x in values]
    return {"kind": kind, "resources": follow, "series": series}, sum(every) / len(every), 2.2, follow


def draw_arrivals(rng, count, ticks):
    """How a group comes and goes, and how many of it are there on average."""
    there = count * rng.uniform(0.4, 0.8)
    life = log_uniform(rng, 6, ticks / 2)
    sigma = rng.choice([0.0, 0.5, 1.0])
    return {
        "kind": "poisson", "per_tick": short(there / (life * math.exp(sigma**2 / 2))),
        "lifetime_ticks": short(life), "sigma": sigma, "start": int(there),
    }, there


def draw_trace_arrivals(rng, count, ticks, windows):
    """Recorded arrivals and departures."""
    if windows:
        span, number = 5 * ticks, 5 * count
    else:
        span, number = ticks, count
    rows = []
    for k in range(number):
        arrives = 0 if k < number * 0.1 else rng.randint(0, span - 1)
        rows.append((arrives, arrives + max(2, int(log_uniform(rng, 5, ticks)))))
    rows.sort()
    there = sum(min(b, span) - a for a, b in rows) / span
    return {"kind": "trace", "arrives": [a for a, _ in rows], "departs": [b for _, b in rows]}, min(
        there, float(count))


def draw(seed, attempt, size, name):
    """One scenario as text, or None where its utilisation is not as wanted: 45 to 80 % of the
    tightest kind, and at most 85 % of any kind in any set of classes that some are bound to.
    `size` is from 0 (smallest clusters) to 5 (largest)."""
    rng = random.Random(f"{seed}/{attempt}")
    step = math.log(48 / 3) / 6
    nodes = round(math.exp(math.log(3) + step * (size + rng.random())))
    workloads = max(12, min(300, round(nodes * log_uniform(rng, 2.5, 10))))
    classes = rng.randint(1, min(4, nodes))
    kinds = [kind for kind, _ in rng.sample(KINDS, rng.randint(1, 6))]
    units = dict(KINDS)
    tick_s = rng.choice([15, 30, 60, 120, 300, 600, 900, 1800])
    ticks = rng.choice([96, 120, 144, 192, 240, 288, 336])
    period = rng.choice([p for p in (24, 36, 48, 72, 96, 144, 168, 288) if p <= ticks])
    recorded = rng.random() < 0.4
    windows = recorded and rng.random() < 0.6
    churn = rng.random() < 0.45
    faults = rng.random() < 0.4
    slots = rng.random() < 0.35

    # Nodes: a shape per class; some classes lack a kind that is not the first.
    counts = [1] * classes
    for _ in range(nodes - classes):
        counts[rng.randrange(classes)] += 1
    shape = [
        {kind: rng.choice([1.0, 1.0, 1.5, 2.0, 3.0]) for kind in kinds} for _ in range(classes)
    ]
    for at in range(1, classes):
        for kind in kinds[1:]:
            if rng.random() < 0.15:
                shape[at][kind] = 0.0

    # Workloads: shares of a node, then scaled to the utilisation that is wanted.
    groups = []
    left = workloads
    number = rng.randint(2, 6)
    cuts = sorted(rng.sample(range(1, workloads), number - 1))
    for g, (a, b) in enumerate(zip([0, *cuts], [*cuts, workloads])):
        wants = [kinds[0]] + [kind for kind in kinds[1:] if rng.random() < 0.7]
        if rng.random() < 0.15 and len(kinds) > 1:
            wants = wants[1:] or [kinds[-1]]
        process, mean, peak, follow = draw_process(rng, wants, period, ticks, recorded)
        fields = {"name": GROUPS[g] if rng.random() < 0.7 else f"{GROUPS[-1 - g]}-{g}", "count": b - a}
        able = [c for c in range(classes) if all(shape[c][kind] > 0 for kind in wants)]
        if not able:
            able, wants = [0], [kinds[0]]
        if classes > 1 and rng.random() < 0.3:
            able = rng.sample(able, rng.randint(1, len(able)))
            fields["classes"] = [CLASSES[c] for c in sorted(able)]
        there = float(b - a)
        if churn and rng.random() < 0.5:
            if recorded and rng.random() < 0.4:
                fields["arrivals"], there = draw_trace_arrivals(rng, b - a, ticks, windows)
            else:
                fields["arrivals"], there = draw_arrivals(rng, b - a, ticks)
        elif b - a <= sum(counts[c] for c in able) and rng.random() < 0.4:
            fields["anti_affinity"] = f"apart-{g}"
        heavy = {kind: log_uniform(rng, 0.4, 2.5) for kind in wants}
        groups.append({
            "fields": fields, "process": process, "mean": mean, "peak": peak, "there": there,
            "follow": [kind for kind in follow if kind in wants], "heavy": heavy, "able": able,
            "width": rng.choice([0.0, 0.2, 0.5, 0.7]),
        })

    # Supply: the tightest kind has the utilisation that was drawn, the others less.
    wanted = rng.uniform(0.45, 0.80)
    tight = rng.choice(kinds)
    asked = {
        kind: sum(
            g["there"] * g["heavy"].get(kind, 0.0) * (g["mean"] if kind in g["follow"] else 1.0)
            for g in groups
        )
        for kind in kinds
    }
    unit = {}
    for kind in kinds:
        total = sum(count * s[kind] for count, s in zip(counts, shape))
        used = wanted if kind == tight else wanted * rng.uniform(0.45, 1.0)
        unit[kind] = max(asked[kind], 0.05) / (total * used)
    scale = {kind: log_uniform(rng, 4, 400) for kind in kinds}
    bandwidth = short(log_uniform(rng, 0.1, 3.0))
    node_tables = ""
    smallest = {kind: min((s[kind] * unit[kind] for s in shape if s[kind] > 0)) for kind in kinds}
    for c in range(classes):
        supply = {
            kind: short(shape[c][kind] * unit[kind] * scale[kind]) for kind in kinds if shape[c][kind] > 0
        }
        fields = {"name": f"{CLASSES[c]}-node", "count": counts[c], "class": CLASSES[c], "supply": supply,
                  "bandwidth_gib_s": bandwidth if rng.random() < 0.7 else short(bandwidth * 2)}
        if rng.random() < 0.2:
            fields["zone"] = f"zone-{c}"
        node_tables += table("[[nodes]]", fields)

    # What a transfer takes of a tick, about: from a hundredth to two ticks.
    typical = short(min(200.0, max(0.5, bandwidth * tick_s * log_uniform(rng, 0.01, 2.0))))
    workload_tables, comes = "", False
    for g in groups:
        fields, peak, width = g["fields"], g["peak"], g["width"]
        demand = {}
        for kind, heavy in g["heavy"].items():
            most = max(shape[c][kind] for c in g["able"]) * unit[kind]
            factor = peak if kind in g["follow"] else 1.0
            # A workload fits on an empty node at its peak.
            middle = min(heavy, 0.9 * most / (factor * (1 + width)))
            demand[kind] = spread(rng, middle * scale[kind], width)
            g["heavy"][kind] = middle
        fields["demand"] = demand
        fields["state_gib"] = spread(rng, typical * log_uniform(rng, 0.4, 2.5), rng.choice([0.0, 0.3, 0.6]))
        fields["dirty_gib_s"] = short(bandwidth * rng.choice([0.0, 0.02, 0.1, 0.3]))
        fields["priority"] = rng.choice([0.5, 1.0, 1.0, 2.0, 4.0, 8.0])
        if rng.random() < 0.06:
            fields["movable"] = False
        arrivals = fields.pop("arrivals", None)
        comes |= arrivals is not None
        workload_tables += table("[[workloads]]", fields)
        if g["process"]:
            process = dict(g["process"])
            process["resources"] = g["follow"]
            workload_tables += table("[workloads.process]", process)
        if arrivals:
            workload_tables += table("[workloads.arrivals]", arrivals)

    # Mean utilisation of what each set of classes has, by those who may run nowhere else.
    whole = set(range(classes))
    for able in [whole, *[set(g["able"]) for g in groups]]:
        for kind in kinds:
            held = sum(counts[c] * shape[c][kind] for c in able) * unit[kind]
            bound = sum(
                g["there"] * g["heavy"].get(kind, 0.0) * (g["mean"] if kind in g["follow"] else 1.0)
                for g in groups if set(g["able"]) <= able
            )
            if bound > 0.85 * held or (able == whole and kind == tight and bound < 0.45 * held):
                return None

    # What is bad, and what moves cost: the move of a typical workload as much as a hundredth to a
    # half of the weights of a state.
    weights = {
        "max_load": rng.choice([0.0, 0.2, 1.0, 1.0, 2.0]),
        "imbalance": rng.choice([0.0, 0.2, 0.5, 1.0, 1.0]),
        "overload": rng.choice([0.0, 1.0, 2.0, 4.0, 4.0, 8.0]),
    }
    weights = {term: weight for term, weight in weights.items() if weight > 0}
    slot = None
    if slots:
        kind = rng.choice(kinds)
        weights["fragmentation"] = rng.choice([0.5, 1.0, 2.0])
        slot = {"resource": kind,
                "size": short(smallest[kind] * scale[kind] * rng.choice([0.25, 0.5, 1.0]))}
    if not weights:
        weights = {"imbalance": 1.0}
    price = log_uniform(rng, 0.01, 0.5) * sum(weights.values()) / 3
    if faults or comes:
        weights["unplaced"] = rng.choice([0.5, 1.0, 2.0, 4.0])
    if faults:
        weights["displaced"] = rng.choice([0.5, 1.0, 2.0, 4.0])
    weights["moved_gib"] = short(price / typical)
    # A tick without a node, or in a cold restart.
    stands_still = rng.choice([0.0, 0.5, 2.0, 6.0])
    if stands_still > 0:
        weights["downtime_s"] = short(stands_still / tick_s)

    text = f"# Drawn by benchmarks/unseen/generate.py: seed {seed}, attempt {attempt}.\n"
    text += f'\nname = "{name}"\n'
    rules = {}
    if rng.random() < 0.3:
        rules["scheduler"] = "best_fit"
    rules["resources"] = [{"name": kind, "unit": units[kind]} for kind in kinds]
    text += table("[rules]", rules)
    text += table("[rules.episode]", {
        "mode": "online", "tick_s": tick_s, "ticks": ticks, "moves_per_tick": rng.randint(1, 4)})
    objective = {"weights": weights}
    if slot:
        objective["slot"] = slot
    text += table("[rules.objective]", objective)
    candidates = {}
    if workloads * nodes + 1 > 512 and rng.random() < 0.4:
        candidates["max"] = 1024
    if not slots and rng.random() < 0.25:
        candidates["follow_up"] = True
    if candidates:
        text += table("[rules.candidates]", candidates)
    limits = {"cooldown_ticks": rng.choice([0, 1, 3, 6, 12])}
    if rng.random() < 0.3:
        limits["transfers_per_node"] = rng.choice([1, 2, 4])
    if rng.random() < 0.3:
        limits["payback_ticks"] = rng.choice([12, 24, 72])
    text += table("[rules.limits]", limits)
    if rng.random() < 0.2:
        text += table("[rules.migration]", {"mode": "stop_and_copy"})
    if faults:
        text += table("[rules.faults]", {
            "degrade_per_tick": short(log_uniform(rng, 0.3, 2.0) / ticks),
            "hazard_per_tick": short(rng.uniform(0.02, 0.1)),
            "recover_per_tick": short(rng.uniform(0.02, 0.1)),
            "drain_per_tick": short(log_uniform(rng, 0.2, 1.0) / ticks),
            "drain_ticks": rng.randint(5, 24), "repair_ticks": [rng.randint(6, 20), rng.randint(21, 60)],
            "restart_s": float(tick_s * rng.choice([1, 2])),
        })
    if rng.random() < 0.75:
        possible = [h for h in (1, 2, 3, 6, 12, 24, 48) if h <= period]
        text += table("[rules.forecast]", {
            "horizons": sorted(rng.sample(possible, rng.randint(1, 4))), "period_ticks": period})
    start = {"placement": rng.choice(["random", "random", "packed"])}
    text += table("[start]", start)
    traced = 'kind = "trace"' in workload_tables
    if windows and traced:
        text += table("[start.windows]", {
            "train": [0, 3 * ticks], "evaluate": [3 * ticks, 5 * ticks]})
    return text + node_tables + workload_tables


def evaluate(path):
    """Returns per episode of `stay` and the simple baselines, and seconds per episode."""
    done = subprocess.run(
        [GODWIT, "evaluate", str(path), "--baselines", ",".join(["stay", *SIMPLE]),
         "--episodes", str(EPISODES), "--threads", "1", "--unruled", "--json"],
        capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None, done.stderr.strip().splitlines()[-1]
    result = json.loads(done.stdout)
    return {row["name"]: row for row in result["policies"]}, result


def verdict(path):
    """Why a draw is thrown away, or nothing."""
    rows, result = evaluate(path)
    if rows is None:
        return f"not valid: {result}"
    stay = rows["stay"]["returns"]
    if len(stay) < EPISODES:
        return "not valid: a single start"
    best = max((rows[name] for name in SIMPLE), key=lambda row: row["mean_return"]["value"])
    ahead = [a - b for a, b in zip(best["returns"], stay)]
    gain = sum(ahead) / abs(sum(stay))
    wins = sum(x > 0 for x in ahead)
    if gain < 0.05 or wins < 0.8 * EPISODES:
        return f"nothing to gain: {100 * gain:.1f} %, {wins} of {EPISODES} episodes"
    single = rows["best-single-move"]
    ticks = int(path.read_text().split("\nticks = ")[1].split()[0])
    seconds = (ticks + single["moves"]) / single["decisions_per_s"]
    if seconds > 0.5:
        return f"too large: {seconds:.2f} s per episode"
    return None


def made(name, seed):
    """The first draw of a seed that is valid, has something to gain, and is quick."""
    size = int(name.split("-")[1]) - 1
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / f"{name}.toml"
        for attempt in range(ATTEMPTS):
            text = draw(seed, attempt, size, f"unseen-{name}")
            if text is not None:
                path.write_text(text)
            why = verdict(path) if text is not None else "not valid: utilisation"
            print(f"{name}, attempt {attempt}: {why or 'kept'}", file=sys.stderr)
            if why is None:
                return path.read_text()
    sys.exit(f"{name}: nothing kept in {ATTEMPTS} attempts")


def main():
    arguments = sys.argv[1:]
    check = "--check" in arguments
    rest = [argument for argument in arguments if argument != "--check"]
    folder = pathlib.Path(rest[0]) if rest else pathlib.Path(__file__).resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    for name, seed in DRAWS:
        path = folder / f"{name}.toml"
        text = made(name, seed)
        if not check:
            path.write_text(text)
        elif path.read_text() != text:
            sys.exit(f"{path}: another text than its seed draws")


if __name__ == "__main__":
    main()
