//! A group over MPI.

use super::Group;
use super::watch::Watch;
use anyhow::{Context, ensure};
use mpi::collective::SystemOperation;
use mpi::datatype::PartitionMut;
use mpi::environment::{Threading, Universe};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Attempts of one rank to reach rank 0, for each of its addresses.
const CONNECT: Duration = Duration::from_secs(2);

/// A process's membership in `MPI_COMM_WORLD`.
pub(super) struct Member {
    universe: Option<Universe>,
    watch: Option<Watch>,
}

impl Member {
    /// Starts MPI; `None` where there is one process only.
    pub fn join() -> anyhow::Result<Option<(Arc<dyn Group>, Self)>> {
        let (universe, threading) = mpi::initialize_with_threading(Threading::Serialized)
            .context("expected MPI to start, got one that is started already")?;
        let world = universe.world();
        let (rank, size) = (world.rank() as usize, world.size() as usize);
        let mut member = Self { universe: Some(universe), watch: None };
        if size == 1 {
            member.leave();
            return Ok(None);
        }
        ensure!(
            threading >= Threading::Serialized,
            "expected an MPI that serves one thread after the other, got {threading:?}"
        );
        let group = Arc::new(MpiGroup {
            rank,
            size,
            advice: Mutex::new(String::new()),
            turn: Mutex::new(Vec::new()),
        });
        member.watch = watch(&group)?;
        Ok(Some((group, member)))
    }

    /// Ends well: waits for the other ranks.
    pub fn leave(mut self) {
        if let Some(watch) = self.watch.take() {
            watch.leave();
        }
        // Finalises MPI.
        drop(self.universe.take());
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // After a failure the others may be anywhere: finalising would wait for them for ever.
        // They notice when this process ends.
        std::mem::forget(self.universe.take());
    }
}

/// `MPI_COMM_WORLD`.
struct MpiGroup {
    rank: usize,
    size: usize,
    advice: Mutex<String>,
    /// One call at a time, as [`Threading::Serialized`] demands; and what a sum sends.
    turn: Mutex<Vec<f32>>,
}

impl MpiGroup {
    fn world<T>(&self, call: impl FnOnce(&SimpleCommunicator, &mut Vec<f32>) -> T) -> T {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        call(&SimpleCommunicator::world(), &mut turn)
    }
}

impl Group for MpiGroup {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn sum(&self, values: &mut [f32]) {
        self.world(|world, own| {
            own.clear();
            own.extend_from_slice(values);
            world.all_reduce_into(&own[..], values, SystemOperation::sum());
        });
    }

    fn copy(&self, values: &mut [f32]) {
        self.world(|world, _| world.process_at_rank(0).broadcast_into(values));
    }

    fn gather(&self, values: &[f64]) -> Vec<Vec<f64>> {
        self.world(|world, _| {
            let mut counts = vec![0_i32; self.size];
            world.all_gather_into(&(values.len() as i32), &mut counts[..]);
            let starts: Vec<i32> = counts
                .iter()
                .scan(0, |end, count| {
                    let start = *end;
                    *end += count;
                    Some(start)
                })
                .collect();
            let mut all = vec![0.0_f64; counts.iter().sum::<i32>() as usize];
            let mut parts = PartitionMut::new(&mut all[..], &counts[..], &starts[..]);
            world.all_gather_varcount_into(values, &mut parts);
            let part =
                |(&start, &count): (&i32, &i32)| all[start as usize..][..count as usize].to_vec();
            starts.iter().zip(&counts).map(part).collect()
        })
    }

    fn advise(&self, advice: &str) {
        advice.clone_into(&mut self.advice.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Connects the ranks, so that the loss of one ends the others. Where they cannot connect, the run
/// goes on and rank 0 warns that it depends on the launcher.
fn watch(group: &Arc<MpiGroup>) -> anyhow::Result<Option<Watch>> {
    let on_loss = {
        let group = Arc::clone(group);
        Arc::new(move |lost| end(&group, lost))
    };
    let listener = (group.rank == 0)
        .then(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)))
        .transpose()
        .context("a port to watch the other ranks from")?;
    // Tells this run's ranks from strangers; no result depends on it.
    let token = RandomState::new().build_hasher().finish() as u32;
    let mut offer = Vec::new();
    if let Some(listener) = &listener {
        offer.push(f64::from(token));
        offer.push(f64::from(listener.local_addr()?.port()));
        offer.extend(addresses().map(|address| f64::from(u32::from(address))));
    }
    let offers = group.gather(&offer);
    let offer = &offers[0];
    let (token, port) = (offer[0] as u32, offer[1] as u16);
    let watch = match listener {
        Some(listener) => {
            let patience = CONNECT * offer.len() as u32;
            Watch::lead(&listener, token, group.size, patience, on_loss)
        }
        None => {
            let streams = offer[2..].iter().map(|&address| {
                let address = Ipv4Addr::from(address as u32);
                TcpStream::connect_timeout(&SocketAddr::from((address, port)), CONNECT)
            });
            let none = Err(std::io::ErrorKind::NotConnected.into());
            streams
                .reduce(|found, next| found.or(next))
                .unwrap_or(none)
                .and_then(|stream| Watch::follow(stream, token, group.rank, on_loss))
        }
    };
    let group: &dyn Group = &**group;
    if group.any(watch.is_err()) {
        if group.rank() == 0 {
            let error = watch.err().map_or("another rank's failure".into(), |e| e.to_string());
            eprintln!(
                "warning: the ranks cannot watch each other ({error}): the launcher has to end the \
                 run when one is lost"
            );
        }
        return Ok(None);
    }
    Ok(watch.ok())
}

/// This machine's addresses, that of the machine itself first: ranks are often neighbours.
fn addresses() -> impl Iterator<Item = Ipv4Addr> {
    let others = if_addrs::get_if_addrs().unwrap_or_default().into_iter();
    let others = others.filter_map(|interface| match interface.ip() {
        std::net::IpAddr::V4(address) if !address.is_loopback() => Some(address),
        _ => None,
    });
    std::iter::once(Ipv4Addr::LOCALHOST).chain(others)
}

/// Ends this process because a rank is lost. Checkpoints are complete at every moment.
fn end(group: &MpiGroup, lost: usize) {
    // One message is enough, unless rank 0 itself is lost.
    if group.rank == 0 || lost == 0 {
        let advice = group.advice.lock().unwrap_or_else(PoisonError::into_inner);
        eprintln!("error: rank {lost} of {} is lost, and with it the run; {advice}", group.size);
    }
    // SAFETY: ends the process at once. Other threads may wait in MPI for ever, and handlers that
    // run at an ordinary exit could wait for them.
    unsafe { libc::_exit(1) }
}
