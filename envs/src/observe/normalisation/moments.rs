//! Means and deviations of features over many observations.

use super::{Affine, Normalisation};
use crate::observe::ObservationBuffer;
use crate::observe::schema::ObservationSchema;

/// Sums over the rows that carry meaning in the observations of one scenario.
#[derive(Debug, Clone)]
pub struct Moments {
    node: Group,
    workload: Group,
    global: Group,
    candidate: Group,
}

/// Sums over the rows of one kind.
#[derive(Debug, Clone)]
struct Group {
    rows: u64,
    features: Vec<Sums>,
}

/// Sums of one feature, of its differences from its first value: a constant has none at all.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    first: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    /// Of no observation yet.
    pub fn new(schema: &ObservationSchema) -> Self {
        let group = |width| Group { rows: 0, features: vec![Sums::default(); width] };
        Self {
            node: group(schema.node.len()),
            workload: group(schema.workload.len()),
            global: group(schema.global.len()),
            candidate: group(schema.candidate.len()),
        }
    }

    /// Adds an observation that is not normalised: every node, the workloads that `is_present`
    /// says are there, and the unmasked candidates but `Stay`.
    pub fn add(&mut self, observation: &ObservationBuffer, is_present: impl Fn(usize) -> bool) {
        let o = observation;
        self.global.add_row(&o.globals);
        for row in o.nodes.chunks_exact(self.node.features.len().max(1)) {
            self.node.add_row(row);
        }
        let width = self.workload.features.len().max(1);
        for (workload, row) in o.workloads.chunks_exact(width).enumerate() {
            if is_present(workload) {
                self.workload.add_row(row);
            }
        }
        self.candidate.add_columns(&o.candidates, o.candidate_stride, &o.mask[..o.actions()]);
    }

    /// What normalises the features of several scenarios, each with its share; shares add up to 1.
    /// Within a scenario every row of a kind counts the same.
    pub fn normalisation(parts: &[(f64, Self)]) -> Normalisation {
        let affines = |of: fn(&Self) -> &Group| {
            let groups: Vec<(f64, &Group)> =
                parts.iter().map(|(share, moments)| (*share, of(moments))).collect();
            let width = groups.first().map_or(0, |(_, group)| group.features.len());
            (0..width).map(|feature| standard(&groups, feature)).collect()
        };
        Normalisation {
            node: affines(|moments| &moments.node),
            workload: affines(|moments| &moments.workload),
            global: affines(|moments| &moments.global),
            candidate: affines(|moments| &moments.candidate),
        }
    }
}

impl Group {
    fn add_row(&mut self, row: &[f32]) {
        for (sums, &value) in self.features.iter_mut().zip(row) {
            sums.add(self.rows, value);
        }
        self.rows += 1;
    }

    /// Adds the columns of the open candidates but the first.
    fn add_columns(&mut self, rows: &[f32], stride: usize, open: &[bool]) {
        let mut added = 0;
        for (sums, row) in self.features.iter_mut().zip(rows.chunks_exact(stride)) {
            added = 0;
            for (&value, _) in row.iter().zip(open).skip(1).filter(|(_, open)| **open) {
                sums.add(self.rows + added, value);
                added += 1;
            }
        }
        self.rows += added;
    }
}

impl Sums {
    #[inline(always)]
    fn add(&mut self, before: u64, value: f32) {
        let value = f64::from(value);
        if before == 0 {
            self.first = value;
        }
        let difference = value - self.first;
        self.sum += difference;
        self.squares += difference * difference;
    }

    /// Mean and variance over so many rows.
    fn moments(&self, rows: u64) -> (f64, f64) {
        let mean = self.sum / rows as f64;
        (self.first + mean, (self.squares / rows as f64 - mean * mean).max(0.0))
    }
}

/// What normalises one feature of a mixture of groups; groups without a row have no say.
fn standard(groups: &[(f64, &Group)], feature: usize) -> Affine {
    let groups = groups.iter().filter(|(_, group)| group.rows > 0);
    let whole: f64 = groups.clone().map(|(share, _)| share).sum();
    if whole == 0.0 {
        return Affine::IDENTITY;
    }
    let parts: Vec<(f64, (f64, f64))> = groups
        .map(|(share, group)| (share / whole, group.features[feature].moments(group.rows)))
        .collect();
    let mean: f64 = parts.iter().map(|(share, (mean, _))| share * mean).sum();
    let variance: f64 = parts
        .iter()
        .map(|(share, (own, variance))| share * (variance + (own - mean) * (own - mean)))
        .sum();
    Affine::standard(mean, variance.sqrt())
}
