//! What training stops at: the first loss, gradient norm, weight, reward or return that is not
//! finite. From such a number nothing can be learnt any more, and every weight it reaches is lost.

use crate::config::TrainConfig;
use crate::networks::quantile;
use godwit_models::net::NetworkSpec;
use std::path::PathBuf;

/// A number of training that is infinite or none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{what}: expected a finite number, got {value} at update {update}")]
pub struct NotFinite {
    /// What it is: `loss`, `gradient norm`, the name of a weight...
    pub what: String,
    /// The number.
    pub value: f64,
    /// The update that showed it, counted from 1; for what no update shows, those made before.
    pub update: u64,
}

/// Loss and gradient norm of an update, before anything is changed by it.
///
/// # Errors
/// The first of them that is not finite.
pub fn check_update(loss: f64, norm: f64, update: u64) -> Result<(), NotFinite> {
    for (what, value) in [("loss", loss), ("gradient norm", norm)] {
        if !value.is_finite() {
            return Err(NotFinite { what: what.to_owned(), value, update });
        }
    }
    Ok(())
}

/// Weights, or what belongs to each of them (`group` says what), in the order of
/// [`quantile::parameters`].
///
/// # Errors
/// The first that is not finite, by the name of its parameter.
pub fn check_weights(
    group: &str,
    values: &[f32],
    spec: &NetworkSpec,
    quantiles: usize,
    update: u64,
) -> Result<(), NotFinite> {
    // Without an early end, so that the loop is vectorised: that all are finite is the rule.
    if values.iter().fold(true, |finite, value| finite & value.is_finite()) {
        return Ok(());
    }
    let mut at = values.iter().position(|value| !value.is_finite()).unwrap_or(0);
    let value = f64::from(values[at]);
    let mut what = format!("{group} weight");
    for (name, shape) in quantile::parameters(spec, quantiles) {
        let size = shape.iter().product();
        if at < size {
            what = format!("{group} weight {name}[{at}]");
            break;
        }
        at -= size;
    }
    Err(NotFinite { what, value, update })
}

/// Training that has come to its end because a number was not finite. The checkpoints are those of
/// before.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "training stopped at update {update}, env step {env_steps}: {what}: expected a finite number, \
     got {value}; {kept}; try a lower learner.learning_rate (now {learning_rate:.3e}), \
     learner.reward_scale (now {reward_scale:?}) or learner.max_gradient_norm (now {clip:?}) in a new \
     run{start}",
    update = .found.update,
    what = .found.what,
    value = .found.value,
)]
pub struct Stopped {
    /// What was not finite.
    pub found: NotFinite,
    /// Env steps made until then.
    pub env_steps: u64,
    /// Where the last good checkpoint is.
    kept: String,
    /// How the new run can start from it.
    start: String,
    learning_rate: f64,
    reward_scale: f64,
    clip: f64,
}

impl Stopped {
    /// `last` is the checkpoint to go back to, with its env steps; `learning_rate` the current one.
    pub fn new(
        found: NotFinite,
        env_steps: u64,
        last: Option<(PathBuf, u64)>,
        config: &TrainConfig,
        learning_rate: f64,
    ) -> Self {
        let (kept, start) = match &last {
            Some((path, made)) => {
                let path = path.display();
                let start = match config.learner.quantiles {
                    1 => format!(", which may start from it: --set initial_policy={path}"),
                    _ => String::new(),
                };
                (format!("the last good checkpoint is {path}, of env step {made}"), start)
            }
            None => ("there was no checkpoint yet".to_owned(), String::new()),
        };
        Self {
            found,
            env_steps,
            kept,
            start,
            learning_rate,
            reward_scale: config.learner.reward_scale,
            clip: config.learner.max_gradient_norm,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use godwit_envs::observe::features::schema;
    use godwit_envs::scenario::Scenario;
    use godwit_models::net::Architecture;

    #[test]
    fn a_weight_is_named_by_its_parameter() {
        let scenario = Scenario::embedded("quickstart").expect("an embedded scenario");
        let spec =
            NetworkSpec::new(Architecture::Relational, &schema(scenario.rules.sections()), None);
        let mut values = vec![0.5; spec.parameter_count()];
        assert_eq!(check_weights("online", &values, &spec, 1, 3), Ok(()));
        let parameters = spec.parameters();
        let first: usize = parameters[0].1.iter().product();
        values[first + 2] = f32::NEG_INFINITY;
        let found = check_weights("online", &values, &spec, 1, 3).expect_err("an infinite weight");
        assert_eq!(found.what, format!("online weight {}[2]", parameters[1].0));
        assert_eq!((found.value, found.update), (f64::NEG_INFINITY, 3));
    }

    #[test]
    fn every_kind_of_number_that_is_not_finite_is_told() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(check_update(bad, 1.0, 1).expect_err("the loss").what, "loss");
            assert_eq!(check_update(1.0, bad, 1).expect_err("the norm").what, "gradient norm");
        }
        assert_eq!(check_update(1.0, f64::MAX, 1), Ok(()));
    }
}
