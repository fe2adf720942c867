"""Compares an artifact in Python with the values that the native forward pass gave.

usage: parity.py FILE.pt OBSERVATIONS.safetensors

Needs torch and nothing else. Prints a line with what it found; exit code 1 if a value differs by
more than 1e-5 or another candidate is best.
"""

import hashlib
import json
import struct
import sys

import torch

TOLERANCE = 1e-5
DTYPES = {"F32": torch.float32, "I32": torch.int32, "U8": torch.uint8}
INPUTS = ["nodes", "workloads", "globals", "candidates", "candidate_workload",
          "candidate_source", "candidate_destination", "placement", "mask"]
INDICES = {"candidate_workload", "candidate_source", "candidate_destination", "placement"}


def read_safetensors(data):
    """Tensors by name: a JSON header behind its length, then the bytes it points into."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    body = bytearray(data[8 + length:])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            dtype = DTYPES[entry["dtype"]]
            count = (end - start) // dtype.itemsize
            flat = torch.frombuffer(body, dtype=dtype, count=count, offset=start)
            tensors[name] = flat.reshape(entry["shape"])
    return tensors


def compare(module, tensors):
    """Largest difference of a value, and how often another candidate is best."""
    largest, other_best, count = 0.0, 0, 0
    while f"{count}.q" in tensors:
        inputs = []
        for name in INPUTS:
            tensor = tensors[f"{count}.{name}"]
            if name == "candidates":
                tensor = tensor.t().contiguous()
            elif name in INDICES:
                tensor = tensor.long()
            elif name == "mask":
                tensor = tensor.bool()
            inputs.append(tensor.unsqueeze(0))
        expected = tensors[f"{count}.q"]
        with torch.no_grad():
            q = module(*inputs)[0]
            best = module.act(*inputs)[0].item()
        allowed = inputs[-1][0]
        if not torch.equal(torch.isfinite(q), allowed) or not torch.equal(q.isfinite(), expected.isfinite()):
            raise SystemExit(f"observation {count}: expected a value for each allowed candidate and no other")
        largest = max(largest, (q - expected)[allowed].abs().max().item())
        top = q.topk(min(2, q.numel())).values
        level = top.numel() > 1 and (top[0] - top[1]).item() < TOLERANCE
        other_best += int(best != expected.argmax().item() and not level)
        count += 1
    return count, largest, other_best


def main(artifact, observations):
    extra = {"manifest.json": "", "weights.safetensors": "", "golden.safetensors": ""}
    module = torch.jit.load(artifact, _extra_files=extra)
    extra = {name: data if isinstance(data, bytes) else data.encode() for name, data in extra.items()}
    manifest = json.loads(extra["manifest.json"])
    for entry in ["weights", "golden"]:
        digest = hashlib.sha256(extra[f"{entry}.safetensors"]).hexdigest()
        if digest != manifest[f"{entry}_sha256"]:
            raise SystemExit(f"{entry}: expected SHA-256 {manifest[f'{entry}_sha256']}, got {digest}")
    state = module.state_dict()
    weights = read_safetensors(extra["weights.safetensors"])
    if state.keys() != weights.keys() or any(not torch.equal(state[n], weights[n]) for n in weights):
        raise SystemExit("weights: expected the module's parameters in weights.safetensors")
    with open(observations, "rb") as file:
        many = read_safetensors(file.read())
    failed = False
    for label, tensors in [("golden", read_safetensors(extra["golden.safetensors"])), ("observations", many)]:
        count, largest, other_best = compare(module, tensors)
        print(f"{label}: {count} compared, largest difference {largest:.2e}, {other_best} with another arg-max")
        failed |= count == 0 or not largest <= TOLERANCE or other_best > 0
    return int(failed)


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main(*sys.argv[1:]))
