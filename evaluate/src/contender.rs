//! Who takes part in an evaluation.

use crate::results::Parameters;
use crate::tuned_file::Setting;
use godwit_models::baselines::baseline_with;
use godwit_models::best_of::BestOf;
use godwit_models::network_policy::NetworkPolicy;
use godwit_models::policy::Policy;
use godwit_models::think::Think;
use std::time::Duration;

/// Makes a policy for one worker thread.
pub type Factory = Box<dyn Fn() -> Box<dyn Policy> + Send + Sync>;

/// A policy that takes part.
pub struct Contender {
    /// Name in the table.
    pub name: String,
    /// Whether it is a trained policy, and no baseline.
    pub trained: bool,
    /// Where a baseline's parameters come from; none for a trained policy.
    pub parameters: Option<Parameters>,
    /// Makes it; each worker thread has its own.
    pub factory: Factory,
}

impl Contender {
    /// A baseline by one of the names that there are, with the parameters of a file, which were
    /// checked when it was read, if it gives some.
    pub fn baseline(name: &'static str, setting: Option<Setting>) -> Self {
        let tuned = setting.as_ref().is_some_and(|setting| setting.tuned);
        let values = setting.map(|setting| setting.parameters).unwrap_or_default();
        let factory = move || {
            baseline_with(name, &values)
                .expect("name and parameters were checked when they were read")
        };
        Self {
            name: name.to_owned(),
            trained: false,
            parameters: Some(if tuned { Parameters::Tuned } else { Parameters::Default }),
            factory: Box::new(factory),
        }
    }

    /// A trained policy.
    pub fn trained(policy: &NetworkPolicy) -> Self {
        let policy = policy.clone();
        let name = policy.name().to_owned();
        Self::of(name, Box::new(move || Box::new(policy.clone())))
    }

    /// The best of so many plans of a trained policy.
    pub fn best_of(policy: &NetworkPolicy, plans: usize) -> Self {
        let name = format!("{}, best of {plans}", policy.name());
        let planner = BestOf::new(&name, policy.clone(), plans);
        Self::of(name, Box::new(move || Box::new(planner.clone())))
    }

    /// A trained policy after so much thought in each tick, or at the start of each static episode.
    pub fn thinking(policy: &NetworkPolicy, think: Duration) -> Self {
        let name = format!("{}+think", policy.name());
        let (policy, of) = (policy.clone(), name.clone());
        Self::of(name, Box::new(move || Box::new(Think::new(&of, Box::new(policy.clone()), think))))
    }

    /// Anything else that is held against every other row, as trained policies are.
    pub fn of(name: String, factory: Factory) -> Self {
        Self { name, trained: true, parameters: None, factory }
    }

    /// The same with so much time for each decision.
    #[must_use]
    pub fn hurried(self, limit: Duration) -> Self {
        let free = self.factory;
        let factory = move || {
            let mut policy = free();
            policy.limit_time(Some(limit));
            policy
        };
        Self { factory: Box::new(factory), ..self }
    }
}
