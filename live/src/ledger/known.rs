//! What is known of decisions and moves.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::calibration::Calibration;
use super::moves::{Move, Outcome, Stage};
use super::plans::{Assessed, Decided};

/// Rests grow to 2 to this times the first one.
const MOST_DOUBLINGS: u32 = 4;

/// What is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ledger {
    /// Decisions so far.
    pub decisions: u64,
    /// Plans that are not assessed yet, the oldest first.
    pub plans: Vec<OpenPlan>,
    /// Moves of earlier plans, the oldest first.
    pub ended: VecDeque<Move>,
    /// What earlier plans came to, the oldest first.
    pub assessed: VecDeque<Assessed>,
    /// How many moves ended how.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// What moves have taught.
    pub calibration: Calibration,
    /// Why no moves begin, if none do.
    pub halted: Option<String>,
    /// What a person should know, the oldest first, with times in seconds since 1970.
    pub alerts: VecDeque<(f64, String)>,
    /// Times of moves by another hand that undid one of ours, seconds since 1970.
    pub undone_at_s: VecDeque<f64>,
    /// Whether the policy is demoted.
    pub demoted: bool,
}

/// A plan that is being carried out, or waits for its assessment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OpenPlan {
    /// What was decided.
    pub decided: Decided,
    /// Its moves, by position.
    pub moves: Vec<Move>,
}

impl OpenPlan {
    /// Whether all of its moves are over.
    pub fn is_over(&self) -> bool {
        !self.moves.iter().any(Move::is_open)
    }
}

impl Ledger {
    /// All moves that are not assessed yet.
    pub fn moves(&self) -> impl Iterator<Item = &Move> {
        self.plans.iter().flat_map(|plan| &plan.moves)
    }

    /// The move of an order that is not assessed yet.
    pub fn of_order(&self, order: &str) -> Option<&Move> {
        self.moves().find(|planned| planned.order.id == order)
    }

    /// The moves that the move of this order waits for.
    pub fn before(&self, order: &str) -> impl Iterator<Item = &Move> {
        let of_plan = |plan: &&OpenPlan| plan.moves.iter().any(|other| other.order.id == order);
        let plan = self.plans.iter().find(of_plan);
        let moves = plan.map_or(&[][..], |plan| &plan.moves);
        let planned = moves.iter().find(|planned| planned.order.id == order);
        let after = planned.map_or(&[][..], |planned| &planned.planned.after);
        after.iter().filter_map(|at| moves.get(*at as usize))
    }

    /// Moves that are not over.
    pub fn open(&self) -> impl Iterator<Item = &Move> {
        self.moves().filter(|planned| planned.is_open())
    }

    /// Workloads whose last moves failed or took too long, and that are left alone for it: `rest_s`
    /// seconds after the first of these moves, and twice as long after each further one.
    pub fn resting(&self, now_s: f64, rest_s: f64) -> HashSet<String> {
        let mut failed: HashMap<&str, (u32, f64)> = HashMap::new();
        for of in self.ended.iter().chain(self.moves()) {
            let Stage::Ended { outcome, at_s, .. } = of.stage else { continue };
            let workload = of.order.workload.as_str();
            match outcome {
                Outcome::Succeeded => {
                    failed.remove(workload);
                }
                Outcome::Failed | Outcome::TimedOut => {
                    let (times, last_s) = failed.entry(workload).or_insert((0, at_s));
                    (*times, *last_s) = (*times + 1, at_s);
                }
                Outcome::Cancelled | Outcome::Superseded => {}
            }
        }
        let rests = |(times, last_s): &(u32, f64)| {
            now_s < last_s + rest_s * f64::from((times - 1).min(MOST_DOUBLINGS)).exp2()
        };
        failed.retain(|_, of| rests(of));
        failed.into_keys().map(str::to_owned).collect()
    }

    /// Moves that the cluster is, or may be, carrying out.
    pub fn under_way(&self) -> impl Iterator<Item = &Move> {
        self.moves().filter(|planned| planned.is_under_way())
    }
}
