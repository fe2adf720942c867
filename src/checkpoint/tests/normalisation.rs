//! Runs on normalised observations.

use super::*;
use std::sync::Arc;

fn normalised() -> TrainConfig {
    TrainConfig { normalise_observations: true, ..config() }
}

#[test]
fn a_run_on_normalised_observations_resumes_bit_exactly() {
    every_source_resumes_bit_exactly(&normalised());
    let mut config = normalised();
    config.network.architecture = Architecture::Mlp;
    resumes_bit_exactly(&founding(), &config, 30);
}

/// What a run goes on with is what it was measured to be at its start, whatever a later version
/// would measure.
#[test]
fn the_normalisation_is_that_of_the_checkpoint() {
    let (_folder, directory, mut trainer) = run(&founding(), &normalised(), 15);
    let mut other = (**trainer.normalisation().expect("a normalisation")).clone();
    let measured = other.clone();
    other.global[0].shift += 1.0;
    let other = Arc::new(other);
    for slot in trainer.vector.slots_mut() {
        slot.env = crate::experience::paired::PairedEnv::plain(
            slot.env.inner().clone().normalised(Some(Arc::clone(&other))),
        );
    }
    write_last(&directory, &founding(), &mut trainer).expect("a checkpoint");
    let resumed = resume(&directory, Device::Cpu).expect("the run").trainer;
    assert_eq!(resumed.normalisation(), Some(&other));
    assert_ne!(**resumed.normalisation().expect("a normalisation"), measured);
    let decoded = resumed.vector.slots()[0].observation.globals[0];
    let as_it_is = trainer.vector.slots()[0].observation.globals[0];
    assert!((decoded - as_it_is - 1.0).abs() < 1e-5, "{decoded} {as_it_is}");
}

#[test]
fn every_checkpoint_loads_as_the_policy_that_was_validated() {
    for quantiles in [1, 5] {
        let mut config = normalised();
        config.learner.quantiles = quantiles;
        let (_folder, directory, mut trainer) = run(&online(), &config, 30);
        assert!(trainer.counters.updates > 0);
        write_last(&directory, &online(), &mut trainer).expect("a checkpoint");
        let last = load(directory.path()).expect("a checkpoint");
        assert_eq!((last.resumable, &last.weights[..]), (true, trainer.weights()));
        write_best(&directory, &online(), &mut trainer, 0.1, None).expect("a checkpoint");
        let best = load(directory.path()).expect("a checkpoint");
        assert_eq!((best.resumable, &best.weights[..]), (false, trainer.weights()));
        let mut learnt = Vec::new();
        trainer.learner.online.save(&mut learnt);
        assert_ne!(learnt, last.weights, "the learner's own are for normalised observations");
    }
}

#[test]
fn a_checkpoint_whose_normalisation_is_missing_or_not_wanted_is_refused() {
    for wanted in [true, false] {
        let config = TrainConfig { normalise_observations: wanted, ..config() };
        let (_folder, directory, mut trainer) = run(&founding(), &config, 15);
        trainer.config.normalise_observations = !wanted;
        write_last(&directory, &founding(), &mut trainer).expect("a checkpoint");
        let message = load(directory.path().join(LAST)).expect_err("an error").to_string();
        let (expected, got) = match wanted {
            true => ("expected no normalisation", "got a normalisation of ["),
            false => ("expected a normalisation of [", "got no normalisation"),
        };
        assert!(message.contains(expected) && message.contains(got), "{message}");
    }
}
