//! Counts moves that bring a workload back to where it was: what hold-down prevents, watched also
//! where nobody asks for it.

use std::sync::{Mutex, PoisonError};

use godwit_models::plan::Plan;
use godwit_models::shell::{Memory, ShellRules};

/// What counts as a short while, in ticks, where the limits do not say.
const TICKS: u32 = 24;

/// Where workloads were before their last moves.
#[derive(Debug)]
pub struct Returns {
    rules: ShellRules,
    memory: Mutex<Memory>,
}

impl Returns {
    /// Looks back this many ticks; [`TICKS`] for 0.
    pub fn new(hold_down_ticks: u32) -> Self {
        let hold_down_ticks = if hold_down_ticks == 0 { TICKS } else { hold_down_ticks };
        let rules = ShellRules { hold_down_ticks, ..ShellRules::default() };
        Self { rules, memory: Mutex::default() }
    }

    /// A plan is carried out in this tick; gives how many of its moves bring a workload back.
    pub fn count(&self, tick: Option<u64>, plan: &Plan) -> u64 {
        let Some(tick) = tick.filter(|_| !plan.moves.is_empty()) else { return 0 };
        // What was being recorded when a thread panicked is at worst there in part.
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut returning = 0;
        for planned in &plan.moves {
            let returns = memory
                .left_by(&self.rules, tick, &planned.workload_name)
                .any(|node| node == planned.destination_name);
            returning += u64::from(returns);
            memory.record(&self.rules, tick, std::slice::from_ref(planned));
        }
        returning
    }
}
