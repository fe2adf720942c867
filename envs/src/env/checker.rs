//! The environment checker, after Gymnasium's `check_env`: rolls an environment with random
//! actions and verifies every promise of [`Env`] that can be seen from outside.

use crate::env::{ActionError, Env, EpisodeEnd, Step};
use crate::observe::ObservationBuffer;
use crate::observe::encoder::CLIP;
use crate::rng::{child_seed, stream};
use rand::RngExt;
use std::ops::Range;

/// A broken promise: where it was seen and what it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("episode seed {seed}, step {step}: expected {expected}, got {got}")]
pub struct CheckError {
    /// Seed of the episode.
    pub seed: u64,
    /// Steps taken in it.
    pub step: usize,
    /// What an environment promises.
    pub expected: String,
    /// What this one did.
    pub got: String,
}

/// What a check went through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Env steps taken.
    pub steps: u64,
    /// Episodes that terminated.
    pub terminated: u64,
    /// Episodes that were truncated.
    pub truncated: u64,
    /// Masked actions that were tried, and refused.
    pub refused: u64,
}

/// Checks the environments that `make` makes over the episodes of `seeds`, at most `steps` steps
/// each:
///
/// - the same seed gives the same observations and steps, whatever was done before the reset;
/// - observations keep the sizes of the space, are finite and within the clip; indices are valid;
/// - action 0 is allowed; masked and out-of-range actions are refused and change nothing; allowed
///   ones are accepted;
/// - a compact state is observed as the original, in any copy;
/// - a saved state goes on as the original;
/// - rewards are finite; an ended episode refuses steps until it is reset.
///
/// # Errors
/// The first promise that is broken.
pub fn check_env<E: Env>(
    make: impl Fn() -> E,
    seeds: Range<u64>,
    steps: usize,
) -> Result<CheckReport, CheckError> {
    let mut report = CheckReport::default();
    // The first twin lives through all episodes, the others start fresh: a reset must not let
    // anything of an earlier episode through.
    let mut env = make();
    for seed in seeds {
        let mut episode = Episode {
            seed,
            step: 0,
            seen: ObservationBuffer::new(env.observation_space()),
            other: ObservationBuffer::new(env.observation_space()),
            twin: make(),
            reader: make(),
            report: &mut report,
        };
        episode.run(&mut env, steps)?;
    }
    Ok(report)
}

/// Copies and buffers of the episode under check.
struct Episode<'a, E> {
    seed: u64,
    step: usize,
    seen: ObservationBuffer,
    other: ObservationBuffer,
    /// Steps along.
    twin: E,
    /// Reads compact and saved states.
    reader: E,
    report: &'a mut CheckReport,
}

/// Everything about an environment's state that can be seen from outside.
type Outside = (Vec<u8>, serde_json::Value);

impl<E: Env> Episode<'_, E> {
    fn run(&mut self, env: &mut E, steps: usize) -> Result<(), CheckError> {
        let refused = env.reset(self.seed).and_then(|()| self.twin.reset(self.seed)).err();
        if let Some(error) = refused {
            return self.fail("a start for every seed", error.to_string());
        }
        // Somewhere else, so that what a copy forgets to read shows.
        let _ = self.reader.reset(child_seed(self.seed, 1));
        let mut rng = stream(self.seed, "check");
        loop {
            env.observe(&mut self.seen);
            self.observation(env)?;
            self.twin.observe(&mut self.other);
            self.same("the same observation for the same seed and actions")?;
            self.compact(env)?;
            if self.step == steps {
                return Ok(());
            }
            self.refusals(env, &mut rng)?;
            let open: Vec<usize> = (0..env.action_space()).filter(|&a| self.seen.mask[a]).collect();
            let action = open[rng.random_range(0..open.len())];
            let step = self.advance(env, action)?;
            self.report.steps += 1;
            self.step += 1;
            match step.end {
                None => continue,
                Some(EpisodeEnd::Terminated) => self.report.terminated += 1,
                Some(EpisodeEnd::Truncated) => self.report.truncated += 1,
            }
            return self.end(env);
        }
    }

    fn fail<T>(
        &self,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Result<T, CheckError> {
        let (expected, got) = (expected.into(), got.into());
        Err(CheckError { seed: self.seed, step: self.step, expected, got })
    }

    fn require(&self, holds: bool, expected: &str, got: &str) -> Result<(), CheckError> {
        if holds { Ok(()) } else { self.fail(expected, got) }
    }

    /// Sizes, bounds and indices of `self.seen`.
    fn observation(&self, env: &E) -> Result<(), CheckError> {
        let (seen, space) = (&self.seen, env.observation_space());
        let fresh = ObservationBuffer::new(space);
        let sizes = |o: &ObservationBuffer| {
            [
                o.nodes.len(),
                o.workloads.len(),
                o.globals.len(),
                o.candidates.len(),
                o.candidate_stride,
                o.candidate_workload.len(),
                o.candidate_source.len(),
                o.candidate_destination.len(),
                o.placement.len(),
                o.mask.len(),
            ]
        };
        self.require(sizes(seen) == sizes(&fresh), "sizes of the space", "other sizes")?;
        self.require(seen.mask[0], "action 0 to be allowed", "a mask over it")?;
        let beyond = &seen.mask[space.actions..];
        self.require(!beyond.contains(&true), "no action beyond the space", "an open one")?;
        for (part, values) in
            [("nodes", &seen.nodes), ("workloads", &seen.workloads), ("globals", &seen.globals)]
        {
            self.bounded(part, values.iter().copied())?;
        }
        for a in (1..space.actions).filter(|&a| seen.mask[a]) {
            let features = 0..space.schema.candidate.len();
            self.bounded("candidates", features.map(|f| seen.candidate(a, f)))?;
            let (k, to) = (seen.candidate_workload[a], seen.candidate_destination[a]);
            let valid = (k as usize) < space.workloads
                && (to as usize) < space.nodes
                && seen.candidate_source[a] == seen.placement[k as usize];
            self.require(valid, "valid candidate indices", "others")?;
            let fixed = 1 + k as usize * space.nodes + to as usize;
            let placed = !space.fixed_pairs || fixed == a;
            self.require(placed, "pairs at their fixed indices", "another pair")?;
        }
        let placed = seen.placement.iter().all(|&node| (node as usize) <= space.nodes);
        self.require(placed, "every workload on a node or none", "a node that does not exist")
    }

    fn bounded(&self, part: &str, values: impl Iterator<Item = f32>) -> Result<(), CheckError> {
        for value in values {
            if value.is_nan() || value.abs() > CLIP {
                return self.fail(format!("{part} within [-{CLIP}, {CLIP}]"), value.to_string());
            }
        }
        Ok(())
    }

    /// Whether `self.other` says the same as `self.seen`, bit for bit, as far as it has a meaning.
    fn same(&self, expected: &str) -> Result<(), CheckError> {
        let (a, b) = (&self.seen, &self.other);
        let equal = |a: &[f32], b: &[f32]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
        };
        let features = a.candidates.len() / a.candidate_stride;
        let candidates = (1..a.actions()).filter(|&at| a.mask[at]).all(|at| {
            (0..features).all(|f| a.candidate(at, f).to_bits() == b.candidate(at, f).to_bits())
        });
        let holds = equal(&a.nodes, &b.nodes)
            && equal(&a.workloads, &b.workloads)
            && equal(&a.globals, &b.globals)
            && a.mask == b.mask
            && a.placement == b.placement
            && a.candidate_workload == b.candidate_workload
            && a.candidate_source == b.candidate_source
            && a.candidate_destination == b.candidate_destination
            && candidates;
        self.require(holds, expected, "another one")
    }

    fn outside(env: &E) -> Outside {
        let mut bytes = vec![0; env.compact_len()];
        env.write_compact(&mut bytes);
        (bytes, env.save())
    }

    /// A copy that reads the compact state observes the same, and writes the same.
    fn compact(&mut self, env: &E) -> Result<(), CheckError> {
        let (bytes, _) = Self::outside(env);
        self.reader.read_compact(&bytes);
        self.reader.observe(&mut self.other);
        self.same("a compact state to be observed as the original")?;
        let again = Self::outside(&self.reader).0;
        self.require(again == bytes, "a compact state to be written as it was read", "others")
    }

    /// Masked actions, and one outside the space, are refused and change nothing.
    fn refusals(&mut self, env: &mut E, rng: &mut crate::rng::Rng) -> Result<(), CheckError> {
        let before = Self::outside(env);
        let size = env.action_space();
        let outside = env.step(size);
        let refused = matches!(outside, Err(ActionError::OutOfRange { .. }));
        self.require(refused, "an index outside the space to be refused", "no such refusal")?;
        let masked: Vec<usize> = (0..size).filter(|&a| !self.seen.mask[a]).collect();
        // A few of them: trying all in every state would take most of the time.
        for _ in 0..masked.len().min(4) {
            let action = masked[rng.random_range(0..masked.len())];
            match env.step(action) {
                Err(ActionError::Masked { .. }) => self.report.refused += 1,
                other => {
                    return self
                        .fail(format!("masked action {action} refused"), format!("{other:?}"));
                }
            }
        }
        env.observe(&mut self.other);
        self.same("a refused action to leave the observation as it is")?;
        let unchanged = before == Self::outside(env);
        self.require(unchanged, "a refused action to leave the state as it is", "another state")
    }

    /// Takes an allowed action in the environment, its twin and a copy of its saved state.
    fn advance(&mut self, env: &mut E, action: usize) -> Result<Step, CheckError> {
        // The reader still stands where its compact state was: somewhere else again.
        let _ = self.reader.reset(child_seed(self.seed, 1));
        if let Err(error) = self.reader.restore(&env.save()) {
            return self.fail("a saved state to be restored", error);
        }
        self.reader.observe(&mut self.other);
        self.same("a restored state to be observed as the original")?;
        let step = match env.step(action) {
            Ok(step) => step,
            Err(error) => {
                return self.fail(format!("allowed action {action} accepted"), error.to_string());
            }
        };
        let finite = step.reward.is_finite() && step.terms.iter().all(|term| term.is_finite());
        self.require(finite, "a finite reward and terms", "others")?;
        let twin = self.twin.step(action);
        self.require(twin == Ok(step), "the same step for the same seed", "another one")?;
        let reader = self.reader.step(action);
        self.require(reader == Ok(step), "the same step from a restored state", "another one")?;
        env.observe(&mut self.seen);
        self.reader.observe(&mut self.other);
        self.same("the same observation after a step from a restored state")?;
        Ok(step)
    }

    /// The last state is a full one; steps are refused from now on, also in a copy.
    fn end(&mut self, env: &mut E) -> Result<(), CheckError> {
        env.observe(&mut self.seen);
        self.observation(env)?;
        self.compact(env)?;
        let _ = self.reader.reset(child_seed(self.seed, 1));
        if let Err(error) = self.reader.restore(&env.save()) {
            return self.fail("a saved ended state to be restored", error);
        }
        let refused = env.step(0) == Err(ActionError::Ended);
        self.require(refused, "an ended episode to refuse steps", "a step")?;
        let refused = self.reader.step(0) == Err(ActionError::Ended);
        self.require(refused, "a restored ended episode to refuse steps", "a step")?;
        match env.reset(self.seed) {
            Ok(()) => Ok(()),
            Err(error) => self.fail("a reset after the end", error.to_string()),
        }
    }
}
