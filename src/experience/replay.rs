//! Experience replay that stores each state once, in compact form.
//!
//! Each environment copy writes its own ring: one entry per env step, and one more for the last
//! state of a truncated episode, which only serves to bootstrap from. An n-step transition is read
//! off consecutive entries, so the next state costs no second copy. An entry takes
//! `compact_len + 13` bytes, and 16 to 32 more where the replay is prioritised.
//!
//! Rings of environments of different scenarios hold states of different lengths.

use crate::experience::priorities::Priorities;
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

/// What an entry of the ring is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Entry {
    /// A step after which the episode went on (or was truncated: then a `Last` entry follows).
    Step = 0,
    /// A step that terminated its episode.
    Terminal = 1,
    /// The state in which an episode was truncated; no action was taken in it.
    Last = 2,
}

/// A sampled n-step transition; the states stay in the replay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transition {
    /// Ring and position of the state.
    pub state: (u32, u32),
    /// The action taken in it.
    pub action: u32,
    /// Discounted sum of up to n rewards.
    pub reward: f32,
    /// Product of the discounts up to the next state; 0 after a terminal step.
    pub discount: f32,
    /// Ring and position of the next state (the state itself after a terminal step).
    pub next: (u32, u32),
}

/// Rings of experience, one per environment copy.
#[derive(Debug)]
pub struct Replay {
    rings: Vec<Ring>,
    capacity: usize,
    /// Rewards of a transition.
    n: usize,
    /// One per entry of each ring, where not every transition is as likely as any other.
    priorities: Option<Priorities>,
}

/// One environment copy's experience.
#[derive(Debug, Clone, Default)]
pub struct Ring {
    /// Bytes of a state.
    pub state_bytes: usize,
    /// `[capacity][state_bytes]`; grows up to that.
    pub states: Vec<u8>,
    /// Action per entry.
    pub actions: Vec<u32>,
    /// Reward per entry.
    pub rewards: Vec<f32>,
    /// Discount per entry.
    pub discounts: Vec<f32>,
    /// [`Entry`] per entry.
    pub kinds: Vec<u8>,
    /// Entries ever written.
    pub written: u64,
}

impl Replay {
    /// A ring for each of `state_bytes`, which together hold `capacity` entries, for transitions
    /// of up to `n` steps. Each ring holds at least what [`Replay::can_sample`] asks for.
    pub fn new(state_bytes: &[usize], capacity: usize, n: usize) -> Self {
        let capacity = (capacity / state_bytes.len().max(1)).max(n + 2);
        let ring = |&state_bytes| Ring { state_bytes, ..Ring::default() };
        Self { rings: state_bytes.iter().map(ring).collect(), capacity, n, priorities: None }
    }

    /// Draws in proportion to priorities from now on; `exponent` is alpha. For an empty replay.
    #[must_use]
    pub fn prioritised(mut self, exponent: f64) -> Self {
        self.priorities = Some(Priorities::new(self.capacity(), exponent));
        self
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.rings.iter().map(|ring| ring.kinds.len()).sum()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries that may be held.
    pub fn capacity(&self) -> usize {
        self.capacity * self.rings.len()
    }

    /// The rings, for checkpoints.
    pub fn rings(&self) -> &[Ring] {
        &self.rings
    }

    /// The rings, for restoring a checkpoint.
    pub fn rings_mut(&mut self) -> &mut [Ring] {
        &mut self.rings
    }

    /// Entries that each ring may hold.
    pub fn ring_capacity(&self) -> usize {
        self.capacity
    }

    /// The priorities, for checkpoints.
    pub fn priorities(&self) -> Option<&Priorities> {
        self.priorities.as_ref()
    }

    /// The priorities, for restoring a checkpoint.
    pub fn priorities_mut(&mut self) -> Option<&mut Priorities> {
        self.priorities.as_mut()
    }

    /// Appends an entry to a ring.
    pub fn push(
        &mut self,
        ring: usize,
        state: &[u8],
        action: u32,
        reward: f32,
        discount: f32,
        kind: Entry,
    ) {
        let index = ring;
        let ring = &mut self.rings[index];
        let at = (ring.written % self.capacity as u64) as usize;
        if ring.kinds.len() < self.capacity {
            ring.states.extend_from_slice(state);
            ring.actions.push(action);
            ring.rewards.push(reward);
            ring.discounts.push(discount);
            ring.kinds.push(kind as u8);
        } else {
            let bytes = ring.state_bytes;
            ring.states[at * bytes..(at + 1) * bytes].copy_from_slice(state);
            ring.actions[at] = action;
            ring.rewards[at] = reward;
            ring.discounts[at] = discount;
            ring.kinds[at] = kind as u8;
        }
        ring.written += 1;
        if let Some(priorities) = &mut self.priorities {
            // The new entry is no start yet: it takes n more. The one n before it now is.
            priorities.forget(index * self.capacity + at);
            if ring.kinds.len() > self.n {
                let start = (at + self.capacity - self.n) % self.capacity;
                if ring.kinds[start] != Entry::Last as u8 {
                    priorities.admit(index * self.capacity + start);
                }
            }
        }
    }

    /// The compact state at a position.
    pub fn state(&self, (ring, at): (u32, u32)) -> &[u8] {
        let ring = &self.rings[ring as usize];
        &ring.states[at as usize * ring.state_bytes..][..ring.state_bytes]
    }

    /// Whether at least one transition can be drawn from every ring.
    pub fn can_sample(&self) -> bool {
        self.rings.iter().all(|ring| ring.kinds.len() > self.n + 1)
    }

    /// Draws transitions with replacement, where the replay [can be sampled](Replay::can_sample):
    /// uniformly, or where the replay is prioritised in
    /// proportion to priorities, with importance weights
    /// `(smallest probability of the batch / own probability)^beta`: those of the paper, divided
    /// by the largest of the batch. Uniform draws weigh 1.
    pub fn sample(
        &self,
        beta: f64,
        rng: &mut Xoshiro256PlusPlus,
        out: &mut [Transition],
        weights: &mut [f32],
    ) {
        let Some(priorities) = &self.priorities else {
            out.iter_mut().for_each(|transition| *transition = self.draw_uniformly(rng));
            weights.fill(1.0);
            return;
        };
        let draws = out.len();
        let mut smallest = f64::INFINITY;
        for (draw, transition) in out.iter_mut().enumerate() {
            let entry = priorities.draw(draw, draws, rng);
            let (ring, at) = (entry / self.capacity, entry % self.capacity);
            let length = self.rings[ring].kinds.len();
            let age = (at + length - self.oldest(ring)) % length;
            // Only starts of transitions have a priority; were one lost, any other would do.
            *transition = self.transition(ring, age).unwrap_or_else(|| self.draw_uniformly(rng));
            smallest = smallest.min(priorities.weight(self.entry(transition)));
        }
        for (weight, transition) in weights.iter_mut().zip(out) {
            *weight = (smallest / priorities.weight(self.entry(transition))).powf(beta) as f32;
        }
    }

    /// Takes note of the absolute TD error that a transition has shown.
    pub fn update_priority(&mut self, transition: &Transition, error: f32) {
        let entry = self.entry(transition);
        if let Some(priorities) = &mut self.priorities {
            priorities.update(entry, error);
        }
    }

    fn entry(&self, transition: &Transition) -> usize {
        transition.state.0 as usize * self.capacity + transition.state.1 as usize
    }

    fn draw_uniformly(&self, rng: &mut Xoshiro256PlusPlus) -> Transition {
        loop {
            let ring = rng.random_range(0..self.rings.len());
            // A ring that is too short has no whole transition yet.
            let starts = self.rings[ring].kinds.len().saturating_sub(self.n);
            if starts == 0 {
                continue;
            }
            if let Some(drawn) = self.transition(ring, rng.random_range(0..starts)) {
                return drawn;
            }
        }
    }

    /// Position of a ring's oldest entry.
    fn oldest(&self, ring: usize) -> usize {
        let ring = &self.rings[ring];
        let length = ring.kinds.len();
        if length < self.capacity { 0 } else { (ring.written % length as u64) as usize }
    }

    /// The n-step transition that starts `age` entries after the oldest of a ring; `None` where
    /// that entry is no step.
    pub fn transition(&self, ring_index: usize, age: usize) -> Option<Transition> {
        let ring = &self.rings[ring_index];
        let length = ring.kinds.len();
        let (oldest, n) = (self.oldest(ring_index), self.n);
        let at = |age: usize| (oldest + age) % length;
        let start = at(age);
        if ring.kinds[start] == Entry::Last as u8 {
            return None;
        }
        let position = |at: usize| (ring_index as u32, at as u32);
        let (mut reward, mut discount) = (0.0, 1.0);
        for step in 0..n {
            let here = at(age + step);
            // A `Last` entry is where a truncated episode bootstraps from, after fewer steps.
            if ring.kinds[here] == Entry::Last as u8 {
                let next = position(here);
                return Some(Transition {
                    state: position(start),
                    action: ring.actions[start],
                    reward,
                    discount,
                    next,
                });
            }
            reward += discount * ring.rewards[here];
            discount *= ring.discounts[here];
            if ring.kinds[here] == Entry::Terminal as u8 {
                let state = position(start);
                return Some(Transition {
                    state,
                    action: ring.actions[start],
                    reward,
                    discount: 0.0,
                    next: state,
                });
            }
        }
        let next = position(at(age + n));
        Some(Transition {
            state: position(start),
            action: ring.actions[start],
            reward,
            discount,
            next,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;
    use rand::SeedableRng;

    fn filled(n: usize) -> Replay {
        let mut replay = Replay::new(&[1], 16, n);
        // Episode 1: rewards 1, 2, terminal. Episode 2: rewards 4, 8, truncated, last state.
        for (state, reward, kind) in [
            (0, 1.0, Entry::Step),
            (1, 2.0, Entry::Terminal),
            (2, 4.0, Entry::Step),
            (3, 8.0, Entry::Step),
            (4, 0.0, Entry::Last),
            (5, 16.0, Entry::Step),
            (6, 32.0, Entry::Step),
            (7, 64.0, Entry::Step),
        ] {
            replay.push(0, &[state], u32::from(state), reward, 0.5, kind);
        }
        replay
    }

    #[test]
    fn a_terminated_transition_has_no_future() {
        let t = filled(3).transition(0, 0).expect("a step");
        assert_eq!((t.reward, t.discount), (1.0 + 0.5 * 2.0, 0.0));
    }

    #[test]
    fn a_truncated_transition_bootstraps_from_its_last_state() {
        let replay = filled(3);
        let t = replay.transition(0, 2).expect("a step");
        assert_eq!((t.reward, t.discount), (4.0 + 0.5 * 8.0, 0.25));
        assert_eq!(replay.state(t.next), [4]);
        assert_eq!(replay.transition(0, 4), None);
    }

    #[test]
    fn n_steps_are_discounted_one_by_one() {
        let replay = filled(2);
        let t = replay.transition(0, 5).expect("a step");
        assert_eq!((t.reward, t.discount), (16.0 + 0.5 * 32.0, 0.25));
        assert_eq!(replay.state(t.next), [7]);
    }

    #[test]
    fn a_full_ring_forgets_its_oldest_entries() {
        let mut replay = Replay::new(&[1], 3, 1);
        for state in 0..5_u8 {
            replay.push(0, &[state], 0, f32::from(state), 1.0, Entry::Step);
        }
        let t = replay.transition(0, 0).expect("a step");
        assert_eq!(
            (t.reward, replay.state(t.state), replay.state(t.next)),
            (2.0, &[2][..], &[3][..])
        );
    }

    /// Of rings that are too small or too short for a transition, none is drawn and nothing
    /// underflows.
    #[test]
    fn short_rings_are_drawn_from_once_they_hold_a_transition() {
        let mut replay = Replay::new(&[1, 1, 1], 3, 4);
        assert_eq!(replay.ring_capacity(), 6, "less could never be drawn from");
        let fill = |replay: &mut Replay, ring: usize, entries: u8| {
            for state in 0..entries {
                replay.push(ring, &[state], 0, 1.0, 1.0, Entry::Step);
            }
        };
        fill(&mut replay, 1, 6);
        fill(&mut replay, 2, 3);
        assert!(!replay.can_sample());
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut out = [replay.transition(1, 0).expect("a step"); 20];
        replay.sample(0.0, &mut rng, &mut out, &mut [0.0; 20]);
        assert!(out.iter().all(|drawn| drawn.state.0 == 1 && drawn.reward == 4.0), "{out:?}");
        fill(&mut replay, 0, 6);
        fill(&mut replay, 2, 3);
        assert!(replay.can_sample());
    }

    #[test]
    fn importance_weights_match_hand_worked_numbers() {
        let mut replay = Replay::new(&[1], 8, 1).prioritised(1.0);
        for state in 0..3_u8 {
            replay.push(0, &[state], 0, 0.0, 1.0, Entry::Step);
        }
        let drawn = [0, 1].map(|age| replay.transition(0, age).expect("a step"));
        replay.update_priority(&drawn[0], 4.0 - 1e-3);
        replay.update_priority(&drawn[1], 1.0 - 1e-3);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let (mut out, mut weights) = ([drawn[0]; 5], [0.0; 5]);
        replay.sample(0.5, &mut rng, &mut out, &mut weights);
        // Five equal parts of 0 to 5: the first four lie in the first transition, which is four
        // times as likely as the other and weighs (1 / 4)^0.5.
        assert_eq!(out.map(|t| t.state.1), [0, 0, 0, 0, 1]);
        for (weight, expected) in weights.into_iter().zip([0.5, 0.5, 0.5, 0.5, 1.0]) {
            assert!((weight - expected).abs() < 1e-5, "{weight} {expected}");
        }
    }

    proptest! {
        /// What may be drawn by priority is what may be drawn uniformly, whatever was written.
        #[test]
        fn priorities_cover_the_starts_and_nothing_else(
            kinds in prop::collection::vec(0_u8..5, 1..80),
            n in 1_usize..5,
        ) {
            let mut replay = Replay::new(&[1, 1], 24, n).prioritised(0.6);
            for (at, kind) in kinds.into_iter().enumerate() {
                let kind = match kind {
                    0 => Entry::Terminal,
                    1 => Entry::Last,
                    _ => Entry::Step,
                };
                replay.push(at % 2, &[at as u8], 0, 1.0, 0.9, kind);
            }
            let priorities = replay.priorities().expect("a prioritised replay");
            for ring in 0..2 {
                let length = replay.rings[ring].kinds.len();
                for age in 0..length {
                    let at = (replay.oldest(ring) + age) % length;
                    let start = age + n < length && replay.transition(ring, age).is_some();
                    let weight = priorities.weight(ring * replay.capacity + at);
                    prop_assert_eq!(weight > 0.0, start, "ring {} age {}", ring, age);
                }
            }
        }
    }
}
