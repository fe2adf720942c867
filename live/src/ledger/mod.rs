//! What is known of decisions and moves: the sum of the journal's records.

pub mod calibration;
pub mod measurements;
pub mod moves;
pub mod record;

use std::collections::{BTreeMap, VecDeque};

use godwit_models::plan::PlannedMove;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::{Figures, Order};
use calibration::Calibration;
use moves::{Move, Outcome, Stage};
use record::{Assessed, Decided, Event, Record};

/// Most moves that are remembered after their end.
const MOST_ENDED: usize = 200;

/// Most plans, alerts and foreign moves that are remembered.
const MOST_TOLD: usize = 50;

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
    /// What is known after one more record.
    pub fn apply(&mut self, record: &Record) {
        let at_s = record.at_s;
        match &record.event {
            Event::Begin { ledger, .. } => *self = (**ledger).clone(),
            Event::Decided(decided) => self.decide(decided),
            Event::Intended { order } => self.change(order, |stage| {
                if let Stage::Waiting { tries, .. } = *stage {
                    *stage = Stage::Intended { since_s: at_s, tries };
                }
            }),
            Event::NotStarted { order, again_at_s, .. } => self.change(order, |stage| {
                if let Stage::Intended { tries, .. } = *stage {
                    *stage = Stage::Waiting { not_before_s: *again_at_s, tries: tries + 1 };
                }
            }),
            Event::Started { order, handle } => self.change(order, |stage| {
                *stage = Stage::Running {
                    handle: handle.clone(),
                    since_s: at_s,
                    share: None,
                    moved_gib: None,
                    giving_up: None,
                };
            }),
            Event::Progressed { order, share: now, moved_gib: gib } => {
                self.change(order, |stage| {
                    if let Stage::Running { share, moved_gib, .. } = stage {
                        (*share, *moved_gib) = (*now, *gib);
                    }
                });
            }
            Event::GivingUp { order, why } => self.change(order, |stage| {
                if let Stage::Running { giving_up, .. } = stage {
                    *giving_up = Some((why.clone(), at_s));
                }
            }),
            Event::Ended { order, outcome, reason, measured } => {
                *self.outcomes.entry(*outcome).or_default() += 1;
                self.change(order, |stage| {
                    let begun =
                        matches!(stage, Stage::Running { .. }) || *outcome == Outcome::Succeeded;
                    *stage = Stage::Ended {
                        outcome: *outcome,
                        reason: reason.clone(),
                        at_s,
                        begun,
                        measured: *measured,
                    };
                });
            }
            Event::Assessed(assessed) => {
                self.demoted = assessed.demoted;
                self.decided = None;
                self.ended.extend(self.moves.drain(..));
                keep(&mut self.ended, MOST_ENDED);
                self.assessed.push_back(assessed.clone());
                keep(&mut self.assessed, MOST_TOLD);
            }
            Event::Calibrated(finding) => self.calibration.believe(finding),
            Event::Foreign { undoes, .. } => {
                if *undoes {
                    self.undone_at_s.push_back(at_s);
                    keep(&mut self.undone_at_s, MOST_TOLD);
                }
            }
            Event::Halted { reason } => self.halted = Some(reason.clone()),
            Event::Resumed { .. } => {
                self.halted = None;
                self.undone_at_s.clear();
            }
            Event::Alert { text } => {
                self.alerts.push_back((at_s, text.clone()));
                keep(&mut self.alerts, MOST_TOLD);
            }
        }
    }

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

    fn decide(&mut self, decided: &Decided) {
        self.decisions += 1;
        let moves = decided.plan.moves.iter().enumerate().map(|(at, planned)| Move {
            order: order(&decided.id, at, planned),
            planned: planned.clone(),
            expires_at_s: planned.expires_s.map(|s| decided.taken_at_s + f64::from(s)),
            stage: Stage::Waiting { not_before_s: 0.0, tries: 0 },
        });
        self.moves = moves.collect();
        self.decided = Some(decided.clone());
    }

    fn change(&mut self, order: &str, change: impl FnOnce(&mut Stage)) {
        let found = self.moves.iter_mut().find(|planned| planned.order.id == order);
        if let Some(planned) = found.filter(|planned| planned.is_open()) {
            change(&mut planned.stage);
        }
    }
}

fn order(decision: &str, at: usize, planned: &PlannedMove) -> Order {
    Order {
        id: format!("{decision}.{at}"),
        workload: planned.workload_name.clone(),
        source: planned.source_name.clone(),
        destination: planned.destination_name.clone(),
        method: planned.method,
        predicted: Figures {
            transfer_s: Some(planned.transfer_s),
            moved_gib: Some(planned.moved_gib),
            downtime_s: Some(planned.downtime_s),
        },
    }
}

fn keep<T>(queue: &mut VecDeque<T>, most: usize) {
    while queue.len() > most {
        queue.pop_front();
    }
}
