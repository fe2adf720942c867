//! Training on several processes, perhaps on several machines.
//!
//! Each rank steps its own environments and keeps its own replay; the gradient is averaged over the
//! ranks before it is clipped, so that every rank makes the same update: that of a batch as large
//! as all of theirs together. Environments, exploration and batch draws have seeds of their own on
//! each rank, the first weights are those of rank 0.
//!
//! What holds the ranks together is a [`Group`]. [`Launch`] finds out whether a launcher started
//! this process as one of several; the group over MPI needs the cargo feature `mpi`.

pub mod average;
mod launch;
#[cfg(feature = "mpi")]
mod mpi;
mod outcomes;
pub mod part;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "mpi", test))]
pub mod watch;

pub use launch::{Launch, join};

/// Processes that work on one run. Every rank makes the same calls in the same order.
pub trait Group: Send + Sync {
    /// Number of this process, from 0.
    fn rank(&self) -> usize;

    /// Number of processes.
    fn size(&self) -> usize;

    /// Replaces each value by its sum over the ranks: the same bits on all.
    fn sum(&self, values: &mut [f32]);

    /// Replaces the values by those of rank 0.
    fn copy(&self, values: &mut [f32]);

    /// What each rank gives, in the order of the ranks, on all of them.
    fn gather(&self, values: &[f64]) -> Vec<Vec<f64>>;

    /// Says what people can do when a rank is lost.
    fn advise(&self, advice: &str);
}

/// A step that all ranks take has failed on another one.
#[derive(Debug, thiserror::Error)]
#[error("rank {0} failed, and with it this one")]
pub struct FailedElsewhere(pub usize);

impl dyn Group + '_ {
    /// Whether any rank says so.
    pub fn any(&self, flag: bool) -> bool {
        self.gather(&[f64::from(u8::from(flag))]).iter().any(|flags| flags[0] != 0.0)
    }

    /// A step that every rank takes, and that has failed where it failed on one.
    ///
    /// # Errors
    /// The own failure, or that another rank failed.
    pub fn together<T>(&self, step: anyhow::Result<T>) -> anyhow::Result<T> {
        let failed = self.gather(&[f64::from(u8::from(step.is_err()))]);
        match (step, failed.iter().position(|flags| flags[0] != 0.0)) {
            (Ok(_), Some(rank)) => Err(FailedElsewhere(rank).into()),
            (step, _) => step,
        }
    }

    /// The seed of this rank's environments, exploration and batch draws.
    pub fn seed(&self, seed: u64) -> u64 {
        match self.rank() as u64 {
            0 => seed,
            // TOML's integers end at 2^63 - 1.
            rank => godwit_envs::rng::child_seed(seed, (1 << 35) + rank) >> 1,
        }
    }
}
