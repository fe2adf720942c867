//! What a snapshot of today's format cannot say: told in notes, and kept safe by letting workloads stay.

use godwit_envs::snapshot::{Snapshot, SnapshotWorkload};
use godwit_envs::state::cluster::Health;

use super::super::objects::{Budget, Pod};
use super::super::settings::Settings;
use super::classes::Reach;
use super::groups::Groups;
use super::holds::Hold;
use super::notes::Notes;
use super::rules::Place;

pub(super) struct Beyond {
    closed: Vec<bool>,
}

impl Beyond {
    pub(super) fn new(places: &[Place<'_>], _settings: &Settings) -> Self {
        Self { closed: places.iter().map(|place| place.node.cordoned).collect() }
    }
    pub(super) fn waits(&mut self, _pod: &Pod, name: &str, notes: &mut Notes) {
        notes.waits(name);
    }
    pub(super) fn holds_a_place(&mut self, _node: usize) {}
    pub(super) fn shares_a_place(&mut self, _node: usize) {}
    pub(super) fn reach(&self, workload: &mut SnapshotWorkload, reach: &Reach, hold: &mut Option<Hold>) {
        match reach {
            Reach::Anywhere => {}
            Reach::Classes(names) => workload.classes.clone_from(names),
            Reach::Nodes(_) => *hold = Some(Hold::NoNode),
        }
    }
    pub(super) fn groups(&self, _: &mut SnapshotWorkload, groups: &Groups, hold: &mut Option<Hold>) {
        if groups.zone.is_some() || groups.spread.is_some() {
            hold.get_or_insert(Hold::Spread);
        }
    }
    pub(super) fn finish(&self, snapshot: &mut Snapshot, _budgets: &[&Budget]) {
        for (node, closed) in snapshot.nodes.iter_mut().zip(&self.closed) {
            if *closed && node.health == Health::Healthy {
                node.health = Health::Draining;
            }
        }
    }
}
