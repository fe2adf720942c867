//! What is known of decisions and moves.

use std::collections::{BTreeMap, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::calibration::Calibration;
use super::moves::{Move, Outcome};
use super::plans::{Assessed, Decided};

/// What is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ledger {
    /// Decisions so far.
    pub decisions: u64,
    /// The plan that is being carried out, without its moves' stages.
    pub decided: Option<Decided>,
    /// Its moves, by position.
    pub moves: Vec<Move>,
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

impl Ledger {
    /// The move of an order that is not assessed yet.
    pub fn of_order(&self, order: &str) -> Option<&Move> {
        self.moves.iter().find(|planned| planned.order.id == order)
    }

    /// Moves that are not over.
    pub fn open(&self) -> impl Iterator<Item = &Move> {
        self.moves.iter().filter(|planned| planned.is_open())
    }

    /// Moves that the cluster is, or may be, carrying out.
    pub fn under_way(&self) -> impl Iterator<Item = &Move> {
        self.moves.iter().filter(|planned| planned.is_under_way())
    }
}
