//! Features against the naive recomputation.

use crate::build::*;
use crate::naive::Naive;
use godwit_envs::env::cluster_env::ClusterEnv;
use godwit_envs::env::{ActionError, Env};
use godwit_envs::observe::encoder::CLIP;
use godwit_envs::observe::normalisation::{Affine, Normalisation};
use godwit_envs::observe::schema::Feature;
use godwit_envs::observe::{ObservationBuffer, Parts};
use godwit_envs::rng::stream;
use godwit_envs::scenario::{EMBEDDED, Phase};
use proptest::prelude::*;
use rand::RngExt;
use std::sync::Arc;

/// f32 sums, the fast logarithm (0.01 x ln 2 / 4) and the square root of small variances.
const TOLERANCE: f64 = 2e-3;

fn compare(what: &str, got: f32, naive: f64) -> Result<(), TestCaseError> {
    let clip = f64::from(CLIP);
    let expected = naive.clamp(-clip, clip);
    let error = (f64::from(got) - expected).abs();
    prop_assert!(error <= TOLERANCE, "{}: encoded {}, recomputed {}", what, got, expected);
    Ok(())
}

fn names(features: &[Feature]) -> Vec<&str> {
    features.iter().map(|feature| feature.name.as_str()).collect()
}

fn compare_all(env: &ClusterEnv) -> Result<(), TestCaseError> {
    let (seen, space, naive) = (observe(env), env.observation_space(), Naive::new(env.state()));
    let schema = &space.schema;
    for (f, name) in names(&schema.global).iter().enumerate() {
        compare(name, seen.globals[f], naive.global(name))?;
    }
    for (f, name) in names(&schema.node).iter().enumerate() {
        for i in 0..space.nodes {
            let got = seen.nodes[i * schema.node.len() + f];
            compare(&format!("node {i} {name}"), got, naive.node(name, i))?;
        }
    }
    for (f, name) in names(&schema.workload).iter().enumerate() {
        for k in 0..space.workloads {
            let got = seen.workloads[k * schema.workload.len() + f];
            compare(&format!("workload {k} {name}"), got, naive.workload(name, k))?;
        }
    }
    let (of_chains, names): (Vec<&str>, Vec<&str>) =
        names(&schema.candidate).into_iter().partition(|name| name.starts_with("further_"));
    for a in (1..space.actions).filter(|&a| seen.mask[a]) {
        let (k, node) =
            (seen.candidate_workload[a] as usize, seen.candidate_destination[a] as usize);
        for (f, expected) in naive.candidate(&names, k, node).into_iter().enumerate() {
            compare(&format!("{k} to {node} {}", names[f]), seen.candidate(a, f), expected)?;
        }
        if !of_chains.is_empty() {
            compare_chain(env, &seen, a)?;
        }
    }
    Ok(())
}

/// What the features of a chain say against what comes of it.
fn compare_chain(
    env: &ClusterEnv,
    seen: &ObservationBuffer,
    a: usize,
) -> Result<(), TestCaseError> {
    let space = env.observation_space();
    let value = |name: &str| seen.candidate(a, space.candidate_feature(name).unwrap());
    let further = ["further_moves", "further_change", "further_cost"].map(value);
    if further[0] == 0.0 {
        prop_assert_eq!(further, [0.0; 3]);
        return Ok(());
    }
    let (level, left) = (f64::from(env.state().level()), env.state().moves_left);
    let unit = f64::from(env.state().objective.unit);
    let mut env = env.clone();
    let step = match env.step(a) {
        // Of an episode that has ended, the last state is observed, too; nothing comes of it any more.
        Err(ActionError::Ended) => return Ok(()),
        step => step.unwrap(),
    };
    let reward = f64::from(step.reward);
    let change = f64::from(env.state().level()) - level;
    prop_assert_eq!(left - env.state().moves_left, 1 + (2.0 * further[0]) as u32);
    let clipped = |value: f32| value.abs() >= CLIP;
    if !clipped(further[1]) && !clipped(value("objective_change")) {
        let shown = value("objective_change") + further[1];
        compare(&format!("chain {a}: change"), shown.clamp(-CLIP, CLIP), change / unit)?;
    }
    if !clipped(further[2]) && !clipped(value("cost")) {
        let shown = value("cost") + further[2];
        let paid = (-reward - change) / unit;
        compare(&format!("chain {a}: cost"), shown.clamp(-CLIP, CLIP), paid)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_feature_equals_its_naive_recomputation(shape in shapes()) {
        let Some(mut env) = env(&shape) else { return Err(TestCaseError::reject("no start")) };
        let rng = &mut stream(shape.seed, "actions");
        for _ in 0..8 {
            compare_all(&env)?;
            let action = random_action(&observe(&env), rng);
            if env.step(action).unwrap().end.is_some() {
                break;
            }
        }
        compare_all(&env)?;
    }

    #[test]
    fn every_feature_of_a_world_with_faults_and_arrivals_equals_its_naive_recomputation(
        shape in shapes()
    ) {
        // Bursts scale demands by any factor: no exact slot boundaries.
        let events = shape.seed % 2 == 1;
        let shape = Shape { online: true, dynamics: true, events, slot: false, ..shape };
        let Some(mut env) = env(&shape) else { return Err(TestCaseError::reject("no start")) };
        let rng = &mut stream(shape.seed, "actions");
        for _ in 0..40 {
            compare_all(&env)?;
            if env.step(random_action(&observe(&env), rng)).unwrap().end.is_some() {
                break;
            }
        }
    }
}

/// Unmasked actions in ascending order: neighbours, and some far apart.
#[test]
fn a_few_candidates_are_observed_as_among_all() {
    for name in ["quickstart", "founding-10x50", "faults", "gpu-defrag", "hetero"] {
        let mut env = embedded(name, Phase::Train);
        let rng = &mut stream(11, "actions");
        for _ in 0..30 {
            let all = observe(&env);
            let open: Vec<usize> = (1..all.actions()).filter(|&action| all.mask[action]).collect();
            let first = random_action(&all, rng);
            let next = open.iter().copied().find(|&action| action > first);
            let mut few: Vec<usize> = [Some(first), next, open.last().copied()]
                .into_iter()
                .flatten()
                .filter(|&action| action >= first)
                .collect();
            few.dedup();
            let mut seen = ObservationBuffer::new(env.observation_space());
            // What was there before is not left standing.
            seen.mask.fill(true);
            env.observe_actions(&few, &mut seen);
            assert_eq!(seen.globals, all.globals);
            assert_eq!((&seen.nodes, &seen.workloads), (&all.nodes, &all.workloads));
            assert_eq!(seen.placement, all.placement);
            for action in 0..all.actions() {
                assert_eq!(seen.mask[action], action == 0 || few.contains(&action), "{name}");
            }
            for &action in few.iter().filter(|&&action| action > 0) {
                for feature in 0..env.observation_space().schema.candidate.len() {
                    let (a, b) = (seen.candidate(action, feature), all.candidate(action, feature));
                    assert_eq!(a.to_bits(), b.to_bits(), "{name}: feature {feature} of {action}");
                }
                for of in [
                    |o: &ObservationBuffer, a: usize| o.candidate_workload[a],
                    |o: &ObservationBuffer, a: usize| o.candidate_source[a],
                    |o: &ObservationBuffer, a: usize| o.candidate_destination[a],
                ] {
                    assert_eq!(of(&seen, action), of(&all, action), "{name}");
                }
            }
            if env.step(first).unwrap().end.is_some() {
                env.reset(5).unwrap();
            }
        }
    }
}

/// With and without normalisation, which is where a leftover would be scaled again and again.
#[test]
fn parts_that_are_not_asked_for_stay_as_they_were_and_the_others_do_not_change() {
    for (name, normalise) in [("quickstart", false), ("hetero", false), ("hetero", true)] {
        let env = embedded(name, Phase::Train);
        let schema = &env.observation_space().schema;
        let twice = |count| vec![Affine { scale: 2.0, shift: 0.5 }; count];
        let normalisation = Normalisation {
            node: twice(schema.node.len()),
            workload: twice(schema.workload.len()),
            global: twice(schema.global.len()),
            candidate: twice(schema.candidate.len()),
        };
        let env = env.clone().normalised(normalise.then(|| Arc::new(normalisation)));
        let all = observe(&env);
        for (entities, candidates) in [(false, true), (true, false), (false, false)] {
            let mut seen = ObservationBuffer::new(env.observation_space());
            seen.parts = Parts { entities, candidates };
            for features in [&mut seen.nodes, &mut seen.workloads, &mut seen.candidates] {
                features.fill(7.0);
            }
            env.observe(&mut seen);
            env.observe_actions(&[0], &mut seen);
            env.observe(&mut seen);
            assert_eq!((&seen.globals, &seen.placement), (&all.globals, &all.placement), "{name}");
            assert_eq!(seen.mask, all.mask, "{name}");
            if entities {
                assert_eq!((&seen.nodes, &seen.workloads), (&all.nodes, &all.workloads), "{name}");
            } else {
                assert!(seen.nodes.iter().chain(&seen.workloads).all(|&x| x == 7.0), "{name}");
            }
            for action in (1..all.actions()).filter(|&action| all.mask[action]) {
                for feature in 0..env.observation_space().schema.candidate.len() {
                    let expected = if candidates { all.candidate(action, feature) } else { 7.0 };
                    assert_eq!(seen.candidate(action, feature), expected, "{name}: {feature}");
                }
            }
        }
    }
}

#[test]
fn embedded_scenarios_observe_the_naive_features_and_stay_within_the_clip() {
    for scenario in EMBEDDED {
        let mut env = embedded(scenario.name, Phase::Train);
        let rng = &mut stream(7, "actions");
        for episode in 0..3 {
            env.reset(episode).unwrap();
            for _ in 0..12 {
                let seen = observe(&env);
                let floats = seen.nodes.iter().chain(&seen.workloads).chain(&seen.globals);
                for x in floats.chain(&seen.candidates) {
                    assert!(x.is_finite() && x.abs() <= CLIP, "{}: {x}", scenario.name);
                }
                compare_all(&env).unwrap_or_else(|e| panic!("{}: {e}", scenario.name));
                if env.step(random_action(&seen, rng)).unwrap().end.is_some() {
                    break;
                }
            }
        }
    }
}

/// A normalised environment shows what the encoder writes, each feature through its map, however
/// often it observes into the same buffer.
#[test]
fn normalised_observations_are_the_encoders_through_one_map() {
    for name in ["quickstart", "faults", "churn"] {
        let mut env = embedded(name, Phase::Train);
        let schema = &env.observation_space().schema;
        let mut drawn = stream(5, "normalisation");
        let mut features = |count: usize| -> Vec<Affine> {
            let mut affine = || Affine {
                scale: drawn.random_range(0.5..20.0),
                shift: drawn.random_range(-3.0..3.0),
            };
            (0..count).map(|_| affine()).collect()
        };
        let normalisation = Arc::new(Normalisation {
            node: features(schema.node.len()),
            workload: features(schema.workload.len()),
            global: features(schema.global.len()),
            candidate: features(schema.candidate.len()),
        });
        let mut seen = ObservationBuffer::new(env.observation_space());
        let mut few = ObservationBuffer::new(env.observation_space());
        let rng = &mut stream(12, "actions");
        for _ in 0..60 {
            let raw = observe(&env);
            let mut expected = raw.clone();
            normalisation.apply(&mut expected);
            let shown = env.clone().normalised(Some(Arc::clone(&normalisation)));
            shown.observe(&mut seen);
            assert_eq!((&seen.nodes, &seen.workloads), (&expected.nodes, &expected.workloads));
            assert_ne!(seen.globals, raw.globals, "{name}");
            assert_eq!(seen.globals, expected.globals);
            assert!(seen.candidates.iter().all(|value| value.abs() < 200.0), "{name}");
            let open: Vec<usize> = (1..raw.actions()).filter(|&a| raw.mask[a]).collect();
            for (feature, affine) in normalisation.candidate.iter().enumerate() {
                for &action in &open {
                    let expected = affine.apply(raw.candidate(action, feature));
                    assert_eq!(seen.candidate(action, feature), expected, "{name}: {feature}");
                }
            }
            let action = random_action(&raw, rng);
            shown.observe_actions(&[action], &mut few);
            assert_eq!((&few.nodes, &few.globals), (&seen.nodes, &seen.globals));
            for feature in (0..normalisation.candidate.len()).filter(|_| action > 0) {
                let values = [&few, &seen].map(|o| o.candidate(action, feature).to_bits());
                assert_eq!(values[0], values[1], "{name}: {feature}");
            }
            if env.step(action).unwrap().end.is_some() {
                break;
            }
        }
    }
}
