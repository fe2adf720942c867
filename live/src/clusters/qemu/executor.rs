//! Moves of guests, as the loop asks for them.

use std::sync::Arc;

use godwit_models::plan::Method;

use super::fleet::Fleet;
use super::measure::Copied;
use super::mover::{Mover, Slot, unknown};
use super::presence::{Presence, State};
use crate::cluster::{CallError, Executor, Handle, Order, Progress, Promises, Whereabouts};

/// Moves guests.
pub struct Qemu(Arc<Mover>);

impl Qemu {
    /// Moves the guests of this fleet.
    pub fn new(fleet: Arc<Fleet>) -> Self {
        Self(Arc::new(Mover::new(fleet)))
    }

    /// What the last moves copied of each guest.
    pub fn copied(&self) -> Copied {
        self.0.copied.clone()
    }
}

impl Executor for Qemu {
    fn promises(&self) -> Promises {
        Promises {
            state_is_kept: true,
            destination_is_kept: true,
            can_be_cancelled: true,
            is_measured: true,
        }
    }

    fn start(&self, order: &Order) -> Result<Handle, CallError> {
        if order.method != Method::Live {
            let why = "expected a live move, got a cold restart: begin the guest anew by hand";
            return Err(CallError::Refused(why.to_owned()));
        }
        let route = self.0.route(order)?;
        let mut slot = self.0.slot(route.guest);
        let started = Some(self.0.begin(&route, order)?);
        *slot = Slot { order: order.id.clone(), started, ..Slot::default() };
        drop(slot);
        self.0.follow(order);
        Ok(Handle(order.id.clone()))
    }

    fn watch(&self, order: &Order, _: &Handle) -> Result<Progress, CallError> {
        let progress = self.0.advance(order)?;
        if matches!(progress, Progress::Running { .. }) {
            // After a crash, nobody does yet.
            self.0.follow(order);
        }
        Ok(progress)
    }

    fn cancel(&self, order: &Order, _: &Handle) -> Result<(), CallError> {
        let route = self.0.route(order)?;
        let mut slot = self.0.slot(route.guest);
        match self.0.look(route.from) {
            Presence::There(sight) if sight.migrates() => {
                slot.given_up = true;
                self.0.tell(route.from, "migrate_cancel").map_err(unknown)
            }
            // It is over, one way or the other.
            Presence::There(_) => Ok(()),
            Presence::Silent(why) => Err(CallError::Unknown(why)),
            // A destination that still waits for the rest waits in vain.
            Presence::Absent => match self.0.look(route.to) {
                Presence::There(sight) if sight.state == State::Waiting => {
                    self.0.end(route.to).map_err(unknown)
                }
                _ => Ok(()),
            },
        }
    }

    fn find(&self, order: &Order) -> Result<Whereabouts, CallError> {
        let route = self.0.route(order)?;
        // Whoever asks where a guest is wants to know it now.
        self.0.slot(route.guest).settled = None;
        Ok(match self.0.advance(order)? {
            Progress::Running { .. } => {
                self.0.follow(order);
                Whereabouts::UnderWay(Handle(order.id.clone()))
            }
            Progress::Done(_) => Whereabouts::At(order.destination.clone()),
            Progress::Failed(_) | Progress::Cancelled => Whereabouts::At(order.source.clone()),
            Progress::Elsewhere(host) => Whereabouts::At(host),
            Progress::Lost(_) => Whereabouts::Nowhere,
        })
    }
}
