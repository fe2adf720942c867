"""The relational network's update with torch.compile and fused Adam, beside the same in eager mode,
on tensors of the shapes of `founding-10x50`. One candidate row for each state."""

import json
import os
import sys

import torch
import torch.nn.functional as F
from common import MAX_NORM, LEARNING_RATE, timed

torch.set_num_threads(1)
NODES, WORKLOADS = 10, 50
NODE_FEATURES, WORKLOAD_FEATURES, GLOBAL_FEATURES, CANDIDATE_FEATURES = 14, 15, 17, 26
HIDDEN, HEAD = 64, 32
H, G = HIDDEN, HEAD
SHAPES = [
    (WORKLOAD_FEATURES, H), (H,), (NODE_FEATURES, H), (H, H), (H,), (GLOBAL_FEATURES, H), (H, H), (H, H), (H,),
    (H, H), (H, H), (H, H), (CANDIDATE_FEATURES, H), (H, H), (H,), (H, G), (G,), (G, 1), (1,), (H, G), (G,),
    (G, 1), (1,),
]


def loss(p, t):
    (we, web, ne, npw, neb, ge, gn, gw, geb, cw, cs, cd, cf, cg, cb, hw, hb, aw, ab, vw, vb, vo, vob) = p
    b = t["globals"].shape[0]
    workloads = torch.addmm(web, t["workloads"], we).relu()
    per_state = workloads.view(b, WORKLOADS, H)
    pooled = (t["counts"].bmm(per_state) * 0.125).view(b * NODES, H)
    nodes = (torch.addmm(neb, t["nodes"], ne) + pooled @ npw).relu()
    mean_node = nodes.view(b, NODES, H).mean(1)
    g = (torch.addmm(geb, t["globals"], ge) + mean_node @ gn + per_state.mean(1) @ gw).relu()
    value = torch.addmm(vob, torch.addmm(vb, g, vw).relu(), vo).squeeze(1)
    z = torch.addmm(cb, t["candidates"], cf) + workloads[t["workload"]] @ cw + nodes[t["source"]] @ cs
    z = (z + nodes[t["destination"]] @ cd + g @ cg).relu()
    q = torch.addmm(ab, torch.addmm(hb, z, hw).relu(), aw).squeeze(1) + value
    return F.huber_loss(q, t["target"])


def tensors(batch):
    torch.manual_seed(0)
    first_node, first_workload = torch.arange(batch) * NODES, torch.arange(batch) * WORKLOADS
    placement = torch.randint(NODES, (batch, WORKLOADS))
    return {
        "nodes": torch.randn(batch * NODES, NODE_FEATURES),
        "workloads": torch.randn(batch * WORKLOADS, WORKLOAD_FEATURES),
        "globals": torch.randn(batch, GLOBAL_FEATURES),
        "candidates": torch.randn(batch, CANDIDATE_FEATURES),
        "counts": F.one_hot(placement, NODES).float().transpose(1, 2).contiguous(),
        "workload": first_workload + torch.randint(WORKLOADS, (batch,)),
        "source": first_node + torch.randint(NODES, (batch,)),
        "destination": first_node + torch.randint(NODES, (batch,)),
        "target": torch.randn(batch),
    }


def program(batch, compiled):
    parameters = [torch.nn.Parameter(torch.randn(shape) * shape[0] ** -0.5) for shape in SHAPES]
    adam = torch.optim.Adam(parameters, lr=LEARNING_RATE, fused=compiled)
    of = torch.compile(loss) if compiled else loss
    inputs = tensors(batch)

    def update():
        adam.zero_grad()
        of(parameters, inputs).backward()
        torch.nn.utils.clip_grad_norm_(parameters, MAX_NORM)
        adam.step()
        return 1

    for _ in range(20):
        update()
    return update


ready = {}
# What libraries print must not mix with the answers.
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
for line in sys.stdin:
    cell = json.loads(line)
    answer = {}
    for name in ("compiled", "eager"):
        if name not in ready:
            ready[name] = program(cell["batch"], name == "compiled")
        updates, seconds = timed(ready[name], cell["seconds"])
        answer[name] = updates / seconds
    answers.write(json.dumps(answer) + "\n")
