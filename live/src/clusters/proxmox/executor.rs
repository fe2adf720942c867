//! Migrations of Proxmox guests, as tasks of the cluster.

use std::sync::Arc;

use godwit_models::plan::Method;
use serde::Deserialize;

use super::api::{Api, later};
use super::guest::{Guest, Kind, node};
use super::resources::Resource;
use super::settings::Settings;
use super::task::{Line, Listed, Status, Told, Upid, is_well};
use crate::cluster::{
    CallError, Executor, Figures, Handle, Order, Progress, Promises, Whereabouts,
};

/// Lines at the end of a log that are read: more than a migration writes after its last transfer.
const LINES: u64 = 50;
/// How often a guest is looked for that moves on meanwhile.
const LOOKS: u32 = 3;

/// Begins migrations and watches their tasks.
pub(super) struct ProxmoxExecutor {
    api: Arc<Api>,
    settings: Settings,
}

/// Where a guest is.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    /// It runs there; with its lock, and its state for the HA manager.
    Runs { on: String, lock: Option<String>, ha: Option<String> },
    /// It belongs there, and does not run; why.
    Off { on: String, why: String },
}

#[derive(Deserialize)]
struct Current {
    status: String,
    #[serde(default)]
    lock: Option<String>,
    #[serde(default)]
    ha: Ha,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ha {
    state: Option<String>,
}

#[derive(Deserialize)]
struct Clock {
    time: u64,
}

impl ProxmoxExecutor {
    pub(super) fn new(api: Arc<Api>, settings: Settings) -> Self {
        Self { api, settings }
    }

    fn place(&self, guest: Guest) -> Result<Place, CallError> {
        for _ in 0..LOOKS {
            match self.place_now(guest) {
                // It has moved on between the two questions.
                Err(CallError::Refused(why)) if why.contains("does not exist") => {}
                place => return place,
            }
        }
        Err(later(format!("{guest} is shown on nodes that do not have it")))
    }

    fn place_now(&self, guest: Guest) -> Result<Place, CallError> {
        let rows: Vec<Resource> = self.api.get("/cluster/resources")?;
        let name = guest.to_string();
        let Some(row) = rows.iter().find(|row| row.id == name) else {
            return Err(CallError::Unknown(format!(
                "expected {name} in the cluster, got no word of it: was it removed, or may the token \
                 no longer see it?"
            )));
        };
        let on = row.node.clone();
        let is_it = |other: &&Resource| other.r#type == "node" && other.node == on;
        if rows.iter().find(is_it).is_some_and(|other| other.status == "offline") {
            return Ok(Place::Off { why: format!("its node {on} is offline"), on });
        }
        let path = format!("/nodes/{}/{guest}/status/current", node(&on)?);
        // Of the state that the list of resources shows, some is ten seconds old.
        let now: Current = self.api.get(&path)?;
        Ok(match now.status.as_str() {
            "running" => Place::Runs { on, lock: now.lock, ha: now.ha.state },
            state => Place::Off { why: format!("it is {state} on {on}"), on },
        })
    }

    /// The newest tasks of a guest on a node that moved it or are doing so, newest first.
    fn moves(&self, on: &str, guest: Guest) -> Result<Vec<(Upid, Listed)>, CallError> {
        let path = format!("/nodes/{}/tasks?source=all&limit=50&vmid={}", node(on)?, guest.vmid);
        let listed: Vec<Listed> = self.api.get(&path)?;
        let mut moves = Vec::new();
        for task in listed {
            let upid = Upid::parse(&task.upid)?;
            if upid.moves() {
                moves.push((upid, task));
            }
        }
        moves.sort_by_key(|(upid, _)| std::cmp::Reverse(upid.began()));
        Ok(moves)
    }

    /// The migration that the HA manager began after it was asked to.
    fn begun_for(&self, asked: &Upid, guest: Guest) -> Result<Option<(Upid, Listed)>, CallError> {
        let moves = self.moves(&asked.node, guest)?;
        let mut later_ones = moves
            .into_iter()
            .filter(|(upid, _)| !upid.is_handed_over() && upid.began() >= asked.began());
        Ok(later_ones.next_back())
    }

    /// Whether the HA manager may still begin with what it was asked for.
    fn may_begin(&self, asked: &Upid, ha: Option<&str>) -> Result<bool, CallError> {
        if matches!(ha, Some("migrate" | "relocate")) {
            return Ok(true);
        }
        let now: Clock = self.api.get(&format!("/nodes/{}/time", asked.node))?;
        Ok(now.time < asked.start_s + u64::from(self.settings.ha_wait_s))
    }

    fn told(&self, upid: &Upid) -> Result<Told, CallError> {
        let page = |start| {
            let path = format!("{}/log?start={start}&limit={LINES}", upid.path());
            self.api.page::<Vec<Line>>(&path)
        };
        let first = page(0)?;
        let all = first.total.unwrap_or(0);
        let lines = if all > LINES { page(all - LINES)?.data } else { first.data };
        Ok(Told::read(&lines))
    }

    fn running(&self, upid: &Upid) -> Result<Progress, CallError> {
        let transferred = self.told(upid)?.transferred;
        Ok(Progress::Running {
            share: transferred
                .map(|(done, all)| if all > 0.0 { (done / all).min(1.0) as f32 } else { 0.0 }),
            moved_gib: transferred.map(|(done, _)| done as f32),
        })
    }

    /// What came of a move whose task has ended, by where the guest is now.
    fn ended(
        &self,
        order: &Order,
        guest: Guest,
        upid: &Upid,
        exit: &str,
    ) -> Result<Progress, CallError> {
        let told = self.told(upid)?;
        Ok(match self.place(guest)? {
            Place::Off { why, .. } => Progress::Lost(why),
            Place::Runs { on, .. } if on == order.destination => Progress::Done(told.figures),
            Place::Runs { on, .. } if on != order.source => Progress::Elsewhere(on),
            Place::Runs { .. } if told.interrupted => Progress::Cancelled,
            Place::Runs { .. } => {
                let why = told.complaint.filter(|_| !is_well(exit));
                let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
                Progress::Failed(format!("the migration's task ended with {exit:?}{why}"))
            }
        })
    }

    /// What came of a move that was handed to the HA manager.
    fn handed_over(
        &self,
        order: &Order,
        guest: Guest,
        asked: &Upid,
    ) -> Result<Progress, CallError> {
        match self.begun_for(asked, guest)? {
            Some((upid, task)) if task.endtime.is_none() => return self.running(&upid),
            Some((upid, task)) => {
                return self.ended(
                    order,
                    guest,
                    &upid,
                    task.status.as_deref().unwrap_or("no state"),
                );
            }
            None => {}
        }
        Ok(match self.place(guest)? {
            Place::Off { why, .. } => Progress::Lost(why),
            Place::Runs { on, .. } if on == order.destination => Progress::Done(Figures::default()),
            Place::Runs { on, .. } if on != order.source => Progress::Elsewhere(on),
            Place::Runs { ha, .. } if self.may_begin(asked, ha.as_deref())? => {
                Progress::Running { share: None, moved_gib: None }
            }
            Place::Runs { .. } => Progress::Failed(format!(
                "the HA manager did not begin with it within {} s",
                self.settings.ha_wait_s
            )),
        })
    }

    fn form(&self, kind: Kind, destination: &str) -> Vec<(&'static str, String)> {
        let mut form = vec![("target", destination.to_owned())];
        form.push(match kind {
            Kind::Qemu => ("online", "1".to_owned()),
            Kind::Lxc => ("restart", "1".to_owned()),
        });
        if let Some(mib) = self.settings.bwlimit_mib_s {
            form.push(("bwlimit", (u64::from(mib) * 1024).to_string()));
        }
        if kind == Kind::Qemu && self.settings.with_local {
            form.push(("with-local-disks", "1".to_owned()));
        }
        form
    }
}

impl Executor for ProxmoxExecutor {
    fn promises(&self) -> Promises {
        Promises {
            state_is_kept: !self.settings.containers,
            destination_is_kept: true,
            can_be_cancelled: true,
            is_measured: true,
        }
    }

    fn start(&self, order: &Order) -> Result<Handle, CallError> {
        let guest = Guest::parse(&order.workload)?;
        let refuse = |why: String| Err(CallError::Refused(why));
        if order.method == Method::ColdRestart {
            return refuse(format!(
                "{guest}: only the HA manager can restart a guest of a node that has failed"
            ));
        }
        if guest.kind == Kind::Lxc && !self.settings.containers {
            return refuse(format!("{guest} is a container, and `containers` is off"));
        }
        node(&order.destination)?;
        match self.place(guest)? {
            Place::Runs { on, .. } if on != order.source => {
                return refuse(format!("expected {guest} on {}, got {on}", order.source));
            }
            Place::Off { why, .. } => {
                return refuse(format!("expected {guest} to run, got: {why}"));
            }
            Place::Runs { lock: Some(lock), .. } => {
                return Err(later(format!("{guest} is locked ({lock})")));
            }
            Place::Runs { ha: Some(state), .. } if state != "started" => {
                return Err(later(format!("the HA manager has {guest} in the state {state}")));
            }
            Place::Runs { .. } => {}
        }
        let under_way = |(_, task): &(Upid, Listed)| task.endtime.is_none();
        if let Some((upid, _)) =
            self.moves(&order.source, guest)?.iter().find(|task| under_way(task))
        {
            return Err(later(format!("{guest} is being moved by {}", upid.text)));
        }
        let form = self.form(guest.kind, &order.destination);
        let form: Vec<(&str, &str)> =
            form.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let path = format!("/nodes/{}/{guest}/migrate", order.source);
        self.api.post(&path, &form).map(Handle)
    }

    fn watch(&self, order: &Order, handle: &Handle) -> Result<Progress, CallError> {
        let guest = Guest::parse(&order.workload)?;
        let upid = Upid::parse(&handle.0)?;
        let status: Status = match self.api.get(&(upid.path() + "/status")) {
            Ok(status) => status,
            // The node that knew the task may be gone: where the guest is tells what came of it.
            Err(error) => {
                return match self.place(guest)? {
                    Place::Off { why, .. } => Ok(Progress::Lost(why)),
                    Place::Runs { on, .. } if on == order.source => Err(error),
                    Place::Runs { on, .. } if on == order.destination => {
                        Ok(Progress::Done(Figures::default()))
                    }
                    Place::Runs { on, .. } => Ok(Progress::Elsewhere(on)),
                };
            }
        };
        let exit = match (status.status.as_str(), status.exitstatus.as_deref()) {
            ("running", _) => return self.running(&upid),
            (_, exit) => exit.unwrap_or("no exit status"),
        };
        if upid.is_handed_over() && is_well(exit) {
            return self.handed_over(order, guest, &upid);
        }
        self.ended(order, guest, &upid, exit)
    }

    fn cancel(&self, order: &Order, handle: &Handle) -> Result<(), CallError> {
        let guest = Guest::parse(&order.workload)?;
        let mut upid = Upid::parse(&handle.0)?;
        if upid.is_handed_over() {
            match self.begun_for(&upid, guest)? {
                Some((begun, _)) => upid = begun,
                None => {
                    return Err(later(format!(
                        "{guest}: the HA manager has not begun yet, and cannot be asked to forget it"
                    )));
                }
            }
        }
        self.api.delete(&upid.path())
    }

    fn find(&self, order: &Order) -> Result<Whereabouts, CallError> {
        let guest = Guest::parse(&order.workload)?;
        let place = self.place(guest)?;
        let (on, ha) = match &place {
            Place::Runs { on, ha, .. } => (on, ha.as_deref()),
            Place::Off { on, .. } => (on, None),
        };
        if *on == order.source {
            // A source that does not answer has no task that could go on.
            let moves = match (self.moves(on, guest), &place) {
                (Ok(moves), _) => moves,
                (Err(_), Place::Off { .. }) => Vec::new(),
                (Err(error), _) => return Err(error),
            };
            for (upid, task) in &moves {
                let asked = upid.is_handed_over() && task.status.as_deref().is_some_and(is_well);
                let waits =
                    asked && self.begun_for(upid, guest)?.is_none() && self.may_begin(upid, ha)?;
                if task.endtime.is_none() || waits {
                    return Ok(Whereabouts::UnderWay(Handle(upid.text.clone())));
                }
            }
        }
        Ok(match place {
            Place::Runs { on, .. } => Whereabouts::At(on),
            Place::Off { .. } => Whereabouts::Nowhere,
        })
    }
}
