//! Notices within seconds that a rank is lost, whatever the launcher does.
//!
//! Rank 0 holds a TCP connection to every other rank. A process that ends closes its connection;
//! one that hangs, or whose machine is gone, stops sending its beat. MPI alone would wait for ever.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Between two beats.
const BEAT: Duration = Duration::from_secs(3);
/// Without a beat for so long, a rank counts as lost.
const SILENCE: Duration = Duration::from_secs(15);

const ALIVE: u8 = 0;
/// The sender has done its work and leaves.
const LEAVES: u8 = 1;
/// Followed by the number of a lost rank (`u32`, little endian).
const LOST: u8 = 2;

/// What is done when a rank is lost: gets its number.
pub type OnLoss = Arc<dyn Fn(usize) + Send + Sync>;

/// The connections of this process.
pub struct Watch {
    peers: Arc<Mutex<Vec<(usize, TcpStream)>>>,
}

impl Watch {
    /// Rank 0: waits until all other ranks have connected with the same token.
    ///
    /// # Errors
    /// When they have not within `patience`.
    pub fn lead(
        listener: &TcpListener,
        token: u32,
        size: usize,
        patience: Duration,
        on_loss: OnLoss,
    ) -> io::Result<Self> {
        let deadline = Instant::now() + patience;
        listener.set_nonblocking(true)?;
        let mut peers: Vec<(usize, TcpStream)> = Vec::new();
        while peers.len() + 1 < size {
            match listener.accept() {
                Ok((stream, _)) => {
                    // Whoever says something else, or nothing, is no rank of this run.
                    if let Some(rank) = greeted(&stream, token).filter(|rank| *rank < size) {
                        peers.push((rank, stream));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if Instant::now() > deadline {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(error) => return Err(error),
            }
        }
        Self::start(peers, on_loss)
    }

    /// Any other rank: says hello to rank 0.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn follow(
        mut stream: TcpStream,
        token: u32,
        rank: usize,
        on_loss: OnLoss,
    ) -> io::Result<Self> {
        stream.write_all(&token.to_le_bytes())?;
        stream.write_all(&(rank as u32).to_le_bytes())?;
        Self::start(vec![(0, stream)], on_loss)
    }

    fn start(peers: Vec<(usize, TcpStream)>, on_loss: OnLoss) -> io::Result<Self> {
        let mut readers = Vec::new();
        for (rank, stream) in &peers {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(false)?;
            stream.set_read_timeout(Some(SILENCE))?;
            stream.set_write_timeout(Some(BEAT))?;
            readers.push((*rank, stream.try_clone()?));
        }
        let peers = Arc::new(Mutex::new(peers));
        for (rank, stream) in readers {
            let (peers, on_loss) = (Arc::clone(&peers), Arc::clone(&on_loss));
            std::thread::spawn(move || {
                if let Some(lost) = listen(rank, stream) {
                    tell(&peers, &[&[LOST][..], &(lost as u32).to_le_bytes()].concat());
                    on_loss(lost);
                }
            });
        }
        let watch = Self { peers: Arc::clone(&peers) };
        std::thread::spawn(move || {
            // Ends with the watch: it leaves no connection behind.
            while tell(&peers, &[ALIVE]) {
                std::thread::sleep(BEAT);
            }
        });
        Ok(watch)
    }

    /// Tells the others that this rank is done.
    pub fn leave(self) {
        tell(&self.peers, &[LEAVES]);
        self.peers.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clear();
    }
}

fn greeted(stream: &TcpStream, token: u32) -> Option<usize> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let mut hello = [0; 8];
    let mut stream = stream;
    stream.read_exact(&mut hello).ok()?;
    let [a, b, c, d, rank @ ..] = hello;
    let rank = u32::from_le_bytes(rank) as usize;
    (u32::from_le_bytes([a, b, c, d]) == token && rank > 0).then_some(rank)
}

/// Listens until the peer leaves, or a rank (perhaps the peer) is lost: then its number.
fn listen(rank: usize, mut stream: TcpStream) -> Option<usize> {
    loop {
        let mut kind = [0];
        if stream.read_exact(&mut kind).is_err() {
            return Some(rank);
        }
        match kind[0] {
            ALIVE => {}
            LEAVES => return None,
            _ => {
                let mut lost = [0; 4];
                let told = stream.read_exact(&mut lost).is_ok();
                return Some(if told { u32::from_le_bytes(lost) as usize } else { rank });
            }
        }
    }
}

/// Sends to all peers; whether there are any. Who does not receive it is noticed by reading.
fn tell(peers: &Mutex<Vec<(usize, TcpStream)>>, message: &[u8]) -> bool {
    let mut peers = peers.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for (_, stream) in peers.iter_mut() {
        let _ = stream.write_all(message);
    }
    !peers.is_empty()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;
    use std::sync::mpsc::{Receiver, channel};

    type Losses = Receiver<usize>;

    fn recorder() -> (OnLoss, Losses) {
        let (sender, receiver) = channel();
        let on_loss = move |rank| {
            // Nobody may listen any more.
            let _ = sender.send(rank);
        };
        (Arc::new(on_loss), receiver)
    }

    /// Rank 0 and two more, which a stranger tries to join.
    fn three() -> Vec<(Watch, Losses)> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut ranks = Vec::new();
        let mut stranger = TcpStream::connect(address).unwrap();
        stranger.write_all(&[9; 8]).unwrap();
        for rank in [1, 2] {
            let (on_loss, losses) = recorder();
            let stream = TcpStream::connect(address).unwrap();
            ranks.push((Watch::follow(stream, 7, rank, on_loss).unwrap(), losses));
        }
        let (on_loss, losses) = recorder();
        let lead = Watch::lead(&listener, 7, 3, Duration::from_secs(20), on_loss).unwrap();
        ranks.insert(0, (lead, losses));
        ranks
    }

    #[test]
    fn all_hear_of_a_lost_rank() {
        let mut ranks = three();
        let (lost, _) = ranks.remove(1);
        for (_, stream) in lost.peers.lock().unwrap().iter() {
            stream.shutdown(std::net::Shutdown::Both).unwrap();
        }
        for (_, losses) in &ranks {
            assert_eq!(losses.recv_timeout(Duration::from_secs(10)).unwrap(), 1);
        }
    }

    #[test]
    fn a_rank_that_leaves_is_not_lost() {
        let mut ranks = three();
        let (gone, gone_losses) = ranks.pop().unwrap();
        gone.leave();
        for losses in ranks.iter().map(|(_, losses)| losses).chain([&gone_losses]) {
            assert!(losses.recv_timeout(Duration::from_millis(300)).is_err());
        }
    }

    #[test]
    fn ranks_that_do_not_come_are_not_waited_for() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (on_loss, _losses) = recorder();
        let outcome = Watch::lead(&listener, 7, 2, Duration::from_millis(50), on_loss);
        assert_eq!(outcome.err().unwrap().kind(), io::ErrorKind::TimedOut);
    }
}
