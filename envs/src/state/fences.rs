//! What may not be moved beyond what the rules say: an operator's limits and doubts about the input.

/// Workloads, nodes and pairs of them that no migration may touch. A fence is not observed as such:
/// it shows in the mask, and whoever simulates or trains has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fences {
    /// Whether each workload has to stay where it is, `[K]`; empty for none.
    workloads: Vec<bool>,
    /// Whether each node may be neither source nor destination, `[N]`; empty for none.
    nodes: Vec<bool>,
    /// (workload, node) pairs that must not come together again, ascending.
    pairs: Vec<(u32, u32)>,
}

impl Fences {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.workloads.is_empty() && self.nodes.is_empty() && self.pairs.is_empty()
    }

    /// Keeps a workload, of `workloads`, where it is.
    pub fn hold_workload(&mut self, workload: usize, workloads: usize) {
        self.workloads.resize(workloads, false);
        self.workloads[workload] = true;
    }

    /// Lets a node, of `nodes`, neither give nor take.
    pub fn close_node(&mut self, node: usize, nodes: usize) {
        self.nodes.resize(nodes, false);
        self.nodes[node] = true;
    }

    /// Keeps a workload off a node.
    pub fn keep_apart(&mut self, workload: usize, node: usize) {
        let pair = (workload as u32, node as u32);
        if let Err(at) = self.pairs.binary_search(&pair) {
            self.pairs.insert(at, pair);
        }
    }

    /// Whether the workload has to stay, whatever node it is on.
    pub fn holds_workload(&self, workload: usize) -> bool {
        self.workloads.get(workload) == Some(&true)
    }

    /// Whether the node neither gives nor takes.
    pub fn closes(&self, node: usize) -> bool {
        self.nodes.get(node) == Some(&true)
    }

    /// Whether the workload has to stay on this node.
    pub fn holds(&self, workload: usize, node: usize) -> bool {
        self.holds_workload(workload) || self.closes(node)
    }

    /// Whether the workload may not come to this node.
    pub fn keeps_out(&self, workload: usize, node: usize) -> bool {
        self.closes(node) || self.pairs.binary_search(&(workload as u32, node as u32)).is_ok()
    }

    /// Whether there are nodes that this workload is kept off.
    pub fn has_pair(&self, workload: usize) -> bool {
        let first = (workload as u32, 0);
        let at = self.pairs.partition_point(|&pair| pair < first);
        self.pairs.get(at).is_some_and(|pair| pair.0 == first.0)
    }
}
