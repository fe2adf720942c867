//! The space that is searched: draws anywhere in it, and steps around a point.

use crate::baselines::parameters::{Assignment, Kind, Parameter, Tunable};
use godwit_envs::rng::Rng;
use godwit_envs::scenario::Mode;
use rand::RngExt;

/// Draws that are thrown away, for being known or for values that do not go together, before the
/// space counts as exhausted.
const ATTEMPTS: usize = 200;

/// The parameters that do something in a scenario.
pub(super) struct Space<'a> {
    declaration: &'a dyn Tunable,
    /// All parameters.
    parameters: Vec<Parameter>,
    /// Those that are varied, by index.
    varied: Vec<usize>,
}

impl<'a> Space<'a> {
    pub(super) fn new(declaration: &'a dyn Tunable, mode: Mode) -> Self {
        let parameters = declaration.parameters();
        let acts = |parameter: &Parameter| mode == Mode::Online || !parameter.online_only;
        let varied = (0..parameters.len()).filter(|&i| acts(&parameters[i])).collect();
        Self { declaration, parameters, varied }
    }

    /// Whether there is nothing to vary.
    pub(super) fn is_empty(&self) -> bool {
        self.varied.is_empty()
    }

    /// Every parameter at its default.
    pub(super) fn defaults(&self) -> Assignment {
        let value = |parameter: &Parameter| (parameter.name.to_owned(), parameter.default);
        self.parameters.iter().map(value).collect()
    }

    /// Values drawn over the whole ranges; `None` once nothing new is found.
    pub(super) fn draw(
        &self,
        rng: &mut Rng,
        is_known: &dyn Fn(&Assignment) -> bool,
    ) -> Option<Assignment> {
        self.fresh(is_known, || {
            let mut values = self.defaults();
            for &i in &self.varied {
                let parameter = &self.parameters[i];
                values.insert(parameter.name.to_owned(), parameter.at_share(rng.random()));
            }
            values
        })
    }

    /// Values that differ from `center` in some parameters, by up to `radius` of their ranges;
    /// `None` once nothing new is found.
    pub(super) fn step(
        &self,
        center: &Assignment,
        radius: f64,
        rng: &mut Rng,
        is_known: &dyn Fn(&Assignment) -> bool,
    ) -> Option<Assignment> {
        self.fresh(is_known, || {
            let mut values = center.clone();
            let surely = rng.random_range(0..self.varied.len());
            for (at, &i) in self.varied.iter().enumerate() {
                // Each with even odds, one in any case.
                if rng.random::<f64>() < 0.5 || at == surely {
                    let parameter = &self.parameters[i];
                    let now = center.get(parameter.name).copied().unwrap_or(parameter.default);
                    let offset = radius * (2.0 * rng.random::<f64>() - 1.0);
                    let share = (parameter.share_of(now) + offset).clamp(0.0, 1.0);
                    let value = match parameter.kind {
                        // No variant is nearer than another.
                        Kind::Choice(_) if rng.random::<f64>() < radius => {
                            parameter.at_share(rng.random())
                        }
                        Kind::Choice(_) => now,
                        _ => parameter.at_share(share),
                    };
                    values.insert(parameter.name.to_owned(), value);
                }
            }
            values
        })
    }

    fn fresh(
        &self,
        is_known: &dyn Fn(&Assignment) -> bool,
        mut draw: impl FnMut() -> Assignment,
    ) -> Option<Assignment> {
        if self.is_empty() {
            return None;
        }
        (0..ATTEMPTS)
            .map(|_| draw())
            .find(|values| self.declaration.check(values).is_ok() && !is_known(values))
    }
}
