//! The parameters of baselines as data: what can be set, within which range, and what it means.
//!
//! Each baseline keeps its parameters in a plain `...Rules` struct. Next to it, in the same file,
//! a `declaration()` names those that are worth tuning:
//!
//! ```text
//! pub(crate) fn declaration() -> Declaration<HoldDownRules> {
//!     Declaration::new(HoldDownRules::default(), HoldDown::new)
//!         .real("threshold", "imbalance above which a tick counts, ratio", 0.0..=0.5, |r| {
//!             (&mut r.threshold).into()
//!         })
//!         .integer("hold_ticks", "ticks above it before a move", 1..=12, |r| {
//!             (&mut r.hold_ticks).into()
//!         })
//!         .online()
//! }
//! ```
//!
//! and its row in [`crate::baselines::registry`] names it. From there on it can be built from an
//! assignment of values ([`crate::baselines::baseline_with`]), tuned ([`crate::parameter_search`]) and written to a file, and nobody else has to know
//! the struct.
//!
//! A value is an `f64` whatever the field's type; a choice is the index of one of its names.

use crate::policy::Policy;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Values by the names of their parameters; those that are missing keep their defaults.
pub type Assignment = BTreeMap<String, f64>;

/// What values a parameter takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Whole numbers.
    Integer(RangeInclusive<u32>),
    /// Numbers, of which equal differences mean about the same.
    Real(RangeInclusive<f64>),
    /// Numbers above zero, of which equal ratios mean about the same.
    LogReal(RangeInclusive<f64>),
    /// Named variants; the value is the index of one.
    Choice(&'static [&'static str]),
}

/// One parameter of a baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name, unique within the baseline.
    pub name: &'static str,
    /// What it does, with its unit.
    pub meaning: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Its value unless another is given.
    pub default: f64,
    /// Whether it does nothing in rebalance scenarios.
    pub online_only: bool,
}

impl Parameter {
    /// Whether this is a value of it.
    pub fn allows(&self, value: f64) -> bool {
        match &self.kind {
            Kind::Integer(range) => {
                value.fract() == 0.0
                    && (f64::from(*range.start())..=f64::from(*range.end())).contains(&value)
            }
            Kind::Real(range) | Kind::LogReal(range) => range.contains(&value),
            Kind::Choice(names) => {
                value.fract() == 0.0 && (0.0..names.len() as f64).contains(&value)
            }
        }
    }

    /// Its values in words.
    pub fn range(&self) -> String {
        match &self.kind {
            Kind::Integer(range) => {
                format!("a whole number from {} to {}", range.start(), range.end())
            }
            Kind::Real(range) | Kind::LogReal(range) => {
                format!("a number from {} to {}", range.start(), range.end())
            }
            Kind::Choice(names) => format!("one of {}", names.join(", ")),
        }
    }

    /// A value in words: the name of a choice, otherwise the number.
    pub fn text(&self, value: f64) -> String {
        match &self.kind {
            Kind::Choice(names) if self.allows(value) => names[value as usize].to_owned(),
            _ => value.to_string(),
        }
    }

    /// The value that stands at this share (0 to 1) of the range, three digits of it.
    pub fn at_share(&self, share: f64) -> f64 {
        let pick = |count: f64| (share * count).floor().clamp(0.0, count - 1.0);
        match &self.kind {
            Kind::Integer(range) => {
                let (least, most) = (f64::from(*range.start()), f64::from(*range.end()));
                least + pick(most - least + 1.0)
            }
            Kind::Real(range) => {
                let value = range.start() + share * (range.end() - range.start());
                rounded(value).clamp(*range.start(), *range.end())
            }
            Kind::LogReal(range) => {
                let value = range.start() * (range.end() / range.start()).powf(share);
                rounded(value).clamp(*range.start(), *range.end())
            }
            Kind::Choice(names) => pick(names.len() as f64),
        }
    }

    /// The share of the range at which a value stands: what [`Parameter::at_share`] inverts, up to
    /// rounding.
    pub fn share_of(&self, value: f64) -> f64 {
        match &self.kind {
            Kind::Integer(range) => {
                let (least, most) = (f64::from(*range.start()), f64::from(*range.end()));
                (value - least + 0.5) / (most - least + 1.0)
            }
            Kind::Real(range) => (value - range.start()) / (range.end() - range.start()),
            Kind::LogReal(range) => {
                (value / range.start()).ln() / (range.end() / range.start()).ln()
            }
            Kind::Choice(names) => (value + 0.5) / names.len() as f64,
        }
    }
}

/// Three significant digits: more would promise what no search can tell apart.
fn rounded(value: f64) -> f64 {
    // What was just printed as a number is one.
    format!("{value:.2e}").parse().unwrap_or(value)
}

/// Why a baseline was not built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}: expected {expected}, got {got}", self.field())]
pub struct ParameterError {
    /// Name of the baseline.
    pub baseline: String,
    /// Name of the parameter, unless the baseline itself is at fault.
    pub parameter: Option<String>,
    /// What would have been accepted.
    pub expected: String,
    /// What was given.
    pub got: String,
}

impl ParameterError {
    fn field(&self) -> String {
        match &self.parameter {
            Some(parameter) => format!("{}: {parameter}", self.baseline),
            None => self.baseline.clone(),
        }
    }
}

/// A value that a declaration does not take.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// Name of the parameter.
    pub parameter: String,
    /// What would have been accepted.
    pub expected: String,
    /// What was given.
    pub got: String,
}

/// A baseline that can be built from values.
pub trait Tunable: Send + Sync {
    /// Its parameters, in the order in which they were declared.
    fn parameters(&self) -> Vec<Parameter>;

    /// Builds it; parameters that `values` does not name keep their defaults.
    ///
    /// # Errors
    /// The first value that is unknown, out of its range, or does not go with the others.
    fn build(&self, values: &Assignment) -> Result<Box<dyn Policy>, Refusal>;

    /// Whether these values go together.
    ///
    /// # Errors
    /// As for [`Tunable::build`].
    fn check(&self, values: &Assignment) -> Result<(), Refusal>;

    /// What the fields hold once `values` are set: `values` themselves and the defaults.
    ///
    /// # Errors
    /// As for [`Tunable::build`].
    fn read_back(&self, values: &Assignment) -> Result<Assignment, Refusal>;
}
