//! Chains that go on in later ticks: where a tick's budget ends a plan half way through an exchange,
//! its last moves are worth their costs only with moves that the policy makes next.
//!
//! The policy is asked for these in the simulator, with demand as it is now. The plan names them, so
//! that whoever plans for the next tick can propose them first ([`crate::shell::Memory`]): where
//! nothing has changed, a chain that was begun is finished.

use crate::baselines::registry::find;
use crate::plan::document::LaterMove;
use crate::plan::draft::{Continuation, Draft};
use crate::plan::held::{complete, held_from, transient_level};
use crate::plan::reach::Fencing;
use crate::policy::Policy;
use godwit_envs::scenario::Mode;
use godwit_envs::state::Action;
use std::time::Instant;

/// Most ticks that a chain goes on for after its first.
const MOST_TICKS: u32 = 3;

impl Draft {
    /// How the moves from `first` on, which are not worth their costs yet, come to be in later ticks,
    /// if they do. The draft's tick has no budget left.
    pub(super) fn go_on(
        &self,
        first: usize,
        policy: &mut dyn Policy,
        deadline: Option<Instant>,
        fence: &mut Fencing<'_>,
    ) -> Option<Continuation> {
        let mut state = self.scratch.clone();
        let is_online = state.rules.episode.mode == Mode::Online;
        // Whoever looks back would remember ticks that have not been.
        let looks_back = || find(policy.name()).is_some_and(|known| known.remembers.is_some());
        if !is_online || state.moves_left > 0 || looks_back() {
            return None;
        }
        let (spec, rules) = (state.spec.clone(), state.rules.clone());
        let mut moved: Vec<usize> = self.moves.iter().map(|planned| planned.workload).collect();
        let mut costs: f64 = self.moves[first..].iter().map(|m| f64::from(m.cost)).sum();
        let mut waiting = 0.0;
        let mut later = Vec::new();
        for tick in 1..=MOST_TICKS.min(self.payback_ticks) {
            let terms = state.run_transfers(rules.episode.tick_s);
            let mut settled = state.clone();
            complete(&mut settled);
            waiting += transient_level(&settled, &terms);
            state.start_tick();
            while state.moves_left > 0 {
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    return None;
                }
                fence(&mut state, &[]);
                for &k in &moved {
                    state.fences.hold_workload(k, spec.workloads());
                }
                let Action::Migrate { workload, destination } = policy.act(&state) else {
                    break;
                };
                let price = state.migrate(workload, destination).ok()?;
                costs += f64::from(state.objective.value(&state.flow_terms(workload, &price)));
                moved.push(workload);
                later.push(LaterMove {
                    workload_name: spec.workload_names[workload].clone(),
                    destination_name: spec.node_names[destination].clone(),
                });
                let held = waiting + held_from(&state, tick, self.payback_ticks);
                let worth = self.held[first] - held - costs;
                // The moves so far may be short of their costs by one margin.
                if worth > 2.0 * self.margin() {
                    return Some(Continuation { later, worth });
                }
            }
            if later.is_empty() {
                return None;
            }
        }
        None
    }
}
