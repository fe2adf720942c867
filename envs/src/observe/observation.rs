//! What a policy sees, in buffers that the caller owns and reuses.

use crate::observe::encoder::FollowUps;
use crate::observe::sections::Sections;
use crate::observe::space::ObservationSpace;
use crate::state::outlook::Tile;

/// Which features an observation holds, apart from those of the cluster. Whoever feeds a network that
/// does not read some may spare the work; they then hold whatever they held. The mask is always
/// written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Those of nodes and workloads.
    pub entities: bool,
    /// Those of candidates.
    pub candidates: bool,
}

impl Default for Parts {
    fn default() -> Self {
        Self { entities: true, candidates: true }
    }
}

/// One observation. All floats are finite and scaled to about [-1, 1]; normalised ones may reach
/// further.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservationBuffer {
    /// `[N, F_n]`, row-major.
    pub nodes: Vec<f32>,
    /// `[K, F_w]`, row-major.
    pub workloads: Vec<f32>,
    /// `[F_g]`.
    pub globals: Vec<f32>,
    /// `[F_c, stride]`, feature-major: feature `f` of candidate `a` is at `f * stride + a`.
    /// Feature-major because the kernel computes many destinations of one workload at once and
    /// stores each feature as one vector; the `stride` (at least `A + LANES`) gives its last
    /// store room. Columns from A on, and all features of `Stay` and of masked candidates, carry
    /// no meaning.
    pub candidates: Vec<f32>,
    /// Elements between two rows of `candidates`.
    pub candidate_stride: usize,
    /// Workload index of each candidate, `[A]`; 0 for `Stay` and for unused slots.
    pub candidate_workload: Vec<u32>,
    /// Source node of each candidate, `[A]`; 0 for `Stay` and for unused slots.
    pub candidate_source: Vec<u32>,
    /// Destination node of each candidate, `[A]`; 0 for `Stay` and for unused slots.
    pub candidate_destination: Vec<u32>,
    /// Node of each workload, `[K]`.
    pub placement: Vec<u32>,
    /// Whether each candidate may be taken now, `[A]`; `mask[0]` is always true. Like
    /// `candidates`, the vector has `stride` elements; those from A on are false.
    pub mask: Vec<bool>,
    /// Which features are written.
    pub parts: Parts,
    /// Which groups of features there are.
    pub sections: Sections,
    /// Scratch of the encoder, kept here so that observing does not allocate.
    pub(crate) tiles: Vec<Tile>,
    /// What candidates make room for in the state that is being observed; kept for its room.
    pub(crate) follow_ups: FollowUps,
}

impl ObservationBuffer {
    /// A zeroed buffer for this space.
    pub fn new(space: &ObservationSpace) -> Self {
        let stride = space.candidate_stride();
        Self {
            nodes: vec![0.0; space.nodes * space.schema.node.len()],
            workloads: vec![0.0; space.workloads * space.schema.workload.len()],
            globals: vec![0.0; space.schema.global.len()],
            candidates: vec![0.0; space.schema.candidate.len() * stride],
            candidate_stride: stride,
            candidate_workload: vec![0; space.actions],
            candidate_source: vec![0; space.actions],
            candidate_destination: vec![0; space.actions],
            placement: vec![0; space.workloads],
            mask: vec![false; stride],
            parts: Parts::default(),
            sections: space.sections,
            tiles: Vec::new(),
            follow_ups: FollowUps::default(),
        }
    }

    /// Feature `f` of candidate `a`.
    pub fn candidate(&self, a: usize, f: usize) -> f32 {
        self.candidates[f * self.candidate_stride + a]
    }

    /// Number of candidate slots, A.
    pub fn actions(&self) -> usize {
        self.candidate_workload.len()
    }
}
