//! How what is known changes with each record.

use std::collections::VecDeque;

use crate::cluster::Order;

use super::known::{Ledger, OpenPlan};
use super::moves::{Move, Outcome, Stage};
use super::plans::Decided;
use super::record::{Event, Record};

/// Most moves that are remembered after their end.
const MOST_ENDED: usize = 200;

/// Most plans, alerts and foreign moves that are remembered.
const MOST_TOLD: usize = 50;

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
                if let Some(at) = self.plans.iter().position(|p| p.decided.id == assessed.id) {
                    self.ended.extend(self.plans.remove(at).moves);
                }
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

    fn decide(&mut self, decided: &Decided) {
        self.decisions += 1;
        let moves = decided.plan.moves.iter().enumerate().map(|(at, planned)| Move {
            order: Order::of(&decided.id, at, planned),
            planned: planned.clone(),
            expires_at_s: planned.expires_s.map(|s| decided.taken_at_s + f64::from(s)),
            stage: Stage::Waiting { not_before_s: 0.0, tries: 0 },
        });
        let moves = moves.collect();
        self.plans.push(OpenPlan { decided: decided.clone(), moves });
    }

    fn change(&mut self, order: &str, change: impl FnOnce(&mut Stage)) {
        let mut moves = self.plans.iter_mut().flat_map(|plan| &mut plan.moves);
        let found = moves.find(|planned| planned.order.id == order);
        if let Some(planned) = found.filter(|planned| planned.is_open()) {
            change(&mut planned.stage);
        }
    }
}

fn keep<T>(queue: &mut VecDeque<T>, most: usize) {
    while queue.len() > most {
        queue.pop_front();
    }
}
