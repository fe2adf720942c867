//! Places for connections: how many there are, how many of them one client has, and who makes room.
//!
//! A connection waits while no request of it is being answered: before its first headers are there,
//! and between requests. Where a place is needed, whoever waits makes room, so that connections
//! that send half of their headers, or nothing, keep nobody out.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

/// All places.
#[derive(Debug)]
pub struct Places {
    most: usize,
    /// Of one client; without it those on other machines have a quarter, and those on this one
    /// (among them whoever is behind a proxy here) have no limit.
    most_per_client: Option<usize>,
    state: Mutex<State>,
    left: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Numbers connections, and the times at which they begin to wait.
    next: u64,
    open: HashMap<u64, Entry>,
    /// Who waits, in the order in which they make room.
    waiting: BTreeMap<Turn, u64>,
    clients: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Entry {
    client: IpAddr,
    waits: Option<Turn>,
    /// Whether its client has not read all of its answer.
    unread: bool,
    leave: oneshot::Sender<()>,
}

/// What a connection waits for, and since when: the least makes room first.
type Turn = (WaitsFor, u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum WaitsFor {
    /// The headers of its first request.
    FirstRequest,
    /// Those of another.
    Request,
    /// Its client, to read an answer.
    Reader,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// Requests are being answered on as many connections as may be.
    Full,
    /// And on as many as this client may have.
    ClientFull,
}

impl NoPlace {
    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "connections",
            Self::ClientFull => "connections_per_address",
        }
    }
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub struct Place {
    /// What goes on on it.
    pub seat: Seat,
    /// Resolves when another connection needs the place.
    pub leave: oneshot::Receiver<()>,
    /// Whether another connection made room for it.
    pub made_room: bool,
}

/// What goes on on a connection.
#[derive(Debug, Clone)]
pub struct Seat {
    places: Arc<Places>,
    number: u64,
}

impl Places {
    /// So many places, of which each client may have so many.
    pub fn new(most: u32, most_per_client: Option<u32>) -> Arc<Self> {
        Arc::new(Self {
            most: most as usize,
            most_per_client: most_per_client.map(|most| most as usize),
            state: Mutex::default(),
            left: Notify::new(),
        })
    }

    /// A place for a connection from this address.
    ///
    /// # Errors
    /// When there is none, and nobody waits who could make room.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Place, NoPlace> {
        let client = client(address);
        let mut state = self.lock();
        let mut made_room = false;
        let mut need = |state: &mut State, client, lacking| {
            let found = state.give_up(client);
            made_room |= found;
            if found { Ok(()) } else { Err(lacking) }
        };
        let of_client = state.clients.get(&client).copied().unwrap_or_default();
        if of_client >= self.most_of(client) {
            need(&mut state, Some(client), NoPlace::ClientFull)?;
        } else if state.open.len() >= self.most {
            need(&mut state, None, NoPlace::Full)?;
        }
        let (leave, told) = oneshot::channel();
        let number = state.number();
        state.open.insert(number, Entry { client, waits: None, unread: false, leave });
        *state.clients.entry(client).or_default() += 1;
        state.wait(number, WaitsFor::FirstRequest);
        drop(state);
        let seat = Seat { places: Arc::clone(self), number };
        Ok(Place { seat, leave: told, made_room })
    }

    /// Ends the connection that would make room next, if one waits: for when the system has no room
    /// although there are places.
    pub fn make_room(&self) -> bool {
        self.lock().give_up(None)
    }

    /// Resolves once every connection has ended.
    pub async fn empty(&self) {
        loop {
            let left = self.left.notified();
            if self.lock().open.is_empty() {
                return;
            }
            left.await;
        }
    }

    fn most_of(&self, client: IpAddr) -> usize {
        match self.most_per_client {
            Some(most) => most,
            None if client.is_loopback() => usize::MAX,
            None => (self.most / 4).max(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn wait(&mut self, number: u64, waits_for: WaitsFor) {
        let turn = (waits_for, self.number());
        if let Some(entry) = self.open.get_mut(&number) {
            entry.waits = Some(turn);
            self.waiting.insert(turn, number);
        }
    }

    /// It waits for another request, or before that for its client to read the answer.
    fn wait_again(&mut self, number: u64) {
        let unread = self.open.get(&number).is_some_and(|entry| entry.unread);
        self.wait(number, if unread { WaitsFor::Reader } else { WaitsFor::Request });
    }

    fn wait_no_more(&mut self, number: u64) {
        if let Some(turn) = self.open.get_mut(&number).and_then(|entry| entry.waits.take()) {
            self.waiting.remove(&turn);
        }
    }

    /// Takes the place of whoever is first to make room, of this client or of all.
    fn give_up(&mut self, client: Option<IpAddr>) -> bool {
        let is_of = |number: &u64| {
            let entry = self.open.get(number);
            client.is_none_or(|client| entry.is_some_and(|entry| entry.client == client))
        };
        let found = self.waiting.values().copied().find(is_of);
        if let Some(entry) = found.and_then(|number| self.remove(number)) {
            // It may be ending by itself.
            let _ = entry.leave.send(());
        }
        found.is_some()
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.open.remove(&number)?;
        if let Some(turn) = entry.waits {
            self.waiting.remove(&turn);
        }
        if let Some(count) = self.clients.get_mut(&entry.client) {
            *count -= 1;
            if *count == 0 {
                self.clients.remove(&entry.client);
            }
        }
        Some(entry)
    }
}

impl Seat {
    /// A request of this connection is being answered until what is returned is dropped.
    pub fn answering(&self) -> Answering {
        self.places.lock().wait_no_more(self.number);
        Answering(self.clone())
    }

    /// Its client has not read all that was written to it, or has.
    pub fn unread(&self, unread: bool) {
        let mut state = self.places.lock();
        let Some(entry) = state.open.get_mut(&self.number) else { return };
        entry.unread = unread;
        // While a request is being answered it waits for nothing.
        if entry.waits.is_some() {
            state.wait_no_more(self.number);
            state.wait_again(self.number);
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub struct Answering(Seat);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.places.lock().wait_again(self.0.number);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let places = &self.seat.places;
        places.lock().remove(self.seat.number);
        places.left.notify_waiters();
    }
}

/// Whose address this is: of IPv6 the network, in which one client has as many as it likes.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(place: &mut Place) -> bool {
        place.leave.try_recv().is_ok()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn whoever_waits_makes_room_and_whoever_is_answered_does_not() {
        let places = Places::new(3, None);
        let here = address("127.0.0.1");
        let [mut asked, mut half_open, mut busy] = [0; 3].map(|_| places.enter(here).unwrap());
        drop(asked.seat.answering());
        let answering = busy.seat.answering();
        let mut first = places.enter(here).unwrap();
        assert!(first.made_room);
        assert_eq!([&mut asked, &mut half_open, &mut busy].map(told), [false, true, false]);
        let second_answering = first.seat.answering();
        let second = places.enter(here).unwrap();
        assert_eq!([&mut asked, &mut first, &mut busy].map(told), [true, false, false]);
        let _third_answering = second.seat.answering();
        assert_eq!(places.enter(here).unwrap_err(), NoPlace::Full);
        drop((answering, second_answering));
        let fourth = places.enter(here).unwrap();
        assert!(told(&mut busy) && fourth.made_room);
    }

    #[test]
    fn an_answer_that_is_being_read_makes_room_last() {
        let places = Places::new(2, None);
        let here = address("127.0.0.1");
        let [mut reading, mut idle] = [0; 2].map(|_| places.enter(here).unwrap());
        let answering = reading.seat.answering();
        reading.seat.unread(true);
        drop(answering);
        drop(idle.seat.answering());
        let next = places.enter(here).unwrap();
        assert_eq!([&mut reading, &mut idle].map(told), [false, true]);
        // It has read on, but later than the other was answered.
        drop(next.seat.answering());
        reading.seat.unread(false);
        let mut last = places.enter(here).unwrap();
        assert_eq!([&mut reading, &mut last].map(told), [false, false]);
        drop(last.seat.answering());
        let _another = places.enter(here).unwrap();
        assert!(told(&mut reading));
    }

    #[test]
    fn a_client_on_another_machine_has_a_quarter_of_the_places() {
        let places = Places::new(8, None);
        let enter = |text| {
            let place = places.enter(address(text))?;
            let answering = place.seat.answering();
            Ok::<_, NoPlace>((place, answering))
        };
        let one = [enter("10.0.0.1"), enter("::ffff:10.0.0.1")];
        assert_eq!(enter("10.0.0.1").unwrap_err(), NoPlace::ClientFull);
        let network = [enter("2001:db8::1"), enter("2001:db8::2:0:0:1")];
        assert_eq!(enter("2001:db8::3").unwrap_err(), NoPlace::ClientFull);
        let here = [0; 4].map(|_| enter("127.0.0.1"));
        assert!(one.iter().chain(&network).chain(&here).all(Result::is_ok));
        assert_eq!(enter("127.0.0.1").unwrap_err(), NoPlace::Full);
        drop(one);
        enter("10.0.0.1").unwrap();
    }

    #[tokio::test]
    async fn places_are_empty_once_every_connection_has_ended() {
        let places = Places::new(2, Some(2));
        places.empty().await;
        let place = places.enter(address("127.0.0.1")).unwrap();
        let waiting = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.empty().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(place);
        waiting.await.unwrap();
        assert!(places.lock().clients.is_empty() && places.lock().waiting.is_empty());
    }
}
