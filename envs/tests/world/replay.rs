//! What a replay and a checkpoint store.

use crate::build::*;
use godwit_envs::env::Env;
use godwit_envs::rng::stream;
use proptest::prelude::*;
use rand::RngExt;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_compact_state_is_observed_as_the_original_bit_for_bit(shape in shapes()) {
        let Some(mut env) = env(&shape) else { return Err(TestCaseError::reject("no start")) };
        let rng = &mut stream(shape.seed, "actions");
        // The reader stands somewhere else in another episode.
        let mut reader = env.clone();
        reader.reset(1).map_err(|e| TestCaseError::reject(e.to_string()))?;
        let _ = reader.step(random_action(&observe(&reader), rng));
        for _ in 0..12 {
            let (bytes, seen) = (compact(&env), observe(&env));
            reader.read_compact(&bytes);
            prop_assert_eq!(bits(&observe(&reader)), bits(&seen));
            prop_assert_eq!(compact(&reader), bytes);
            if env.step(random_action(&seen, rng)).unwrap().end.is_some() {
                break;
            }
        }
    }

    #[test]
    fn a_restored_environment_rolls_on_bit_for_bit(shape in shapes(), steps in 0..10_usize) {
        let Some(mut env) = env(&shape) else { return Err(TestCaseError::reject("no start")) };
        let rng = &mut stream(shape.seed, "actions");
        env.reset(rng.random()).map_err(|e| TestCaseError::reject(e.to_string()))?;
        let mut other = env.clone();
        for _ in 0..steps {
            if env.step(random_action(&observe(&env), rng)).unwrap().end.is_some() {
                break;
            }
        }
        // Through text, as a checkpoint does.
        let saved = serde_json::to_string(&env.save()).unwrap();
        other.restore(&serde_json::from_str(&saved).unwrap()).unwrap();
        for _ in 0..12 {
            let seen = observe(&env);
            prop_assert_eq!(bits(&seen), bits(&observe(&other)));
            let action = random_action(&seen, rng);
            let step = env.step(action);
            prop_assert_eq!(&step, &other.step(action));
            if step.is_err() {
                break;
            }
        }
    }
}

#[test]
fn a_saved_state_of_another_environment_is_refused() {
    let phase = godwit_envs::scenario::Phase::Train;
    let saved = embedded("founding-3x3", phase).save();
    let message = embedded("quickstart", phase).restore(&saved).unwrap_err();
    assert!(message.contains("expected 32 workloads on 8 nodes"), "{message}");
}

#[test]
fn a_damaged_saved_state_is_refused_instead_of_read() {
    let mut env = embedded("founding-10x50", godwit_envs::scenario::Phase::Train);
    let saved = env.save();
    for (field, value) in [
        ("tick", serde_json::json!(100_000)),
        ("transfers", serde_json::json!([{ "workload": 50, "source": 0, "remaining_s": 1.0 }])),
        ("placement", serde_json::json!(vec![10; 50])),
        ("cooldown", serde_json::json!([])),
    ] {
        let mut damaged = saved.clone();
        damaged[field] = value;
        assert!(env.restore(&damaged).unwrap_err().contains("expected"), "{field}");
        assert_eq!(env.save(), saved, "a refusal leaves the state as it is");
    }
}
