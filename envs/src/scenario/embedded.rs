//! The scenarios that ship inside the binary.

/// A scenario file as it is in `envs/scenarios`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddedScenario {
    /// Name on the command line; equal to the scenario's `name`.
    pub name: &'static str,
    /// The file, comments included.
    pub toml: &'static str,
}

/// All embedded scenarios, smallest first.
pub const EMBEDDED: &[EmbeddedScenario] = &[
    EmbeddedScenario {
        name: "founding-3x3",
        toml: include_str!("../../scenarios/founding-3x3.toml"),
    },
    EmbeddedScenario { name: "quickstart", toml: include_str!("../../scenarios/quickstart.toml") },
    EmbeddedScenario {
        name: "founding-10x50",
        toml: include_str!("../../scenarios/founding-10x50.toml"),
    },
    EmbeddedScenario { name: "bursty", toml: include_str!("../../scenarios/bursty.toml") },
    EmbeddedScenario { name: "faults", toml: include_str!("../../scenarios/faults.toml") },
    EmbeddedScenario { name: "diurnal", toml: include_str!("../../scenarios/diurnal.toml") },
    EmbeddedScenario { name: "hetero", toml: include_str!("../../scenarios/hetero.toml") },
    EmbeddedScenario { name: "churn", toml: include_str!("../../scenarios/churn.toml") },
    EmbeddedScenario { name: "gpu-defrag", toml: include_str!("../../scenarios/gpu-defrag.toml") },
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;
    use crate::scenario::{Mode, Scenario};

    #[test]
    fn every_embedded_scenario_loads_under_its_own_name() {
        for embedded in EMBEDDED {
            let scenario =
                Scenario::embedded(embedded.name).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(scenario.name, embedded.name);
            assert!(embedded.toml.starts_with("# "), "{} has a header comment", embedded.name);
            assert!(!scenario.description.is_empty());
        }
    }

    #[test]
    fn the_founding_scenarios_have_the_founding_sizes() {
        for (name, mode, nodes, workloads) in
            [("founding-3x3", Mode::Rebalance, 3, 3), ("founding-10x50", Mode::Online, 10, 50)]
        {
            let scenario = Scenario::embedded(name).unwrap();
            assert_eq!(scenario.rules.episode.mode, mode);
            assert_eq!(scenario.nodes.iter().map(|group| group.count).sum::<u32>(), nodes);
            assert_eq!(scenario.workloads.iter().map(|group| group.count).sum::<u32>(), workloads);
        }
    }

    /// Mean demand over supply, per resource.
    fn mean_utilisation(scenario: &Scenario) -> Vec<(String, f32)> {
        let kinds = &scenario.rules.resources;
        kinds
            .iter()
            .map(|kind| {
                let supply: f32 = scenario
                    .nodes
                    .iter()
                    .map(|g| g.count as f32 * g.supply.get(&kind.name).copied().unwrap_or(0.0))
                    .sum();
                let demand: f32 = scenario
                    .workloads
                    .iter()
                    .filter_map(|g| {
                        g.demand.get(&kind.name).map(|amount| (g.count as f32, amount.bounds()))
                    })
                    .map(|(count, (least, most))| count * (least + most) / 2.0)
                    .sum();
                (kind.name.clone(), demand / supply)
            })
            .collect()
    }

    #[test]
    fn capacity_binds_now_and_then_but_not_always() {
        for (name, least, most) in [("quickstart", 0.6, 0.7), ("founding-10x50", 0.55, 0.65)] {
            for (resource, mean) in mean_utilisation(&Scenario::embedded(name).unwrap()) {
                assert!(
                    (least..=most).contains(&mean),
                    "{name}: mean {resource} utilisation {mean}"
                );
            }
        }
    }
}
