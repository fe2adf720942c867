//! The env checker over every scenario and probe, and over environments broken on purpose.

use crate::build::*;
use godwit_envs::env::checker::check_env;
use godwit_envs::env::probes::{ENDLESS_STEPS, Probe, ProbeKind};
use godwit_envs::env::{ActionError, Env, ResetError, Step};
use godwit_envs::observe::{ObservationBuffer, ObservationSpace};
use godwit_envs::scenario::{EMBEDDED, Mode, Phase};
use std::cell::Cell;

#[test]
fn every_embedded_scenario_passes_in_every_phase() {
    for scenario in EMBEDDED {
        for phase in [Phase::Train, Phase::Validate, Phase::Evaluate] {
            let report = check_env(|| embedded(scenario.name, phase), 0..2, 1_500)
                .unwrap_or_else(|error| panic!("{} {phase:?}: {error}", scenario.name));
            let online = embedded(scenario.name, phase).state().rules.episode.mode == Mode::Online;
            let ends = (report.terminated, report.truncated);
            assert_eq!(ends, if online { (0, 2) } else { (2, 0) }, "{}", scenario.name);
            assert!(report.refused > 0);
        }
    }
}

#[test]
fn every_probe_passes() {
    for kind in ProbeKind::ALL {
        let report = check_env(|| Probe::new(kind), 0..20, 50)
            .unwrap_or_else(|error| panic!("{}: {error}", kind.name()));
        let endless = kind == ProbeKind::Endless;
        assert_eq!((report.terminated, report.truncated), if endless { (0, 20) } else { (20, 0) });
        if endless {
            assert_eq!(report.steps, 20 * u64::from(ENDLESS_STEPS));
        }
    }
}

/// One broken promise.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// Rewards depend on how often the environment was used.
    Memory,
    /// `Stay` is masked.
    StayMasked,
    /// A feature is not a number.
    NotANumber,
    /// A feature is far out of bounds.
    OutOfBounds,
    /// A node feature is missing.
    Size,
    /// Masked actions are carried out.
    MaskIgnored,
    /// An allowed action is refused.
    Refuses,
    /// Refused actions change the state.
    RefusalCounts,
    /// The compact form leaves out what is observed.
    CompactForgets,
    /// The saved form leaves out where the episode is.
    SaveForgets,
    /// An ended episode goes on.
    NeverEnds,
    /// A reward is infinite.
    Infinite,
    /// A reset keeps something of the last episode.
    ResetForgets,
}

const FAULTS: [(Fault, &str); 13] = [
    (Fault::Memory, "the same step"),
    (Fault::StayMasked, "action 0 to be allowed"),
    (Fault::NotANumber, "nodes within [-5, 5], got NaN"),
    (Fault::OutOfBounds, "globals within [-5, 5], got 7"),
    (Fault::Size, "sizes of the space"),
    (Fault::MaskIgnored, "refused"),
    (Fault::Refuses, "accepted"),
    (Fault::RefusalCounts, "a refused action to leave"),
    (Fault::CompactForgets, "a compact state to be observed as the original"),
    (Fault::SaveForgets, "restored state"),
    (Fault::NeverEnds, "an ended episode to refuse steps"),
    (Fault::Infinite, "a finite reward"),
    (Fault::ResetForgets, "the same observation for the same seed and actions"),
];

/// A probe that breaks one promise.
struct Broken {
    probe: Probe,
    fault: Fault,
    uses: u32,
}

thread_local!(static MADE: Cell<u32> = const { Cell::new(0) });

impl Broken {
    fn new(fault: Fault) -> Self {
        let uses = MADE.get();
        MADE.set(uses + 1);
        Self { probe: Probe::new(ProbeKind::MaskedBest), fault, uses }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }
}

impl Env for Broken {
    fn observation_space(&self) -> &ObservationSpace {
        self.probe.observation_space()
    }
    fn reset(&mut self, seed: u64) -> Result<(), ResetError> {
        if self.is(Fault::ResetForgets) && self.uses > 1000 {
            return Ok(());
        }
        if self.is(Fault::ResetForgets) {
            self.uses += 1001;
        }
        self.probe.reset(seed)
    }
    fn step(&mut self, action: usize) -> Result<Step, ActionError> {
        self.uses += 1;
        if self.is(Fault::Refuses) && action == 1 {
            return Err(ActionError::Masked { index: 1, reason: "a whim".into() });
        }
        let step = match self.probe.step(action) {
            Err(ActionError::Masked { .. }) if self.is(Fault::MaskIgnored) => self.probe.step(0),
            Err(ActionError::Ended) if self.is(Fault::NeverEnds) => {
                self.probe.reset(0).unwrap();
                self.probe.step(0)
            }
            Err(error) => {
                if self.is(Fault::RefusalCounts) {
                    let _ = self.probe.step(1);
                }
                Err(error)
            }
            ok => ok,
        };
        step.map(|step| match self.fault {
            Fault::Memory => Step { reward: self.uses as f32, ..step },
            Fault::Infinite => Step { reward: f32::INFINITY, ..step },
            _ => step,
        })
    }
    fn observe(&self, out: &mut ObservationBuffer) {
        self.probe.observe(out);
        match self.fault {
            Fault::StayMasked => out.mask[0] = false,
            Fault::NotANumber => out.nodes[1] = f32::NAN,
            Fault::OutOfBounds => out.globals[1] = 7.0,
            Fault::Size => {
                out.nodes.pop();
            }
            _ => {}
        }
    }
    fn compact_len(&self) -> usize {
        self.probe.compact_len()
    }
    fn write_compact(&self, out: &mut [u8]) {
        self.probe.write_compact(out);
        if self.is(Fault::CompactForgets) {
            out[1] = 0;
        }
    }
    fn read_compact(&mut self, state: &[u8]) {
        self.probe.read_compact(state);
    }
    fn save(&self) -> serde_json::Value {
        self.probe.save()
    }
    fn restore(&mut self, saved: &serde_json::Value) -> Result<(), String> {
        if self.is(Fault::SaveForgets) { Ok(()) } else { self.probe.restore(saved) }
    }
}

#[test]
fn every_broken_promise_is_found_and_named() {
    for (fault, expected) in FAULTS {
        let error = check_env(|| Broken::new(fault), 0..40, 20).expect_err("a fault");
        let message = error.to_string();
        assert!(message.contains(expected), "{fault:?}: {message}");
    }
}
