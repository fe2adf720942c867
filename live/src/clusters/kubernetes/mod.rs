//! Kubernetes: seen through its API server; its pods start anew elsewhere, and KubeVirt's machines
//! migrate live.

mod api;
mod moves;
mod objects;
mod open_error;
pub mod rights;
mod seen;
mod settings;
mod source;
mod watching;

use std::sync::{Arc, Mutex};

use godwit_envs::input::InputError;

use crate::cluster::{Cluster, Seen};
use api::Api;
use moves::{Moves, Records, Restart, restore};
use objects::{Kinds, Objects};
use seen::{Ordinals, Time, snapshot_of};
use source::{KubernetesSource, now_s};
use watching::{World, tasks};

pub use open_error::OpenError;
pub use settings::{Claims, Cordoned, Demand, LocalVolumes, MoveBy, Settings};

/// Opens a cluster, and begins to follow it. `resources` are the names of the snapshot's m kinds.
///
/// # Errors
/// When a setting is out of range, the kubeconfig cannot be used, or the orders that were written down
/// before cannot be read.
pub fn open(settings: &Settings, resources: &[String]) -> Result<Cluster, OpenError> {
    check(settings)?;
    let api = Api::open(settings)?;
    let kinds = Kinds::new(resources, settings);
    let world = Arc::new(Mutex::new(World::new(kinds, settings)));
    let records = Records { api: api.clone(), namespace: settings.orders_namespace.clone() };
    if settings.move_by != MoveBy::Kubevirt {
        let orders = records.all(now_s()).map_err(|failure| OpenError::Orders {
            namespace: settings.orders_namespace.clone(),
            failure,
        })?;
        restore(&orders, &world);
    }
    for task in tasks(&api.client(), &world) {
        api.spawn(task);
    }
    let restart = Restart {
        api: api.clone(),
        world: Arc::clone(&world),
        records,
        by: settings.move_by,
        deadline_s: settings.restart_deadline_s,
    };
    let source =
        KubernetesSource { settings: settings.clone(), resources: resources.to_vec(), world, api };
    Ok(Cluster { source: Box::new(source), executor: Some(Arc::new(Moves::new(restart))) })
}

fn check(settings: &Settings) -> Result<(), OpenError> {
    let bandwidth_gib_s = f64::from(settings.bandwidth_gib_s);
    for (field, value) in [
        ("bandwidth_gib_s", bandwidth_gib_s),
        ("call_timeout_s", settings.call_timeout_s),
        ("restart_deadline_s", settings.restart_deadline_s),
    ] {
        if !(value > 0.0 && value <= 86_400.0) {
            let expected = "a number above 0, at most 86400";
            return Err(OpenError::Setting { field, expected, got: value.to_string() });
        }
    }
    let names = settings.namespaces.iter().map(|name| ("namespaces", name));
    for (field, name) in names.chain([("orders_namespace", &settings.orders_namespace)]) {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 63 || !name.bytes().all(inner) {
            let expected = "the name of a namespace";
            return Err(OpenError::Setting { field, expected, got: format!("{name:?}") });
        }
    }
    Ok(())
}

/// The snapshot of what `kubectl get nodes,pods,poddisruptionbudgets -A -o json` wrote. Pods of an
/// owner are numbered by age. `resources` are the names of the snapshot's kinds, `now_s` is the time
/// of the dump in seconds since 1970, and `label` is what errors call it.
///
/// # Errors
/// When the text is no such list, or its objects make no valid snapshot.
pub fn snapshot_of_dump(
    json: &str,
    resources: &[String],
    settings: &Settings,
    now_s: f64,
    label: &str,
) -> Result<Seen, InputError> {
    let mut objects = Objects::new(Kinds::new(resources, settings));
    objects.add_list(json, None, label)?;
    let time = Time { now_s, behind_s: 0.0 };
    snapshot_of(&objects, resources, settings, &mut Ordinals::default(), time, label)
}
