//! Kubernetes: seen through its API server; its pods are evicted, and KubeVirt's machines migrate.

mod objects;
mod seen;
mod settings;

use godwit_envs::input::InputError;

use crate::cluster::Seen;
use objects::{Kinds, Objects};
use seen::{Ordinals, Time, snapshot_of};

pub use settings::{Claims, Cordoned, Demand, LocalVolumes, MoveBy, Settings};

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
