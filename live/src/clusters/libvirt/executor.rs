//! Live migration of domains between hosts with libvirt.
//!
//! A migration is one long call of `virsh`. It asks the source's libvirt to do the work from host to
//! host (`--p2p`), so that the migration goes on whatever becomes of that call. How it is getting on
//! is asked of both hosts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use godwit_models::plan::Method;

use super::parse::{self, Job, State};
use super::settings::Host;
use super::virsh::{Virsh, complained, failed};
use crate::cluster::{
    CallError, Executor, Figures, Handle, Order, Progress, Promises, Whereabouts,
};
use crate::program::Running;

/// How often a migration that was asked for is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// Longest that a migration may take; after that `virsh` is no longer waited for.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Begins migrations and looks where domains are.
pub(super) struct LibvirtExecutor {
    virsh: Arc<Virsh>,
    /// What `virsh` complained about at the end of failed migrations, by the ids of their orders. For
    /// people: no decision depends on it.
    complaints: Arc<Mutex<HashMap<String, String>>>,
}

/// Where a domain of an order is.
struct Places {
    source: Option<State>,
    destination: Option<State>,
}

impl LibvirtExecutor {
    pub(super) fn new(virsh: Arc<Virsh>) -> Self {
        Self { virsh, complaints: Arc::default() }
    }

    /// State of a domain on a host; `None` where the host does not know it.
    fn state(&self, host: &Host, domain: &str) -> Result<Option<State>, CallError> {
        match self.virsh.ask(host, &["domstate", "--domain", domain]) {
            Ok(text) => Ok(Some(parse::state(&text))),
            Err(CallError::Refused(why)) if why.contains("failed to get domain") => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn places(&self, order: &Order) -> Result<Places, CallError> {
        let [source, destination] = [&order.source, &order.destination]
            .map(|name| self.virsh.host(name).and_then(|host| self.state(host, &order.workload)));
        Ok(Places { source: source?, destination: destination? })
    }

    /// The job of a domain on its source; none where the domain is not there any more.
    fn job(&self, order: &Order) -> Result<Job, CallError> {
        let host = self.virsh.host(&order.source)?;
        match self.virsh.ask(host, &["domjobinfo", "--domain", &order.workload]) {
            Ok(text) => Ok(parse::job(&text)),
            Err(CallError::Refused(_)) => Ok(Job::default()),
            Err(error) => Err(error),
        }
    }

    /// What the destination measured of the last migration to it, where it says so.
    fn figures(&self, order: &Order) -> Figures {
        let host = self.virsh.host(&order.destination);
        let arguments = ["domjobinfo", "--domain", &order.workload, "--completed"];
        let Ok(text) = host.and_then(|host| self.virsh.ask(host, &arguments)) else {
            return Figures::default();
        };
        let job = parse::job(&text);
        Figures {
            transfer_s: job.elapsed_s.map(|s| s as f32),
            moved_gib: job.processed.map(|(done, _)| done as f32),
            downtime_s: job.downtime_s.map(|s| s as f32),
        }
    }

    /// Where the domain runs among the hosts that are neither source nor destination.
    fn elsewhere(&self, order: &Order) -> Result<Option<String>, CallError> {
        for host in &self.virsh.settings().hosts {
            if host.name != order.source
                && host.name != order.destination
                && self.state(host, &order.workload)? == Some(State::Running)
            {
                return Ok(Some(host.name.clone()));
            }
        }
        Ok(None)
    }

    /// The domain is on its source, and nothing is under way: why, as far as anyone has heard.
    fn failure(&self, order: &Order) -> Progress {
        let complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        match complaints.get(&order.id) {
            Some(why) if why.contains("canceled by client") => Progress::Cancelled,
            Some(why) => Progress::Failed(why.clone()),
            None => Progress::Failed(format!("no migration is under way on {}", order.source)),
        }
    }

    fn migrate(&self, order: &Order) -> Result<(Running, [String; 2]), CallError> {
        let [source, destination] =
            [&order.source, &order.destination].map(|name| self.virsh.host(name));
        let (source, destination) = (source?, destination?);
        let settings = self.virsh.settings();
        let uri = destination.peer_uri.as_ref().unwrap_or(&destination.uri);
        let mut arguments =
            vec!["migrate", "--live", "--persistent", "--undefinesource", "--verbose", "--p2p"];
        if settings.copy_storage {
            arguments.push("--copy-storage-all");
        }
        let limit = settings.bandwidth_limit_mib_s.map(|limit| limit.to_string());
        if let Some(limit) = &limit {
            arguments.extend(["--bandwidth", limit]);
        }
        arguments.extend(["--domain", &order.workload, "--desturi", uri]);
        let running = Running::start(self.virsh.command(source, &arguments), "")
            .map_err(|error| failed(source, &arguments, &error))?;
        Ok((running, [order.id.clone(), source.name.clone()]))
    }

    /// Waits, beside everything else, for the end of a migration.
    fn attend(&self, mut running: Running, [order, source]: [String; 2]) {
        let complaints = self.complaints.clone();
        thread::spawn(move || {
            let Ok(Some(output)) = running.ended_by(Instant::now() + LONGEST) else { return };
            if !output.success {
                let complaint = output.complaint();
                tracing::warn!(order, source, complaint, "a migration failed");
                complaints.lock().unwrap_or_else(PoisonError::into_inner).insert(order, complaint);
            }
        });
    }
}

impl Executor for LibvirtExecutor {
    fn promises(&self) -> Promises {
        Promises {
            state_is_kept: true,
            destination_is_kept: true,
            can_be_cancelled: true,
            is_measured: true,
        }
    }

    fn start(&self, order: &Order) -> Result<Handle, CallError> {
        let domain = &order.workload;
        if order.method == Method::ColdRestart {
            let why =
                format!("{domain}: libvirt cannot restart a domain of a host that has failed");
            return Err(CallError::Refused(why));
        }
        let places = self.places(order)?;
        if places.source != Some(State::Running) {
            let why = format!("expected {domain} to run on {}, got another state", order.source);
            return Err(CallError::Refused(why));
        }
        if self.job(order)?.active {
            let reason = format!("{domain} has a job under way on {}", order.source);
            return Err(CallError::Later { reason, after: None });
        }
        if places.destination.is_some() {
            let why = format!("expected no {domain} on {}, got one", order.destination);
            return Err(CallError::Refused(why));
        }
        let (mut running, names) = self.migrate(order)?;
        let handle = Handle(order.id.clone());
        // From here on the migration is under way, has ended, or was never begun: wait until it shows.
        let deadline = Instant::now() + self.virsh.limit();
        while Instant::now() < deadline {
            let source = self.virsh.host(&order.source)?;
            match running.ended_by(Instant::now() + LOOK) {
                Ok(Some(output)) if output.success => return Ok(handle),
                Ok(Some(output)) => return Err(complained(source, &["migrate"], &output)),
                Err(error) => return Err(failed(source, &["migrate"], &error)),
                Ok(None) => {}
            }
            if self.job(order).is_ok_and(|job| job.active && job.moves) {
                self.attend(running, names);
                return Ok(handle);
            }
        }
        // It is let go on: it may be about to begin.
        self.attend(running, names);
        Err(CallError::Unknown(format!("{domain}: no migration shows on {}", order.source)))
    }

    fn watch(&self, order: &Order, _handle: &Handle) -> Result<Progress, CallError> {
        let job = match self.job(order) {
            Ok(job) => job,
            // A source that does not answer may have given the domain away before.
            Err(error) => {
                let host = self.virsh.host(&order.destination)?;
                return match self.state(host, &order.workload)? {
                    Some(State::Running) => Ok(Progress::Done(self.figures(order))),
                    _ => Err(error),
                };
            }
        };
        if job.active && job.moves {
            return Ok(under_way(&job));
        }
        let domain = &order.workload;
        let places = self.places(order)?;
        match (places.source, places.destination) {
            (Some(State::Running), Some(State::Running)) => {
                Err(CallError::Unknown(format!("{domain} runs on both hosts")))
            }
            (_, Some(State::Running)) => Ok(Progress::Done(self.figures(order))),
            (Some(State::Running), _) => {
                // It may have begun between the two questions.
                let job = self.job(order)?;
                Ok(if job.active { under_way(&job) } else { self.failure(order) })
            }
            // Between the end of the copying and the first moment on the destination.
            (_, Some(State::Paused)) => Ok(under_way(&job)),
            (Some(State::Paused), _) => {
                Ok(Progress::Failed(format!("{domain} is paused on {}", order.source)))
            }
            _ => Ok(match self.elsewhere(order)? {
                Some(node) => Progress::Elsewhere(node),
                None => Progress::Lost(format!("{domain} runs on no host")),
            }),
        }
    }

    fn cancel(&self, order: &Order, _handle: &Handle) -> Result<(), CallError> {
        let host = self.virsh.host(&order.source)?;
        self.virsh.ask(host, &["domjobabort", "--domain", &order.workload]).map(|_| ())
    }

    fn find(&self, order: &Order) -> Result<Whereabouts, CallError> {
        let job = self.job(order)?;
        if job.active && job.moves {
            return Ok(Whereabouts::UnderWay(Handle(order.id.clone())));
        }
        let places = self.places(order)?;
        Ok(match (places.source, places.destination) {
            (_, Some(State::Running)) => Whereabouts::At(order.destination.clone()),
            (Some(State::Running | State::Paused), None | Some(State::Off))
            | (Some(State::Running), _) => Whereabouts::At(order.source.clone()),
            (_, Some(State::Paused)) => Whereabouts::UnderWay(Handle(order.id.clone())),
            _ => self.elsewhere(order)?.map_or(Whereabouts::Nowhere, Whereabouts::At),
        })
    }
}

fn under_way(job: &Job) -> Progress {
    let share =
        |(done, all): (f64, f64)| if all > 0.0 { (done / all).min(1.0) as f32 } else { 0.0 };
    Progress::Running {
        share: job.processed.map(share),
        moved_gib: job.processed.map(|(done, _)| done as f32),
    }
}
