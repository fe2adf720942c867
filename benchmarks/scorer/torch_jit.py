"""Time one forward pass and arg-max of an artifact in Python's torch.jit, on one thread.

    python benchmarks/scorer/torch_jit.py models/pretrained/founding-10x50.pt

The observations are those that the artifact carries (extra/golden.safetensors), as in
`godwit bench decide`; the values have to be those that it carries as well. Needs torch and numpy as
pinned in benchmarks/learner/requirements.txt. Prints one line of JSON: microseconds at p50 and p99.
"""

import json
import sys
import time
import zipfile

import numpy
import torch

TYPES = {"F32": numpy.float32, "I32": numpy.int32, "U8": numpy.uint8}
SECONDS = 3.0


def tensors(path):
    """Every tensor of the artifact's golden observations, by name (the safetensors format)."""
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith("extra/golden.safetensors"))
        data = archive.read(name)
    length = int.from_bytes(data[:8], "little")
    found = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__":
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            values = numpy.frombuffer(data[start:end], TYPES[entry["dtype"]])
            found[name] = torch.from_numpy(values.reshape(entry["shape"]).copy())
    return found


def inputs(found, i):
    """What `forward` takes: a batch of one."""
    of = {name.split(".", 1)[1]: t for name, t in found.items() if name.startswith(f"{i}.")}
    floats = [of["nodes"], of["workloads"], of["globals"], of["candidates"].T.contiguous()]
    names = ["candidate_workload", "candidate_source", "candidate_destination", "placement"]
    integers = [of[name].long() for name in names]
    batch = [t.unsqueeze(0) for t in [*floats, *integers, of["mask"].bool()]]
    return batch, of["q"]


def main(path):
    torch.set_num_threads(1)
    module = torch.jit.load(path)
    found = tensors(path)
    count = len({name.split(".", 1)[0] for name in found})
    batches = [inputs(found, i) for i in range(count)]
    times = []
    with torch.inference_mode():
        for batch, expected in batches:
            for _ in range(20):
                q = module(*batch)[0]
            allowed = torch.isfinite(expected)
            torch.testing.assert_close(q[allowed], expected[allowed], atol=1e-4, rtol=1e-4)
        start = time.perf_counter()
        while time.perf_counter() - start < SECONDS:
            for batch, _ in batches:
                started = time.perf_counter_ns()
                module(*batch).argmax(1).item()
                times.append((time.perf_counter_ns() - started) / 1e3)
    p50, p99 = numpy.percentile(times, [50, 99])
    print(json.dumps({"torch": torch.__version__, "p50_us": round(p50, 1), "p99_us": round(p99, 1)}))


if __name__ == "__main__":
    main(sys.argv[1])
