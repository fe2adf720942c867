//! The baselines that a policy is compared with.

use crate::baselines::greedy::stay::Stay;
use crate::baselines::registry::baseline;
use crate::policy::Policy;
use godwit_envs::scenario::Mode;
use godwit_envs::state::ClusterState;
use godwit_envs::state::cluster::Health;

/// A baseline of the portfolio.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name among the baselines.
    pub name: &'static str,
    /// Milliseconds of thought from which it is asked: a search that has begun is not given up. Those
    /// of more than none are asked in static worlds alone.
    pub least_ms: u32,
    /// Where it makes sense.
    place: Place,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Anywhere,
    /// Where nodes cannot be relied on.
    Trouble,
}

/// Who is asked, the quickest first. None remembers anything from tick to tick.
pub const PORTFOLIO: &[Entry] = &[
    Entry { name: "stay", least_ms: 0, place: Place::Anywhere },
    Entry { name: "best-single-move", least_ms: 0, place: Place::Anywhere },
    Entry { name: "best-move-or-swap", least_ms: 0, place: Place::Anywhere },
    Entry { name: "evacuate", least_ms: 0, place: Place::Trouble },
    Entry { name: "receding-horizon", least_ms: 10, place: Place::Anywhere },
    Entry { name: "chains", least_ms: 20, place: Place::Anywhere },
    Entry { name: "annealing", least_ms: 20, place: Place::Anywhere },
    Entry { name: "large-neighbourhood", least_ms: 40, place: Place::Anywhere },
    Entry { name: "genetic", least_ms: 40, place: Place::Anywhere },
];

impl Entry {
    /// The baseline, with its default parameters.
    pub fn policy(&self) -> Box<dyn Policy> {
        // A test sees to it that there is one for each row.
        baseline(self.name).unwrap_or_else(|| Box::new(Stay))
    }

    /// Whether it makes sense in this state.
    pub fn suits(&self, state: &ClusterState) -> bool {
        match self.place {
            Place::Anywhere => true,
            Place::Trouble => {
                state.rules.episode.mode == Mode::Online
                    && state.health.iter().any(|health| *health != Health::Healthy)
            }
        }
    }
}
