#!/usr/bin/env python3
"""Makes instances of the machine-reassignment challenge (ROADEF/EURO 2012) in its format.

    generate.py FOLDER [NAME ...] [--seed N]

For each NAME (all shapes by default) it writes FOLDER/model_NAME.txt and FOLDER/assignment_NAME.txt.
The shapes follow the challenge's larger sets: log-uniform requirements that hang together, machines
of unequal size, safety capacities of 70 to 95 % of the capacities, and moves that cost little beside
load. The initial assignment is drawn first and everything else around it, so that it keeps every
constraint; its load is left to chance, so that it is poor. The same seed makes the same files.
"""

import argparse
import math
import random
from dataclasses import dataclass
from pathlib import Path

RESOURCES = 12
TRANSIENT = {2, 3, 6, 10}
LOAD_WEIGHT = 10
BALANCE_WEIGHT = 10
MOVE_WEIGHTS = (1, 10, 100)  # of processes, services and machines
FOLLOWS = 0.5  # how far capacities follow what runs on a machine at the start
LARGEST_SERVICE = 0.1  # share of the machines that one service may take


@dataclass
class Shape:
    machines: int
    processes: int
    services: int
    locations: int
    neighbourhoods: int
    dependencies: int
    balances: int
    tightness: float  # usage in capacities, over all machines


SHAPES = {
    "g1": Shape(100, 1_000, 170, 25, 5, 300, 0, 0.84),
    "g2": Shape(100, 5_000, 2_500, 10, 5, 4_400, 0, 0.87),
    "g3": Shape(100, 20_000, 15_000, 10, 5, 16_500, 1, 0.80),
    "g4": Shape(500, 20_000, 1_700, 50, 5, 4_000, 1, 0.90),
    "g5": Shape(100, 50_000, 45_000, 10, 5, 15_000, 0, 0.87),
    "g6": Shape(1_000, 50_000, 4_600, 100, 5, 43_000, 1, 0.84),
}


def log_uniform(rng, low, high):
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def requirement(rng):
    """Two chains of six resources, each drawn from the one before."""
    row = []
    for first, high in ((900, 900_000), (1_000, 900_000)):
        value = log_uniform(rng, first, high)
        for _ in range(RESOURCES // 2):
            row.append(max(1, round(value)))
            value *= log_uniform(rng, 0.3, 2.5)
    return row


def service_sizes(rng, shape):
    """Processes of each service: one each, the rest to services that are drawn again and again."""
    most = max(2, round(shape.machines * LARGEST_SERVICE))
    sizes = [1] * shape.services
    large = rng.sample(range(shape.services), max(1, shape.services // 4))
    # Where the large ones cannot hold the rest, all may grow.
    if len(large) * (most - 1) < (shape.processes - shape.services) * 1.2:
        large = list(range(shape.services))
    left = shape.processes - shape.services
    while left > 0:
        service = rng.choice(large)
        if sizes[service] < most:
            sizes[service] += 1
            left -= 1
    return sizes


def machines_and_start(rng, shape, services):
    """Where machines stand, their sizes, and a machine for each process, more on the larger ones."""
    locations = [rng.randrange(shape.locations) for _ in range(shape.machines)]
    home = [rng.randrange(shape.neighbourhoods) for _ in range(shape.locations)]
    neighbourhoods = [
        home[place] if rng.random() < 0.7 else rng.randrange(shape.neighbourhoods)
        for place in locations
    ]
    sizes = [rng.uniform(0.5, 2.0) for _ in range(shape.machines)]
    cumulative = [sum(sizes[: m + 1]) for m in range(shape.machines)]
    start, taken = [], {}
    for service in services:
        used = taken.setdefault(service, set())
        while True:
            machine = rng.choices(range(shape.machines), cum_weights=cumulative)[0]
            if machine not in used:
                break
        used.add(machine)
        start.append(machine)
    return locations, neighbourhoods, sizes, start


def capacities(rng, shape, sizes, requirements, start):
    """Capacities that hold the start, used to the shape's tightness; safety capacities."""
    usage = [[0] * RESOURCES for _ in range(shape.machines)]
    for row, machine in zip(requirements, start):
        for r, required in enumerate(row):
            usage[machine][r] += required
    # As if machines had been bought for what runs there, and not quite.
    typical = [
        [size * sum(row[r] for row in usage) / sum(sizes) for r in range(RESOURCES)]
        for size in sizes
    ]
    bought = [
        [max(used, FOLLOWS * used + (1 - FOLLOWS) * usual) for used, usual in zip(*rows)]
        for rows in zip(usage, typical)
    ]
    free = [
        max(0, sum(row[r] for row in usage) / sum(row[r] for row in bought) / shape.tightness - 1)
        for r in range(RESOURCES)
    ]
    capacity = [
        [int(c * (1 + rng.uniform(0, 2 * free[r]))) for r, c in enumerate(row)] for row in bought
    ]
    safety = [
        [0 if rng.random() < 0.02 else int(c * rng.uniform(0.7, 0.95)) for c in row]
        for row in capacity
    ]
    return capacity, safety


def spreads_and_dependencies(rng, shape, members, start, locations, neighbourhoods):
    """Rules that the start keeps."""
    spreads, areas = [], []
    for processes in members:
        found = {locations[start[p]] for p in processes}
        bound = len(processes) > 1 and rng.random() < 0.5
        spreads.append(rng.randint(1, len(found)) if bound else 0)
        areas.append({neighbourhoods[start[p]] for p in processes})
    dependencies = [set() for _ in members]
    dependent = rng.sample(range(len(members)), max(1, len(members) // 5))
    made = 0
    for _ in range(20 * shape.dependencies):
        if made == shape.dependencies:
            break
        needy, needed = rng.choice(dependent), rng.randrange(len(members))
        if needy != needed and areas[needy] <= areas[needed] and needed not in dependencies[needy]:
            dependencies[needy].add(needed)
            made += 1
    return spreads, dependencies


def generate(shape, seed):
    """The texts of a model and of its initial assignment."""
    rng = random.Random(seed)
    counts = service_sizes(rng, shape)
    services = [service for service, size in enumerate(counts) for _ in range(size)]
    rng.shuffle(services)
    members = [[] for _ in counts]
    for process, service in enumerate(services):
        members[service].append(process)
    requirements = [requirement(rng) for _ in services]
    locations, neighbourhoods, sizes, start = machines_and_start(rng, shape, services)
    capacity, safety = capacities(rng, shape, sizes, requirements, start)
    spreads, dependencies = spreads_and_dependencies(
        rng, shape, members, start, locations, neighbourhoods
    )

    lines = [[RESOURCES]]
    lines += [[int(r in TRANSIENT), LOAD_WEIGHT] for r in range(RESOURCES)]
    lines.append([shape.machines])
    for m in range(shape.machines):
        near = [
            0 if to == m else 1 if neighbourhoods[to] == neighbourhoods[m] else 2
            for to in range(shape.machines)
        ]
        lines.append([neighbourhoods[m], locations[m], *capacity[m], *safety[m], *near])
    lines.append([len(counts)])
    lines += [[s, len(d), *sorted(d)] for s, d in zip(spreads, dependencies)]
    lines.append([len(services)])
    lines += [[s, *row, 1] for s, row in zip(services, requirements)]
    lines.append([shape.balances])
    for _ in range(shape.balances):
        lines += [[0, 1, 1], [BALANCE_WEIGHT]]
    lines.append(MOVE_WEIGHTS)
    model = "".join(" ".join(map(str, line)) + "\n" for line in lines)
    return model, " ".join(map(str, start)) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the files go")
    parser.add_argument("names", nargs="*", default=list(SHAPES), help=" ".join(SHAPES))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in SHAPES]
    if unknown:
        parser.error(f"expected names among {' '.join(SHAPES)}, got {unknown[0]}")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.names:
        model, assignment = generate(SHAPES[name], arguments.seed)
        (arguments.folder / f"model_{name}.txt").write_text(model)
        (arguments.folder / f"assignment_{name}.txt").write_text(assignment)


if __name__ == "__main__":
    main()
