"""Draws learning curves of several training seeds, against baselines in the same episodes.

    python3 benchmarks/curves.py LEVELS.json OUT CORES RUN...

LEVELS.json is what `godwit evaluate --validation --json` prints, each RUN a folder of `godwit
train` on so many cores. Writes OUT.csv (every seed's evaluations) and OUT.svg: the mean over the
seeds of the validation return, minus that of the best baseline, over the minutes since the start
(rollouts included), with its 95 % percentile bootstrap interval over the seeds (10,000 resamples,
seeded).
"""

import csv
import json
import pathlib
import statistics
import sys

import matplotlib
import numpy

matplotlib.use("svg")
# The same figures draw the same file.
matplotlib.rcParams.update({"svg.hashsalt": "godwit", "svg.fonttype": "none"})
import matplotlib.pyplot as plt  # noqa: E402


def evaluations(run):
    with open(run / "metrics.jsonl") as file:
        lines = [json.loads(line) for line in file]
    return [line for line in lines if line["kind"] == "evaluation"]


def interval(values, draw):
    """The 95 % interval of the mean from 10,000 resamples."""
    means = draw.choice(values, (10_000, len(values))).mean(axis=1)
    return numpy.percentile(means, [2.5, 97.5])


def main(levels, out, cores, *runs):
    levels = json.loads(pathlib.Path(levels).read_text())
    level = {policy["name"]: policy["mean_return"]["value"] for policy in levels["policies"]}
    best = max(level, key=level.get)
    runs = [pathlib.Path(run) for run in runs]
    seeds = {run.name: evaluations(run) for run in runs}
    points = list(zip(*seeds.values(), strict=True))
    episodes = {line["episodes"] for point in points for line in point}
    if episodes != {levels["episodes"]}:
        sys.exit(f"expected evaluations of {levels['episodes']} episodes, got {episodes}")

    with open(f"{out}.csv", "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["run", "env_steps", "minutes", "validation_return", f"ahead_of_{best}"])
        for name, lines in seeds.items():
            for line in lines:
                minutes, value = line["seconds"] / 60, line["return"]
                ahead = value - level[best]
                rows.writerow(
                    [name, line["env_steps"], f"{minutes:.2f}", f"{value:.4f}", f"{ahead:.4f}"]
                )
        for name, value in level.items():
            rows.writerow([name, "", "", f"{value:.4f}", f"{value - level[best]:.4f}"])

    minutes = [statistics.fmean(line["seconds"] / 60 for line in point) for point in points]
    ahead = [[line["return"] - level[best] for line in point] for point in points]
    draw = numpy.random.default_rng(0)
    lows, highs = zip(*(interval(values, draw) for values in ahead), strict=True)
    figure, axes = plt.subplots(figsize=(7.5, 4.2))
    for lines in seeds.values():
        axes.plot(
            [line["seconds"] / 60 for line in lines],
            [line["return"] - level[best] for line in lines],
            color="tab:blue", linewidth=0.6, alpha=0.5,
        )
    axes.fill_between(minutes, lows, highs, color="tab:blue", alpha=0.2, linewidth=0)
    means = [statistics.fmean(values) for values in ahead]
    axes.plot(minutes, means, color="tab:blue", linewidth=2, label="trained policy")
    parameters = {policy["name"]: policy["parameters"] for policy in levels["policies"]}
    styles = ["-", "--", "-.", ":", (0, (1, 3))]
    names = sorted(level, key=level.get, reverse=True)
    for name, style in zip(names, styles, strict=True):
        axes.axhline(
            level[name] - level[best], color="0.35", linewidth=1, linestyle=style,
            label=f"{name}, {parameters[name]}",
        )
    axes.set_xlim(left=0)
    axes.set_xlabel(f"minutes since the start on {cores} cores, rollouts included")
    axes.set_ylabel(f"validation return minus that of {best}")
    axes.set_title(f"{levels['scenario']}: mean of {len(runs)} seeds, 95 % interval")
    axes.legend(loc="lower right", fontsize=8)
    figure.tight_layout()
    figure.savefig(f"{out}.svg", metadata={"Date": None, "Creator": None})

    for point, low, high, mean, at in zip(points, lows, highs, means, minutes, strict=True):
        steps = point[0]["env_steps"]
        print(f"{steps:7} env steps {at:5.2f} min: {mean:+.3f} [{low:+.3f}, {high:+.3f}]")


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
