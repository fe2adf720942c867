//! What a run trains on: one scenario, or several at once, each with a weight.
//!
//! Clusters may differ in size and in everything that happens to them. One network reads them all:
//! each is seen in the same groups of features.

use anyhow::ensure;
use godwit_envs::observe::sections::Sections;
use godwit_envs::scenario::Scenario;

/// Names that the name of a mixture is made of at most: it is a folder's, too.
const MOST_NAMED: usize = 4;

/// Scenarios with weights; never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    parts: Vec<Part>,
}

/// A scenario of a mixture.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The scenario.
    pub scenario: Scenario,
    /// Its share of the experience, relative to the others'.
    pub weight: f64,
}

impl From<Scenario> for Mixture {
    fn from(scenario: Scenario) -> Self {
        Self { parts: vec![Part { scenario: scenario.with_unit(), weight: 1.0 }] }
    }
}

impl Mixture {
    /// These scenarios. In each a policy sees what any of them has to show; where there are several,
    /// also in what they differ.
    ///
    /// # Errors
    /// When there are none, a weight is not positive, two scenarios have one name, or one is static
    /// and another is not.
    pub fn new(mut parts: Vec<Part>) -> anyhow::Result<Self> {
        ensure!(!parts.is_empty(), "expected at least one scenario, got none");
        let first = &parts[0].scenario;
        for (at, Part { scenario, weight }) in parts.iter().enumerate() {
            let name = &scenario.name;
            ensure!(
                weight.is_finite() && *weight > 0.0,
                "scenario {name}: expected a weight above 0, got {weight}"
            );
            ensure!(
                parts[..at].iter().all(|part| part.scenario.name != *name),
                "scenario {name}: expected each scenario once (a weight counts more), got it twice"
            );
            let modes = [first, scenario].map(|of| of.rules.episode.mode);
            ensure!(
                modes[0] == modes[1],
                "scenario {name}: expected rules.episode.mode as in scenario {}, \"{}\", got \"{}\"",
                first.name,
                modes[0].name(),
                modes[1].name()
            );
        }
        for part in &mut parts {
            part.scenario = part.scenario.with_unit();
        }
        let mixture = Self { parts };
        if mixture.parts.len() == 1 {
            return Ok(mixture);
        }
        let all = mixture.parts.iter().map(|part| part.scenario.rules.sections());
        let all = all.fold(Sections { world: true, ..Sections::default() }, Sections::union);
        Ok(mixture.seen_as(all))
    }

    /// The same, each seen in these sections.
    pub fn seen_as(mut self, sections: Sections) -> Self {
        for part in &mut self.parts {
            part.scenario.rules.observation = Some(sections);
        }
        self
    }

    /// All but the last `count` scenarios, of which one at least is left, and these.
    pub fn split(&self, count: usize) -> (Self, Option<Self>) {
        let at = self.parts.len().saturating_sub(count).max(1);
        let (first, last) = self.parts.split_at(at);
        let of = |parts: &[Part]| Self { parts: parts.to_vec() };
        (of(first), (!last.is_empty()).then(|| of(last)))
    }

    /// Whether two mixtures are the same but for where their files lie and what they recommend.
    pub fn same_worlds(&self, other: &Self) -> bool {
        let same =
            |(a, b): (&Part, &Part)| a.weight == b.weight && a.scenario.same_world(&b.scenario);
        self.parts.len() == other.parts.len() && self.parts.iter().zip(&other.parts).all(same)
    }

    /// The scenarios.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The scenario that was named first: its settings are used, and artifacts state it.
    pub fn first(&self) -> &Scenario {
        &self.parts[0].scenario
    }

    /// The names, joined by `+`; of many the first, and how many more there are.
    pub fn name(&self) -> String {
        let names: Vec<&str> = self.parts.iter().map(|part| part.scenario.name.as_str()).collect();
        match names.len() {
            0..=MOST_NAMED => names.join("+"),
            count => {
                format!("{}+{}-more", names[..MOST_NAMED - 1].join("+"), count + 1 - MOST_NAMED)
            }
        }
    }

    /// Weights that add up to 1.
    pub fn shares(&self) -> Vec<f64> {
        let sum: f64 = self.parts.iter().map(|part| part.weight).sum();
        self.parts.iter().map(|part| part.weight / sum).collect()
    }

    /// What rewards of each scenario are divided by: the unit of its objective, or, by these scales of
    /// [`LearnerConfig::scenario_scales`](crate::config::LearnerConfig::scenario_scales), a part or
    /// a multiple of it.
    pub fn reward_units(&self, scales: &[f64]) -> Vec<f64> {
        let scale = |at: usize| scales.get(at).copied().unwrap_or(1.0);
        let parts = self.parts.iter().enumerate();
        parts.map(|(at, part)| f64::from(part.scenario.rules.unit()) / scale(at)).collect()
    }

    /// How many of `total` environment copies each scenario gets: one, and what is left in
    /// proportion to the weights (largest remainders first).
    ///
    /// # Errors
    /// When there are fewer copies than scenarios.
    pub fn copies(&self, total: usize) -> anyhow::Result<Vec<usize>> {
        let parts = self.parts.len();
        ensure!(
            total >= parts,
            "env_copies: expected at least one for each of {parts} scenarios, got {total}"
        );
        let wanted: Vec<f64> = self.shares().iter().map(|share| share * total as f64).collect();
        let mut copies: Vec<usize> =
            wanted.iter().map(|&wanted| (wanted as usize).max(1)).collect();
        let missing = |copies: &[usize], at: usize| wanted[at] - copies[at] as f64;
        while copies.iter().sum::<usize>() < total {
            let most = (0..parts)
                .rev()
                .max_by(|&a, &b| missing(&copies, a).total_cmp(&missing(&copies, b)));
            copies[most.unwrap_or(0)] += 1;
        }
        while copies.iter().sum::<usize>() > total {
            let least = (0..parts)
                .filter(|&at| copies[at] > 1)
                .min_by(|&a, &b| missing(&copies, a).total_cmp(&missing(&copies, b)));
            copies[least.unwrap_or(0)] -= 1;
        }
        Ok(copies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TrainConfig;
    use crate::learn::dqn::Source;
    use crate::train::assemble::new_trainer;
    use proptest::prelude::*;
    use tch::Device;

    fn part(name: &str, weight: f64) -> Part {
        Part { scenario: Scenario::embedded(name).expect("an embedded scenario"), weight }
    }

    fn weighted(weights: &[f64]) -> Mixture {
        let parts = weights.iter().map(|&weight| part("quickstart", weight)).collect();
        Mixture { parts }
    }

    #[test]
    fn copies_follow_the_weights_and_nobody_goes_without() {
        assert_eq!(weighted(&[2.0, 1.0]).copies(16).expect("enough"), [11, 5]);
        assert_eq!(weighted(&[1.0, 1.0, 1.0]).copies(16).expect("enough"), [6, 5, 5]);
        assert_eq!(weighted(&[100.0, 1.0, 1.0]).copies(4).expect("enough"), [2, 1, 1]);
        assert_eq!(weighted(&[3.0]).copies(5).expect("enough"), [5]);
        assert!(weighted(&[1.0, 1.0]).copies(1).is_err());
    }

    #[test]
    fn many_scenarios_have_a_name_that_a_folder_can_bear() {
        let name = |count: usize| weighted(&vec![1.0; count]).name();
        assert_eq!(name(1), "quickstart");
        assert_eq!(name(4), "quickstart+quickstart+quickstart+quickstart");
        assert_eq!(name(90), "quickstart+quickstart+quickstart+87-more");
    }

    #[test]
    fn rewards_are_divided_by_the_unit_and_multiplied_by_the_scale_of_each_scenario() {
        let mixture = weighted(&[1.0, 1.0]);
        let unit = f64::from(mixture.parts[0].scenario.rules.unit());
        assert_eq!(mixture.reward_units(&[]), [unit, unit]);
        assert_eq!(mixture.reward_units(&[0.5, 4.0]), [2.0 * unit, unit / 4.0]);
    }

    proptest! {
        #[test]
        fn all_copies_are_given_out(
            weights in prop::collection::vec(0.01_f64..100.0, 1..6),
            more in 0_usize..40,
        ) {
            let copies = weighted(&weights).copies(weights.len() + more).expect("enough");
            prop_assert_eq!(copies.iter().sum::<usize>(), weights.len() + more);
            prop_assert!(copies.iter().all(|&copies| copies > 0));
        }
    }

    /// quickstart, and the same with three times its nodes and workloads at half the weight.
    fn two_sizes() -> Mixture {
        let small = part("quickstart", 2.0);
        let mut large = Part { weight: 1.0, ..small.clone() };
        large.scenario.name = "large".into();
        large.scenario.nodes.iter_mut().for_each(|group| group.count *= 3);
        large.scenario.workloads.iter_mut().for_each(|group| group.count *= 3);
        Mixture::new(vec![small, large]).expect("the same features")
    }

    #[test]
    fn batches_mix_cluster_sizes_in_proportion_to_the_weights() {
        let mut config = TrainConfig { env_copies: 6, ..TrainConfig::default() };
        config.network.hidden = 8;
        config.learner.batch_size = 30;
        let mut trainer = new_trainer(&two_sizes(), &config, Device::Cpu).expect("a trainer");
        while !trainer.replay.can_sample() {
            trainer.round(false).expect("a round");
        }
        let (mut small, draws) = (0, 40);
        for _ in 0..draws {
            let replay = &trainer.replay;
            let source = Source { beta: 1.0, ..Source::from(replay) };
            let batch = trainer.learner.draw(&source);
            let shapes: Vec<(i64, i64)> = batch
                .groups
                .iter()
                .map(|group| (group.states.nodes_per_state, group.states.states))
                .collect();
            assert!(matches!(shapes[..], [(8, a), (24, b)] if a + b == 30), "{shapes:?}");
            for group in &batch.groups {
                assert_eq!(group.taken.size(), [group.states.states]);
                let values = group.states.states + group.states.row_state.size()[0];
                assert!(group.taken.max().int64_value(&[]) < values);
            }
            assert!(batch.target.isfinite().all().int64_value(&[]) == 1);
            small += shapes[0].1;
            trainer.learner.update(&batch, 1e-3, false).expect("a finite loss");
        }
        // Four of six copies: 800 of 1200, with a standard deviation of 16.
        assert!((720..880).contains(&small), "{small} of {}", 30 * draws);
    }

    /// Other resources, horizons, faults and candidates: one network is shown all of it.
    #[test]
    fn scenarios_of_one_run_are_all_seen_in_the_same_sections() {
        let parts = ["founding-10x50", "hetero", "faults", "bursty"].map(|name| part(name, 1.0));
        let own = parts.clone().map(|part| part.scenario.rules.sections());
        let mixture = Mixture::new(parts.into()).expect("online scenarios");
        let seen: Vec<Sections> =
            mixture.parts().iter().map(|part| part.scenario.rules.sections()).collect();
        assert!(seen.iter().all(|sections| *sections == seen[0]));
        assert!(own.iter().all(|own| seen[0].lacks(*own).is_empty()), "{:?}", seen[0]);
        assert!(seen[0].world && seen[0].health && seen[0].follow_up && !seen[0].machines);
        let mut config = TrainConfig { env_copies: 4, ..TrainConfig::default() };
        config.network.hidden = 8;
        config.learner.batch_size = 16;
        let mut trainer = new_trainer(&mixture, &config, Device::Cpu).expect("a trainer");
        while !trainer.replay.can_sample() {
            trainer.round(false).expect("a round");
        }
        let source = Source { beta: 1.0, ..Source::from(&trainer.replay) };
        let batch = trainer.learner.draw(&source);
        trainer.learner.update(&batch, 1e-3, false).expect("a finite loss");
    }

    #[test]
    fn scenarios_that_make_no_run_together_are_refused_with_the_reason() {
        let refused = |a: &str, b: &str| {
            Mixture::new(vec![part(a, 1.0), part(b, 1.0)]).expect_err("an error").to_string()
        };
        let message = refused("founding-10x50", "quickstart");
        assert!(message.contains("expected rules.episode.mode as in scenario"), "{message}");
        assert!(refused("diurnal", "diurnal").contains("got it twice"));
        let none = Mixture::new(vec![part("diurnal", 0.0)]).expect_err("an error");
        assert!(none.to_string().contains("a weight above 0, got 0"), "{none}");
    }
}
