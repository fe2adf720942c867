//! The program itself, which moves guests between two hosts while something strikes it, them or their
//! link.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use godwit_live::cluster::Order;
use godwit_live::clusters::qemu::{Guest, Host, Settings};
use godwit_live::journal::records;
use godwit_live::ledger::moves::Outcome;
use godwit_live::ledger::record::{Event, Record};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use tempfile::TempDir;

use crate::guests::boot_sector;
use crate::guests::hosts::{Hosts, PATIENCE, qemu_is_there};

/// The hosts.
pub const HOSTS: [&str; 2] = ["a", "b"];

/// Two hosts with guests, and settings for the program.
pub struct Arena {
    pub hosts: Hosts,
    settings: Settings,
    guests: Vec<String>,
    began: BTreeMap<String, boot_sector::Record>,
    folder: TempDir,
}

/// The program while it runs; killed with it.
pub struct Running(Child);

impl Running {
    /// SIGKILL: the program notices nothing of it.
    pub fn kill(mut self) {
        self.end();
    }

    /// Whether it has ended by itself, and well.
    pub fn ends_well(&mut self) -> bool {
        self.0.wait().unwrap().success()
    }

    fn end(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

impl Arena {
    /// Guests that run on the first host and dirty so many MiB at so many MiB/s. The link carries
    /// 8 MiB/s, so that a move of 24 MiB takes three seconds. `None` where QEMU is missing.
    pub fn new(guests: usize, mib: u32, mib_per_s: f32) -> Option<Self> {
        if !qemu_is_there() {
            return None;
        }
        let folder = tempfile::Builder::new().prefix("gw").tempdir().unwrap();
        let hosts = Hosts::new(folder.path(), &HOSTS);
        let guests: Vec<String> = (0..guests).map(|number| format!("g{number}")).collect();
        let mut began = BTreeMap::new();
        for guest in &guests {
            hosts.write_disk(guest, mib, mib_per_s);
            hosts.begin(guest, HOSTS[0], None);
        }
        for guest in &guests {
            began.insert(guest.clone(), hosts.record_from(guest, HOSTS[0], 1));
        }
        let described = |name: &String| Guest {
            cpu_cores: Some(0.05),
            state_gib: Some(mib as f32 / 1024.0),
            ..toml::from_str(&format!("name = {name:?}")).unwrap()
        };
        let settings = Settings {
            guests: guests.iter().map(described).collect(),
            dirty_rate_every_s: 0.0,
            ..hosts.settings()
        };
        Some(Self { hosts, settings, guests, began, folder })
    }

    /// Writes settings with these limits of memory, GiB.
    pub fn configure(&mut self, memory_gib: [f32; 2]) {
        let host = |(name, memory_gib): (&str, f32)| Host {
            name: name.to_owned(),
            address: "127.0.0.1".to_owned(),
            memory_gib,
            cpu_cores: 2.0,
            bandwidth_gib_s: 8.0 / 1024.0,
            max_guests: None,
            zone: String::new(),
        };
        self.settings.hosts = HOSTS.into_iter().zip(memory_gib).map(host).collect();
        let text = format!(
            "mode = \"active\"\nstate = \"state\"\nlimits = \"limits.toml\"\n\
             interval_s = 1\npoll_s = 0.1\n\n\
             [moves]\ndeadline_factor = 1\ndeadline_least_s = 6\nrest_s = 0\n\n[web]\nlisten = \"\"\n\n{}",
            toml::to_string(&BTreeMap::from([("qemu", &self.settings)])).unwrap(),
        );
        fs::write(self.config(), text).unwrap();
        // Whoever was moved may be moved again at once.
        fs::write(self.folder.path().join("limits.toml"), "cooldown_ticks = 0\n").unwrap();
    }

    /// What begins a destination is this script from now on.
    pub fn begin_destinations_with(&mut self, script: PathBuf) {
        self.settings.spawn[0] = script.display().to_string();
    }

    /// Begins the program, with more arguments.
    pub fn live(&self, more: &[&str]) -> Running {
        let log = self.folder.path().join("log");
        let log = fs::File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_godwit-live"));
        command.arg("run").args(more).arg("--config").arg(self.config());
        Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    /// What the program has said so far, for whoever looks into a failure.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The journal so far.
    pub fn told(&self) -> Told {
        Told::of(&records(&self.folder.path().join("state")).unwrap_or_default())
    }

    /// The first order that has begun and is not over.
    pub fn under_way(&self) -> Order {
        self.wait("a move to begin", |told| told.orders.get(told.open.first()?).cloned())
    }

    /// Whether a move is under way within this time.
    pub fn moves_within(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            if !self.told().open.is_empty() {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Waits for something in the journal.
    pub fn wait<T>(&self, what: &str, ask: impl Fn(&Told) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = ask(&self.told()) {
                return answer;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Host of each guest that runs.
    ///
    /// # Panics
    /// When one runs at two places.
    pub fn places(&self) -> BTreeMap<String, &'static str> {
        let mut places = BTreeMap::new();
        for guest in &self.guests {
            for host in HOSTS {
                if self.hosts.state(guest, host).as_deref() == Some("running") {
                    let other = places.insert(guest.clone(), host);
                    assert_eq!(other, None, "{guest} runs twice\n{}", self.log());
                }
            }
        }
        places
    }

    /// Every guest runs at one place, has lost nothing and goes on; but for those that are lost.
    pub fn all_go_on(&self, lost: &[&str]) {
        let places = self.places();
        for guest in self.guests.iter().filter(|guest| !lost.contains(&guest.as_str())) {
            let host = places.get(guest);
            let host = host.unwrap_or_else(|| panic!("{guest} runs nowhere\n{}", self.log()));
            let now = self.hosts.record(guest, host).unwrap();
            let later = self.hosts.record_from(guest, host, now.counter + 10);
            let began = &self.began[guest];
            assert_eq!((later.boots, later.nonce, later.wrong_pages), (1, began.nonce, 0));
            assert!(now.counter >= began.counter, "{guest}");
        }
        for guest in lost {
            assert_eq!(places.get(*guest), None, "{guest} was lost");
        }
    }

    /// The journal says of every guest where it is.
    pub fn journal_is_true(&self) {
        let mut told: BTreeMap<String, &str> =
            self.guests.iter().map(|guest| (guest.clone(), HOSTS[0])).collect();
        for (order, outcome, reason) in &self.told().ended {
            let at = told.get(&order.workload).copied();
            match outcome {
                Outcome::Succeeded => {
                    assert_eq!(at, Some(order.source.as_str()), "{order:?}");
                    let host = HOSTS.into_iter().find(|host| *host == order.destination);
                    told.insert(order.workload.clone(), host.unwrap());
                }
                _ if reason.contains("nowhere") || reason == "the workload is gone" => {
                    told.remove(&order.workload);
                }
                _ => {}
            }
        }
        assert_eq!(told, self.places(), "\n{}", self.log());
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("live.toml")
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        self.hosts.end();
    }
}

/// What a journal says of moves.
pub struct Told {
    pub orders: BTreeMap<String, Order>,
    /// Those that were asked for and are not over.
    pub open: Vec<String>,
    /// Those that are over, in order, how and why.
    pub ended: Vec<(Order, Outcome, String)>,
}

impl Told {
    /// # Panics
    /// When an order was begun or ended twice.
    fn of(records: &[Record]) -> Self {
        let mut told = Self { orders: BTreeMap::new(), open: Vec::new(), ended: Vec::new() };
        let mut asked = Vec::new();
        for Record { event, .. } in records {
            match event {
                Event::Decided(decided) => {
                    for (at, planned) in decided.plan.moves.iter().enumerate() {
                        let order = Order::of(&decided.id, at, planned);
                        told.orders.insert(order.id.clone(), order);
                    }
                }
                Event::Intended { order } => {
                    assert!(!asked.contains(order), "{order} was asked for twice");
                    asked.push(order.clone());
                    told.open.push(order.clone());
                }
                Event::NotStarted { order, .. } => {
                    asked.retain(|of| of != order);
                    told.open.retain(|of| of != order);
                }
                Event::Ended { order, outcome, reason, .. } => {
                    let is_new = told.ended.iter().all(|(ended, ..)| ended.id != *order);
                    assert!(is_new, "{order} ended twice");
                    told.open.retain(|of| of != order);
                    told.ended.push((told.orders[order].clone(), *outcome, reason.clone()));
                }
                _ => {}
            }
        }
        told
    }

    /// How an order ended, once it has.
    pub fn end_of(&self, order: &Order) -> Option<(Outcome, String)> {
        let mut ended = self.ended.iter();
        let (_, outcome, reason) = ended.find(|(ended, ..)| ended.id == order.id)?;
        Some((*outcome, reason.clone()))
    }
}

/// Plays a strike again and again, two at a time, each with random numbers of its own: five times, or
/// as often as GODWIT_STRIKES says. How many hit what they were to hit, as a strike says of itself;
/// `None` is one that cannot be played here.
///
/// # Panics
/// When fewer than half of them hit.
pub fn again_and_again(strike: impl Fn(Xoshiro256PlusPlus) -> Option<bool> + Sync) -> usize {
    let [next, hits, played] = [(); 3].map(|()| AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= times() {
                        return;
                    }
                    let Some(hit) = strike(Xoshiro256PlusPlus::seed_from_u64(seed as u64)) else {
                        return;
                    };
                    played.fetch_add(1, Ordering::Relaxed);
                    hits.fetch_add(usize::from(hit), Ordering::Relaxed);
                }
            });
        }
    });
    let (hits, played) = (hits.into_inner(), played.into_inner());
    assert!(2 * hits >= played, "{hits} of {played}");
    hits
}

/// How often a strike is tried.
pub fn times() -> usize {
    env::var("GODWIT_STRIKES").ok().and_then(|times| times.parse().ok()).unwrap_or(5)
}
