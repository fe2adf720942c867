//! What a sweep searches: the file that declares it, and the settings drawn from it.

use godwit_envs::rng::{Rng, child_seed, stream};
use rand::RngExt;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// The file of a sweep.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepFile {
    /// Embedded scenarios or scenario files; every trial trains on each.
    pub scenarios: Vec<String>,
    /// Settings to draw.
    pub trials: usize,
    /// Env steps of a run that goes all the way; schedules span them.
    pub env_steps: u64,
    /// Of this many trials one goes on to the next rung; 1 for plain random search.
    #[serde(default = "no_halving")]
    pub halving: usize,
    /// Rungs, the last with all env steps [default: as many as leave one trial in the last].
    pub rungs: Option<usize>,
    /// Seed of the draws.
    #[serde(default)]
    pub seed: u64,
    /// Seeds of training; every trial trains with each.
    #[serde(default = "one_seed")]
    pub seeds: Vec<u64>,
    /// Settings that all trials share, as in a `--config` file.
    #[serde(default)]
    pub settings: Table,
    /// What is searched: a setting's key and `{ values = [...] }` or `{ min, max }`, with
    /// `log = true` for a logarithmic and `integer = true` for a whole-numbered range.
    pub space: Table,
}

fn no_halving() -> usize {
    1
}

fn one_seed() -> Vec<u64> {
    vec![0]
}

/// A mistake in the file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field}: expected {expected}, got {got}")]
pub struct SpaceError {
    field: String,
    expected: String,
    got: String,
}

impl SpaceError {
    /// A mistake at `field`.
    pub fn new(field: impl Into<String>, expected: impl Into<String>, got: impl ToString) -> Self {
        Self { field: field.into(), expected: expected.into(), got: got.to_string() }
    }
}

/// Values of the searched settings, by key.
pub type Settings = BTreeMap<String, Value>;

/// One searched setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Dimension {
    /// Dotted key of the setting.
    pub key: String,
    /// What it may be.
    pub domain: Domain,
}

/// What a setting may be.
#[derive(Debug, Clone, PartialEq)]
pub enum Domain {
    /// One of these, equally likely.
    Values(Vec<Value>),
    /// Uniform, or uniform in the logarithm, ends included; four digits are drawn.
    Real {
        /// Lower end.
        min: f64,
        /// Upper end.
        max: f64,
        /// Whether the logarithm is uniform.
        log: bool,
    },
    /// The same in whole numbers.
    Integer {
        /// Lower end.
        min: i64,
        /// Upper end.
        max: i64,
        /// Whether the logarithm is uniform.
        log: bool,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DomainText {
    values: Option<Vec<Value>>,
    min: Option<Value>,
    max: Option<Value>,
    #[serde(default)]
    log: bool,
    #[serde(default)]
    integer: bool,
}

/// The searched settings, in the order of their keys.
///
/// # Errors
/// The first domain that cannot be drawn from.
pub fn dimensions(space: &Table) -> Result<Vec<Dimension>, SpaceError> {
    let mut found = Vec::new();
    collect("", space, &mut found)?;
    if found.is_empty() {
        return Err(SpaceError::new("space", "at least one setting to search", "none"));
    }
    found.sort_by(|a, b| a.key.cmp(&b.key));
    if let Some(pair) = found.windows(2).find(|pair| pair[0].key == pair[1].key) {
        let field = format!("space.{}", pair[0].key);
        return Err(SpaceError::new(field, "one domain", "two"));
    }
    Ok(found)
}

/// Keys may be nested tables (`learner.gamma = ...`) or quoted (`"learner.gamma" = ...`).
fn collect(prefix: &str, table: &Table, found: &mut Vec<Dimension>) -> Result<(), SpaceError> {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner)
                if ["values", "min", "max"].iter().any(|k| inner.contains_key(*k)) =>
            {
                let domain = domain(&key, inner)?;
                found.push(Dimension { key, domain });
            }
            Value::Table(inner) if !inner.is_empty() => collect(&key, inner, found)?,
            other => {
                let expected = "{ values = [...] } or { min = ..., max = ... }";
                return Err(SpaceError::new(format!("space.{key}"), expected, other));
            }
        }
    }
    Ok(())
}

fn domain(key: &str, table: &Table) -> Result<Domain, SpaceError> {
    let field = format!("space.{key}");
    let wrong = |expected: &str, got: &str| SpaceError::new(field.clone(), expected, got);
    let text: DomainText = Value::Table(table.clone())
        .try_into()
        .map_err(|error: toml::de::Error| wrong("a domain", error.message().trim_end()))?;
    match text {
        DomainText { values: Some(values), min: None, max: None, log: false, integer: false } => {
            if values.is_empty() {
                return Err(wrong("at least one value", "none"));
            }
            if (1..values.len()).any(|at| values[..at].contains(&values[at])) {
                return Err(wrong("different values", "one of them twice"));
            }
            Ok(Domain::Values(values))
        }
        DomainText { values: None, min: Some(min), max: Some(max), log, integer } => {
            range(&field, &min, &max, log, integer)
        }
        _ => Err(wrong(
            "either values, or both min and max",
            &Value::Table(table.clone()).to_string(),
        )),
    }
}

fn range(
    field: &str,
    min: &Value,
    max: &Value,
    log: bool,
    integer: bool,
) -> Result<Domain, SpaceError> {
    let number = |end: &str, value: &Value| {
        let number = value.as_float().or_else(|| value.as_integer().map(|value| value as f64));
        number
            .filter(|number| number.is_finite())
            .ok_or_else(|| SpaceError::new(format!("{field}.{end}"), "a number", value))
    };
    let (low, high) = (number("min", min)?, number("max", max)?);
    if low >= high {
        return Err(SpaceError::new(field, "min below max", format!("{min} and {max}")));
    }
    if log && low <= 0.0 {
        return Err(SpaceError::new(format!("{field}.min"), "more than 0 for a log range", min));
    }
    if !integer {
        return Ok(Domain::Real { min: low, max: high, log });
    }
    match (min.as_integer(), max.as_integer()) {
        (Some(min), Some(max)) => Ok(Domain::Integer { min, max, log }),
        _ => Err(SpaceError::new(
            field,
            "whole ends of an integer range",
            format!("{min} and {max}"),
        )),
    }
}

impl Domain {
    /// What has to be acceptable for everything between to be: all values, or both ends.
    pub fn extremes(&self) -> Vec<Value> {
        match self {
            Domain::Values(values) => values.clone(),
            Domain::Real { min, max, .. } => vec![Value::Float(*min), Value::Float(*max)],
            Domain::Integer { min, max, .. } => vec![Value::Integer(*min), Value::Integer(*max)],
        }
    }

    /// How many values there are; none where they are real numbers.
    fn count(&self) -> Option<u128> {
        match self {
            Domain::Values(values) => Some(values.len() as u128),
            Domain::Real { .. } => None,
            Domain::Integer { min, max, .. } => {
                Some((i128::from(*max) - i128::from(*min)) as u128 + 1)
            }
        }
    }

    fn draw(&self, rng: &mut Rng) -> Value {
        match *self {
            Domain::Values(ref values) => values[rng.random_range(0..values.len())].clone(),
            Domain::Real { min, max, log } => {
                // Four digits, so that what the table shows is what was used.
                let value = format!("{:.3e}", between(min, max, log, rng)).parse().unwrap_or(min);
                Value::Float(f64::clamp(value, min, max))
            }
            Domain::Integer { min, max, log: false } => Value::Integer(rng.random_range(min..=max)),
            Domain::Integer { min, max, log: true } => {
                // Each whole number stands for the reals that round to it.
                let value = between(min as f64 - 0.5, max as f64 + 0.5, true, rng);
                Value::Integer((value.round() as i64).clamp(min, max))
            }
        }
    }
}

fn between(min: f64, max: f64, log: bool, rng: &mut Rng) -> f64 {
    let share = rng.random::<f64>();
    if log { (min.ln() + share * (max.ln() - min.ln())).exp() } else { min + share * (max - min) }
}

/// Draws the settings of `trials` trials, all different. The first ones are the same whatever the
/// number of trials.
///
/// # Errors
/// When there are fewer different settings than trials.
pub fn draw(
    dimensions: &[Dimension],
    trials: usize,
    seed: u64,
) -> Result<Vec<Settings>, SpaceError> {
    let count = dimensions.iter().try_fold(1_u128, |product, dimension| {
        Some(product.saturating_mul(dimension.domain.count()?))
    });
    if let Some(count) = count.filter(|count| *count < trials as u128) {
        let expected = format!("at most {count}, the number of different settings");
        return Err(SpaceError::new("trials", expected, trials));
    }
    let mut drawn: Vec<Settings> = Vec::with_capacity(trials);
    for trial in 0..trials {
        let mut rng = stream(child_seed(seed, trial as u64), "sweep");
        loop {
            let settings = dimensions
                .iter()
                .map(|dimension| (dimension.key.clone(), dimension.domain.draw(&mut rng)))
                .collect();
            if !drawn.contains(&settings) {
                drawn.push(settings);
                break;
            }
        }
    }
    Ok(drawn)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;
    use proptest::prelude::*;

    fn space(text: &str) -> Result<Vec<Dimension>, SpaceError> {
        dimensions(&text.parse().unwrap())
    }

    #[test]
    fn keys_may_be_nested_or_quoted() {
        let nested = space("learner.gamma = { min = 0.9, max = 1 }").unwrap();
        assert_eq!(nested, space("\"learner.gamma\" = { min = 0.9, max = 1.0 }").unwrap());
        assert_eq!(nested[0].domain, Domain::Real { min: 0.9, max: 1.0, log: false });
    }

    #[test]
    fn domains_that_cannot_be_drawn_from_are_refused() {
        for (text, message) in [
            ("", "space: expected at least one setting to search, got none"),
            ("a = 3", "space.a: expected { values = [...] } or { min = ..., max = ... }, got 3"),
            ("a = { values = [] }", "space.a: expected at least one value, got none"),
            (
                "a = { values = [1, 1] }",
                "space.a: expected different values, got one of them twice",
            ),
            ("a = { min = 2, max = 2 }", "space.a: expected min below max, got 2 and 2"),
            ("a = { min = 0, max = 2, log = true }", "space.a.min: expected more than 0"),
            ("a = { min = \"x\", max = 2 }", "space.a.min: expected a number, got \"x\""),
            ("a = { min = 0.5, max = 2, integer = true }", "space.a: expected whole ends"),
            ("a = { min = 0.5 }", "space.a: expected either values, or both min and max"),
            ("a = { min = 1, max = 2, lgo = true }", "unknown field `lgo`"),
            (
                "a.b = { min = 1, max = 2 }\n\"a.b\" = { min = 1, max = 2 }",
                "space.a.b: expected one domain",
            ),
        ] {
            let error = space(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn a_small_space_is_drawn_to_its_end_and_no_further() {
        let dimensions =
            space("a = { values = [1, 2] }\nb = { min = 1, max = 3, integer = true }").unwrap();
        let drawn = draw(&dimensions, 6, 1).unwrap();
        let mut texts: Vec<String> = drawn.iter().map(|settings| format!("{settings:?}")).collect();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 6);
        let error = draw(&dimensions, 7, 1).unwrap_err().to_string();
        assert_eq!(error, "trials: expected at most 6, the number of different settings, got 7");
    }

    /// Half of the draws of a log range lie below the geometric mean of its ends.
    #[test]
    fn a_log_range_is_uniform_in_the_logarithm() {
        let count = |text: &str, middle: f64| {
            let drawn = draw(&space(text).unwrap(), 400, 3).unwrap();
            let below = |settings: &&Settings| settings["a"].as_float().unwrap() < middle;
            drawn.iter().filter(below).count()
        };
        // 0.01 is the geometric mean; a 10 % band is four standard deviations.
        assert!((160..=240).contains(&count("a = { min = 1e-4, max = 1, log = true }", 0.01)));
        assert!(count("a = { min = 1e-4, max = 1 }", 0.01) < 20);
    }

    proptest! {
        #[test]
        fn draws_stay_within_their_ends(
            min in 1e-6_f64..1e3, width in 1e-6_f64..1e3, log: bool, seed: u64,
        ) {
            let domain = Domain::Real { min, max: min + width, log };
            let integer = Domain::Integer { min: 1, max: 1 + width as i64 * 3, log };
            let mut rng = stream(seed, "test");
            for _ in 0..50 {
                let value = domain.draw(&mut rng).as_float().unwrap();
                prop_assert!((min..=min + width).contains(&value));
                let value = integer.draw(&mut rng).as_integer().unwrap();
                prop_assert!((1..=1 + width as i64 * 3).contains(&value));
            }
        }

        #[test]
        fn more_trials_keep_the_first_ones(seed: u64, few in 1_usize..20, more in 1_usize..20) {
            let dimensions = space("a = { min = 0, max = 1 }\nb = { values = [1, 2, 3] }").unwrap();
            let short = draw(&dimensions, few, seed).unwrap();
            let long = draw(&dimensions, few + more, seed).unwrap();
            prop_assert_eq!(&short[..], &long[..few]);
        }
    }
}
