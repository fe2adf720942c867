//! Experience replay that stores each state once, in compact form.
//!
//! Each environment copy writes its own ring: one entry per env step, and one more for the last
//! state of a truncated episode, which only serves to bootstrap from. An n-step transition is read
//! off consecutive entries, so the next state costs no second copy. An entry takes
//! `compact_len + 13` bytes.

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
    state_bytes: usize,
}

/// One environment copy's experience.
#[derive(Debug, Clone, Default)]
pub struct Ring {
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
    /// Rings that together hold `capacity` entries of `state_bytes`.
    pub fn new(rings: usize, capacity: usize, state_bytes: usize) -> Self {
        let capacity = (capacity / rings.max(1)).max(2);
        Self { rings: vec![Ring::default(); rings], capacity, state_bytes }
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

    /// Bytes of an entry.
    pub fn entry_bytes(&self) -> usize {
        self.state_bytes + 13
    }

    /// The rings, for checkpoints.
    pub fn rings(&self) -> &[Ring] {
        &self.rings
    }

    /// The rings, for restoring a checkpoint.
    pub fn rings_mut(&mut self) -> &mut [Ring] {
        &mut self.rings
    }

    /// Capacity of each ring in entries, and bytes of a state.
    pub fn ring_shape(&self) -> (usize, usize) {
        (self.capacity, self.state_bytes)
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
        let ring = &mut self.rings[ring];
        if ring.kinds.len() < self.capacity {
            ring.states.extend_from_slice(state);
            ring.actions.push(action);
            ring.rewards.push(reward);
            ring.discounts.push(discount);
            ring.kinds.push(kind as u8);
        } else {
            let at = (ring.written % self.capacity as u64) as usize;
            ring.states[at * self.state_bytes..(at + 1) * self.state_bytes].copy_from_slice(state);
            ring.actions[at] = action;
            ring.rewards[at] = reward;
            ring.discounts[at] = discount;
            ring.kinds[at] = kind as u8;
        }
        ring.written += 1;
    }

    /// The compact state at a position.
    pub fn state(&self, (ring, at): (u32, u32)) -> &[u8] {
        let at = at as usize;
        &self.rings[ring as usize].states[at * self.state_bytes..(at + 1) * self.state_bytes]
    }

    /// Whether at least one n-step transition can be drawn from every ring.
    pub fn can_sample(&self, n: usize) -> bool {
        self.rings.iter().all(|ring| ring.kinds.len() > n + 1)
    }

    /// Draws n-step transitions uniformly, with replacement.
    pub fn sample(&self, n: usize, rng: &mut Xoshiro256PlusPlus, out: &mut [Transition]) {
        for transition in out {
            *transition = loop {
                let ring = rng.random_range(0..self.rings.len());
                let starts = self.rings[ring].kinds.len() - n;
                if let Some(drawn) = self.transition(ring, rng.random_range(0..starts), n) {
                    break drawn;
                }
            };
        }
    }

    /// The n-step transition that starts `age` entries after the oldest of a ring; `None` where
    /// that entry is no step.
    pub fn transition(&self, ring_index: usize, age: usize, n: usize) -> Option<Transition> {
        let ring = &self.rings[ring_index];
        let length = ring.kinds.len();
        let oldest =
            if length < self.capacity { 0 } else { (ring.written % length as u64) as usize };
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

    fn filled() -> Replay {
        let mut replay = Replay::new(1, 16, 1);
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
        let t = filled().transition(0, 0, 3).expect("a step");
        assert_eq!((t.reward, t.discount), (1.0 + 0.5 * 2.0, 0.0));
    }

    #[test]
    fn a_truncated_transition_bootstraps_from_its_last_state() {
        let replay = filled();
        let t = replay.transition(0, 2, 3).expect("a step");
        assert_eq!((t.reward, t.discount), (4.0 + 0.5 * 8.0, 0.25));
        assert_eq!(replay.state(t.next), [4]);
        assert_eq!(replay.transition(0, 4, 3), None);
    }

    #[test]
    fn n_steps_are_discounted_one_by_one() {
        let replay = filled();
        let t = replay.transition(0, 5, 2).expect("a step");
        assert_eq!((t.reward, t.discount), (16.0 + 0.5 * 32.0, 0.25));
        assert_eq!(replay.state(t.next), [7]);
    }

    #[test]
    fn a_full_ring_forgets_its_oldest_entries() {
        let mut replay = Replay::new(1, 3, 1);
        for state in 0..5_u8 {
            replay.push(0, &[state], 0, f32::from(state), 1.0, Entry::Step);
        }
        let t = replay.transition(0, 0, 1).expect("a step");
        assert_eq!(
            (t.reward, replay.state(t.state), replay.state(t.next)),
            (2.0, &[2][..], &[3][..])
        );
    }
}
