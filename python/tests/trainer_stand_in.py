"""Stands in for `godwit train` and `godwit export`: the same flags, folder, signals and exit codes.

Settings say how the run goes: `top` is what its validation returns come near to, `diverges` lets it
fail, `pause_s` is the time between two validations. Any other is refused.
"""

import argparse
import fcntl
import json
import signal
import sys
import time
from pathlib import Path

import godwit


def train(args):
    settings = {"top": 1.0, "diverges": False, "pause_s": 0.0}
    for key, _, value in (text.partition("=") for text in args.set):
        if key not in settings:
            return refuse(f"--set {key}: unknown setting; nearest: top")
        settings[key] = json.loads(value)
    folder = Path(args.out)
    if (folder / "config.toml").exists():
        return refuse(f"{folder}: expected a new or empty directory, got one that holds a run")
    folder.mkdir(parents=True, exist_ok=True)
    # For as long as the process lives.
    lock = (folder / ".lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    schedule = "[learner]\ngamma = 0.9\nlearning_rate = { from = 0.1, to = 0.0, share = 1.0 }\n"
    (folder / "config.toml").write_text(f"env_steps = {args.env_steps}\n{schedule}")
    (folder / "scenario.toml").write_text(godwit.Scenario(args.scenario).to_toml())
    print(f"scenario  {args.scenario}", file=sys.stderr)
    with (folder / "metrics.jsonl").open("a") as metrics:
        for part in range(1, 6):
            made = part * args.env_steps // 5
            row = {"env_steps": made, "updates": made, "seconds": float(part)}
            value = settings["top"] * made / args.env_steps
            if settings["diverges"] and part == 3:
                line(metrics, {"kind": "error", **row, "text": "loss is not finite"})
                return refuse("loss: expected a finite number, got NaN", 1)
            line(metrics, {"kind": "round", **row, "return": None, "td_error": {"q50": 0.5}})
            line(metrics, {"kind": "evaluation", **row, "return": value})
            time.sleep(settings["pause_s"])
    return 0


def line(metrics, row):
    metrics.write(json.dumps(row) + "\n")
    metrics.flush()


def refuse(text, code=2):
    print(f"error: {text}", file=sys.stderr)
    return code


def end(*_):
    print("interrupted; go on with: godwit train --resume", file=sys.stderr)
    sys.exit(143)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["train", "export"])
    parser.add_argument("scenario")
    parser.add_argument("--out")
    parser.add_argument("--env-steps", type=int, default=1000)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--set", action="append", default=[])
    args = parser.parse_args()
    if args.command == "export":
        # Any artifact does.
        return refuse("no run") if not Path(args.scenario).is_dir() else 0
    signal.signal(signal.SIGTERM, end)
    return train(args)


if __name__ == "__main__":
    sys.exit(main())
