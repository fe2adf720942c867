//! Carrying a move on, step by step, until it is settled.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::handover::{Step, next};
use super::measure::BYTES_PER_GIB;
use super::mover::{Mover, Route, Slot, later, unknown};
use super::presence::{self, Migration, Presence};
use super::qmp::QmpError;
use crate::cluster::{CallError, Figures, Order, Progress};

/// Between two looks at a move, so that its guest is handed over soon after it was copied.
const PAUSE: Duration = Duration::from_millis(50);

/// The same, after nobody could tell.
const LONG_PAUSE: Duration = Duration::from_secs(1);

/// Most steps at a time: the longest way through the table has four.
const MOST_STEPS: usize = 8;

impl Mover {
    /// Carries a move on by itself until it is settled or another one of the guest begins.
    pub fn follow(self: &Arc<Self>, order: &Order) {
        if let Ok(route) = self.route(order)
            && std::mem::replace(&mut self.slot(route.guest).followed, true)
        {
            return;
        }
        let (mover, followed) = (Arc::downgrade(self), order.clone());
        let name = format!("move {}", order.id);
        let begun = thread::Builder::new().name(name).spawn(move || carry_on(&mover, &followed));
        if let Err(error) = begun {
            tracing::warn!("{}: it is only carried on when it is asked about: {error}", order.id);
        }
    }

    /// Looks at a move, takes the steps that are due, and tells how it is getting on.
    ///
    /// # Errors
    /// When nobody can tell, or a step is not known to be done.
    pub fn advance(&self, order: &Order) -> Result<Progress, CallError> {
        let route = self.route(order)?;
        let mut slot = self.slot(route.guest);
        if slot.order != order.id {
            *slot = Slot { order: order.id.clone(), ..Slot::default() };
        }
        self.settle(&route, &mut slot)
    }

    fn settle(&self, route: &Route<'_>, slot: &mut Slot) -> Result<Progress, CallError> {
        if let Some(settled) = &slot.settled {
            return Ok(settled.clone());
        }
        for _ in 0..MOST_STEPS {
            let [source, destination] = [self.look(route.from), self.look(route.to)];
            if let Presence::There(sight) = &source {
                slot.note(&sight.migration);
            }
            let progress = match next(&source, &destination) {
                Step::Wait => return Ok(slot.running()),
                Step::AtSource => slot.at_source(&source),
                Step::AtDestination => Progress::Done(slot.figures()),
                Step::Nowhere(why) => match self.elsewhere(route) {
                    Some(host) => Progress::Elsewhere(host.to_owned()),
                    None => Progress::Lost(why),
                },
                Step::Unclear(why) => return Err(CallError::Unknown(why)),
                step => {
                    self.take(&step, route, slot, &source)?;
                    continue;
                }
            };
            if let Progress::Done(_) = progress
                && let Some(gib) = slot.first_round_gib
            {
                self.copied.remember(route.guest, gib);
            }
            slot.settled = Some(progress.clone());
            return Ok(progress);
        }
        Err(later("the processes of the guest change from look to look"))
    }

    /// Takes one step that changes something.
    fn take(
        &self,
        step: &Step,
        route: &Route<'_>,
        slot: &mut Slot,
        source: &Presence,
    ) -> Result<(), CallError> {
        let resumed = match step {
            Step::ResumeDestination => Some(route.destination),
            Step::ResumeSource => Some(route.source),
            _ => None,
        };
        if let Some(resumed) = resumed
            && let Some(host) = self.elsewhere(route)
        {
            let resumed = &self.fleet.settings.hosts[resumed].name;
            return Err(CallError::Unknown(format!(
                "the guest runs on {host}: it must not be resumed on {resumed} as well; end the \
                 wrong process by hand (`quit`)"
            )));
        }
        let done = match step {
            Step::MarkSource => presence::mark(route.from, self.fleet.time_out),
            Step::ResumeDestination => match self.tell(route.to, "cont") {
                Ok(()) => {
                    slot.resumed_at = Some(Instant::now());
                    Ok(())
                }
                // It said no, so it has not run. A source that is still there can.
                Err(QmpError::Refused(_, why)) if matches!(source, Presence::There(_)) => {
                    slot.went_back = Some(format!("the destination would not run: {why}"));
                    presence::unmark(route.from, self.fleet.time_out)
                        .and_then(|()| self.end(route.to))
                }
                Err(error) => Err(error),
            },
            Step::ResumeSource => {
                slot.went_back.get_or_insert_with(|| {
                    "the destination ended before the guest ran there".to_owned()
                });
                self.tell(route.from, "cont")
            }
            Step::EndSource => self.end(route.from),
            // The others change nothing.
            _ => self.end(route.to),
        };
        done.map_err(unknown)
    }
}

fn carry_on(mover: &Weak<Mover>, order: &Order) {
    while let Some(mover) = mover.upgrade() {
        let Ok(route) = mover.route(order) else { return };
        let mut slot = mover.slot(route.guest);
        if slot.order != order.id {
            return;
        }
        let pause = match mover.settle(&route, &mut slot) {
            Ok(Progress::Running { .. }) => PAUSE,
            Ok(_) => return,
            Err(_) => LONG_PAUSE,
        };
        drop(slot);
        drop(mover);
        thread::sleep(pause);
    }
}

impl Slot {
    /// Keeps what a source says of its migration, which ends with it.
    fn note(&mut self, migration: &Migration) {
        self.migration = migration.clone();
        let is_over = migration.ram.as_ref().is_some_and(|ram| ram.dirty_sync_count > 1);
        if is_over && self.first_round_gib.is_none() {
            self.first_round_gib = self.moved_gib();
        }
    }

    fn moved_gib(&self) -> Option<f32> {
        self.migration.ram.as_ref().map(|ram| ram.transferred as f32 / BYTES_PER_GIB)
    }

    fn running(&self) -> Progress {
        let ram = self.migration.ram.as_ref().filter(|ram| ram.total > 0);
        let share = ram.map(|ram| 1.0 - ram.remaining as f32 / ram.total as f32);
        Progress::Running { share, moved_gib: self.moved_gib() }
    }

    /// What a move took that is done. QEMU's downtime ends with the copying; the guest stood still
    /// until it was resumed.
    fn figures(&self) -> Figures {
        let seconds = |ms: f32| ms / 1000.0;
        let transfer_s = self.migration.total_time.map(seconds);
        let since = self.started.zip(self.resumed_at);
        let since = since.map(|(started, at)| at.saturating_duration_since(started).as_secs_f32());
        let stood = since.zip(transfer_s).map(|(since, transfer)| (since - transfer).max(0.0));
        let downtime = self.migration.downtime.map(seconds).zip(stood);
        Figures {
            transfer_s,
            moved_gib: self.moved_gib(),
            downtime_s: downtime.map(|(downtime, stood)| downtime + stood),
        }
    }

    /// How a move ended that left its guest at the source.
    fn at_source(&self, source: &Presence) -> Progress {
        let still = match source.runs() {
            true => String::new(),
            false => format!("; at its source, the guest is {}", source.describe()),
        };
        if let Some(why) = &self.went_back {
            return Progress::Failed(format!("{why}{still}"));
        }
        let why = match &*self.migration.status {
            "cancelled" if still.is_empty() => return Progress::Cancelled,
            "failed" if still.is_empty() && self.given_up => return Progress::Cancelled,
            "cancelled" => "the migration was given up",
            "failed" => self.migration.error_desc.as_deref().unwrap_or("the migration failed"),
            _ => "no migration of the guest is under way",
        };
        Progress::Failed(format!("{why}{still}"))
    }
}

#[cfg(test)]
mod tests;
