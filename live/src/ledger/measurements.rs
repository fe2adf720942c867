//! What was predicted of moves beside what was measured, as a table with the median errors.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::moves::Outcome;
use super::record::{Event, Record};
use crate::cluster::{Figures, Order};

/// The moves of a journal that ended.
#[derive(Debug)]
pub struct Measurements {
    moves: Vec<Measured>,
}

/// One of them.
#[derive(Debug)]
struct Measured {
    order: Order,
    outcome: Outcome,
    figures: Figures,
    /// Whether the workload had been moved, and so measured, before.
    known: bool,
}

impl Measurements {
    /// Of these records.
    pub fn of(records: &[Record]) -> Self {
        let mut orders: HashMap<String, Order> = HashMap::new();
        let (mut moves, mut known) = (Vec::new(), HashSet::new());
        for record in records {
            match &record.event {
                Event::Decided(decided) => {
                    let planned = decided.plan.moves.iter().enumerate();
                    let of_plan = planned.map(|(at, planned)| Order::of(&decided.id, at, planned));
                    orders.extend(of_plan.map(|order| (order.id.clone(), order)));
                }
                Event::Ended { order, outcome, measured, .. } => {
                    let Some(order) = orders.remove(order) else { continue };
                    let is_known = known.contains(&order.workload);
                    if measured.moved_gib.is_some() {
                        known.insert(order.workload.clone());
                    }
                    let (outcome, figures) = (*outcome, *measured);
                    moves.push(Measured { order, outcome, figures, known: is_known });
                }
                _ => {}
            }
        }
        Self { moves }
    }

    /// Median of `|predicted / measured - 1|` over the moves that were measured, and how many those
    /// are: of all, or only of workloads that had been measured before.
    pub fn median_error(
        &self,
        figure: impl Fn(&Figures) -> Option<f32>,
        only_known: bool,
    ) -> Option<(f32, usize)> {
        let moves = self.moves.iter().filter(|of| of.known || !only_known);
        let error = |of: &Measured| {
            let (predicted, measured) = (figure(&of.order.predicted)?, figure(&of.figures)?);
            (measured > 0.0).then(|| (predicted / measured - 1.0).abs())
        };
        let mut errors: Vec<f32> = moves.filter_map(error).collect();
        errors.sort_by(f32::total_cmp);
        let middle = errors.len().checked_sub(1)? / 2;
        Some(((errors[middle] + errors[errors.len() / 2]) / 2.0, errors.len()))
    }
}

impl fmt::Display for Measurements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pair = |predicted: Option<f32>, measured: Option<f32>, digits: usize| {
            let told = |figure: Option<f32>| match figure {
                Some(figure) => format!("{figure:.digits$}"),
                None => "-".to_owned(),
            };
            format!("{} / {}", told(predicted), told(measured))
        };
        writeln!(
            f,
            "{:20} {:16} {:16} {:10} {:>18} {:>18} {:>18}",
            "workload", "from", "to", "outcome", "transfer s", "GiB", "downtime s"
        )?;
        for Measured { order, outcome, figures, .. } in &self.moves {
            let predicted = &order.predicted;
            writeln!(
                f,
                "{:20} {:16} {:16} {:10} {:>18} {:>18} {:>18}",
                order.workload,
                order.source,
                order.destination,
                outcome.name(),
                pair(predicted.transfer_s, figures.transfer_s, 2),
                pair(predicted.moved_gib, figures.moved_gib, 4),
                pair(predicted.downtime_s, figures.downtime_s, 3),
            )?;
        }
        writeln!(f, "(predicted / measured)")?;
        for (who, only_known) in [("of all moves", false), ("of workloads measured before", true)] {
            let told = |of: Option<(f32, usize)>| {
                of.map_or("none measured".to_owned(), |(error, count)| {
                    format!("{:.0} % over {count}", 100.0 * error)
                })
            };
            writeln!(
                f,
                "median error {who}: transfer {}, traffic {}",
                told(self.median_error(|figures| figures.transfer_s, only_known)),
                told(self.median_error(|figures| figures.moved_gib, only_known)),
            )?;
        }
        Ok(())
    }
}
