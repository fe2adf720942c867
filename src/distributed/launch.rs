//! Whether a launcher (`mpirun`, `srun`) started this process as one of several.

use super::Group;
use std::sync::Arc;

/// A place in a group, held until the work is done.
pub struct Launch {
    /// The group.
    pub group: Arc<dyn Group>,
    #[cfg(feature = "mpi")]
    member: super::mpi::Member,
}

impl Launch {
    /// Ends well: the others do not take this process for lost. A place that is dropped instead
    /// counts as a failure.
    pub fn leave(self) {
        #[cfg(feature = "mpi")]
        self.member.leave();
    }
}

/// Variables by which launchers tell the number of processes: OpenMPI, MPICH and Slurm's PMI.
const SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];
/// Set by Slurm's `--mpi=pmix`, which tells the number only to MPI itself.
const PMIX: &str = "PMIX_RANK";

/// Joins the processes that a launcher started; `None` where this one is alone.
///
/// # Errors
/// When it is one of several and this build has no MPI, or MPI cannot be used.
pub fn join() -> anyhow::Result<Option<Launch>> {
    let size = SIZES.iter().find_map(|name| std::env::var(name).ok()?.parse::<usize>().ok());
    let several = match size {
        Some(size) => size > 1,
        None => std::env::var_os(PMIX).is_some(),
    };
    if several { enter() } else { Ok(None) }
}

#[cfg(feature = "mpi")]
fn enter() -> anyhow::Result<Option<Launch>> {
    let Some((group, member)) = super::mpi::Member::join()? else { return Ok(None) };
    Ok(Some(Launch { group, member }))
}

#[cfg(not(feature = "mpi"))]
fn enter() -> anyhow::Result<Option<Launch>> {
    anyhow::bail!(
        "expected a build with the cargo feature mpi, since a launcher started several processes, \
         got one without"
    )
}
