//! A cluster of numbers whose calls fail as they are told to.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use godwit_envs::snapshot::{Snapshot, SnapshotNode, SnapshotWorkload};
use godwit_envs::state::cluster::Health;
use godwit_live::clock::{Clock, PlayedClock};
use godwit_live::cluster::{
    CallError, Cluster, Executor, Figures, Handle, Order, Progress, Promises, Seen, Source,
    Whereabouts,
};
use godwit_live::config::{Mode, Moves, Settings};
use godwit_live::control::Control;
use godwit_live::desk::Desk;
use godwit_live::driver::{Driver, Pace};
use godwit_live::journal::Journal;

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// What it should.
    Works,
    /// Nothing; the cluster says no.
    Refuses,
    /// Nothing; the cluster says when to ask again.
    Later,
    /// Nothing, and there is no answer.
    Vanishes,
    /// What it should, and there is no answer.
    WorksSilently,
    /// What it should, and then this process ends.
    WorksAndCrashes,
    /// Nothing, as this process ends before it.
    Crashes,
}

/// How a move goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// It takes its time.
    Arrives,
    /// It comes back after half of it.
    Fails,
    /// It never ends by itself.
    Hangs,
}

/// A move in the cluster.
#[derive(Debug, Clone)]
pub struct Transfer {
    pub workload: String,
    pub destination: String,
    pub began_at_s: f64,
    pub course: Course,
    pub cancelled: bool,
}

/// The cluster.
pub struct Fake {
    pub clock: Arc<dyn Clock>,
    pub health: Vec<(String, Health)>,
    pub placement: HashMap<String, String>,
    pub demand: Vec<(String, f32)>,
    pub transfers: HashMap<String, Transfer>,
    /// How each order ended, where it did.
    pub ended: HashMap<String, Progress>,
    /// Orders that took effect, in order; one that is there twice was begun twice.
    pub begun: Vec<String>,
    /// What the next starts do, the first one first; then they work.
    pub starts: Vec<Call>,
    /// How the next moves go.
    pub courses: Vec<Course>,
    /// Length of a move, seconds.
    pub move_s: f64,
    /// Whether questions are answered.
    pub answers: bool,
}

pub type Shared = Arc<Mutex<Fake>>;

pub fn lock(fake: &Shared) -> MutexGuard<'_, Fake> {
    fake.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fake {
    /// Three nodes; all workloads on the first one.
    pub fn uneven(demands: &[f32]) -> Shared {
        let names = (0..demands.len()).map(|k| format!("w{k}"));
        Arc::new(Mutex::new(Self {
            clock: Arc::new(PlayedClock::new(1_800_000_000.0, f64::INFINITY)),
            health: ["a", "b", "c"].map(|name| (name.to_owned(), Health::Healthy)).into(),
            placement: names.clone().map(|name| (name, "a".to_owned())).collect(),
            demand: names.zip(demands.iter().copied()).collect(),
            transfers: HashMap::new(),
            ended: HashMap::new(),
            begun: Vec::new(),
            starts: Vec::new(),
            courses: Vec::new(),
            move_s: 10.0,
            answers: true,
        }))
    }

    /// Lets time pass.
    pub fn settle(&mut self) {
        let now_s = self.clock.now_s();
        let over: Vec<String> = (self.transfers.iter())
            .filter(|(_, transfer)| {
                let age_s = now_s - transfer.began_at_s;
                transfer.cancelled
                    || match transfer.course {
                        Course::Arrives => age_s >= self.move_s,
                        Course::Fails => age_s >= self.move_s / 2.0,
                        Course::Hangs => false,
                    }
            })
            .map(|(order, _)| order.clone())
            .collect();
        for order in over {
            let Some(transfer) = self.transfers.remove(&order) else { continue };
            let end = match transfer.course {
                _ if transfer.cancelled => Progress::Cancelled,
                Course::Arrives => {
                    self.placement.insert(transfer.workload, transfer.destination);
                    Progress::Done(Figures {
                        transfer_s: Some(self.move_s as f32),
                        moved_gib: Some(1.0),
                        downtime_s: Some(0.1),
                    })
                }
                Course::Fails | Course::Hangs => Progress::Failed("it broke off".to_owned()),
            };
            self.ended.insert(order, end);
        }
    }

    fn begin(&mut self, order: &Order) {
        let course = if self.courses.is_empty() { Course::Arrives } else { self.courses.remove(0) };
        self.begun.push(order.id.clone());
        let transfer = Transfer {
            workload: order.workload.clone(),
            destination: order.destination.clone(),
            began_at_s: self.clock.now_s(),
            course,
            cancelled: false,
        };
        self.transfers.insert(order.id.clone(), transfer);
    }

    fn snapshot(&mut self) -> Snapshot {
        self.settle();
        let node = |(name, health): &(String, Health)| SnapshotNode {
            name: name.clone(),
            supply: vec![10.0],
            health: *health,
            ..SnapshotNode::default()
        };
        let workload = |(name, demand): &(String, f32)| SnapshotWorkload {
            name: name.clone(),
            node: Some(self.placement[name].clone()),
            demand: vec![*demand],
            ..SnapshotWorkload::default()
        };
        Snapshot {
            resources: vec!["cpu".to_owned()],
            nodes: self.health.iter().map(node).collect(),
            workloads: self.demand.iter().map(workload).collect(),
            taken_at_s: Some(self.clock.now_s()),
            ..Snapshot::default()
        }
    }
}

/// The cluster as a source and as an executor.
pub struct Eyes(pub Shared);
pub struct Hands(pub Shared);

impl Source for Eyes {
    fn look(&mut self) -> Result<Seen, CallError> {
        let mut fake = lock(&self.0);
        match fake.answers {
            true => Ok(Seen { snapshot: fake.snapshot(), notes: Vec::new() }),
            false => Err(CallError::Unknown("no route".to_owned())),
        }
    }
}

impl Executor for Hands {
    fn promises(&self) -> Promises {
        Promises {
            state_is_kept: true,
            destination_is_kept: true,
            can_be_cancelled: true,
            is_measured: true,
        }
    }

    fn start(&self, order: &Order) -> Result<Handle, CallError> {
        let mut fake = lock(&self.0);
        fake.settle();
        let call = if fake.starts.is_empty() { Call::Works } else { fake.starts.remove(0) };
        let does = matches!(call, Call::Works | Call::WorksSilently | Call::WorksAndCrashes);
        if does {
            fake.begin(order);
        }
        drop(fake);
        match call {
            Call::Works => Ok(Handle(order.id.clone())),
            Call::Refuses => Err(CallError::Refused("not this one".to_owned())),
            Call::Later => Err(CallError::Later {
                reason: "locked".to_owned(),
                after: Some(Duration::from_secs(3)),
            }),
            Call::Vanishes | Call::WorksSilently => Err(CallError::Unknown("timed out".to_owned())),
            Call::WorksAndCrashes | Call::Crashes => panic!("this process ends here"),
        }
    }

    fn watch(&self, order: &Order, _: &Handle) -> Result<Progress, CallError> {
        let mut fake = lock(&self.0);
        fake.settle();
        if !fake.answers {
            return Err(CallError::Unknown("no route".to_owned()));
        }
        if fake.transfers.contains_key(&order.id) {
            return Ok(Progress::Running { share: Some(0.5), moved_gib: None });
        }
        match fake.ended.get(&order.id) {
            Some(end) => Ok(end.clone()),
            None => Err(CallError::Refused("there is no such move".to_owned())),
        }
    }

    fn cancel(&self, order: &Order, _: &Handle) -> Result<(), CallError> {
        let mut fake = lock(&self.0);
        if let Some(transfer) = fake.transfers.get_mut(&order.id) {
            transfer.cancelled = true;
        }
        Ok(())
    }

    fn find(&self, order: &Order) -> Result<Whereabouts, CallError> {
        let mut fake = lock(&self.0);
        fake.settle();
        if !fake.answers {
            return Err(CallError::Unknown("no route".to_owned()));
        }
        match fake.transfers.contains_key(&order.id) {
            true => Ok(Whereabouts::UnderWay(Handle(order.id.clone()))),
            false => Ok(Whereabouts::At(fake.placement[&order.workload].clone())),
        }
    }
}

/// A loop over the cluster, whose journal lies in a folder; for the policy that comes with the program.
pub fn driver(fake: &Shared, folder: &Path) -> (Driver, Arc<Control>) {
    driver_with(fake, folder, Moves::default())
}

/// The same with other settings of moves.
pub fn driver_with(fake: &Shared, folder: &Path, moves: Moves) -> (Driver, Arc<Control>) {
    let text = format!("state = {:?}\nthink_ms = 0\n", folder.display().to_string());
    let settings = Settings::from_toml(&text, "test").unwrap();
    let journal = Journal::open(folder).unwrap();
    let desk = Desk::open(&settings, journal.ledger().demoted).unwrap();
    let control = Arc::new(Control::default());
    let cluster = Cluster {
        source: Box::new(Eyes(Arc::clone(fake))),
        executor: Some(Arc::new(Hands(Arc::clone(fake)))),
    };
    let clock = Arc::clone(&lock(fake).clock);
    let pace = Pace { mode: Mode::Active, interval_s: 30.0, poll_s: 1.0, moves };
    (Driver::new(cluster, desk, journal, clock, Arc::clone(&control), pace), control)
}

/// Runs until nothing is left to be done, for an hour at most.
pub fn settle(driver: &mut Driver, fake: &Shared) {
    let until_s = lock(fake).clock.now_s() + 3600.0;
    driver.run(|driver| driver.is_settled() || lock(fake).clock.now_s() > until_s).unwrap();
}
