//! What pods ask for and nodes supply, in the snapshot's resource kinds.

use super::quantity::nanos;
use super::raw::{Amounts, Container, PodSpec, Resources};
use crate::clusters::kubernetes::settings::Settings;

/// Something in an object that cannot be read.
#[derive(Debug)]
pub(crate) struct BadAmount {
    /// Where in the object.
    pub field: String,
    pub expected: &'static str,
    pub got: String,
}

impl From<serde_json::Error> for BadAmount {
    fn from(error: serde_json::Error) -> Self {
        let (field, expected) = ("spec".to_owned(), "what Kubernetes' API says");
        Self { field, expected, got: error.to_string() }
    }
}

/// The m resource kinds of the snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Kinds(Vec<Kind>);

#[derive(Debug, Clone)]
struct Kind {
    /// Its name in Kubernetes.
    name: String,
    /// Billionths of Kubernetes' unit in one of the snapshot's.
    unit: f64,
}

const GIB: f64 = 1_073_741_824.0;

impl Kinds {
    /// `resources` are the snapshot's names.
    pub(crate) fn new(resources: &[String], settings: &Settings) -> Self {
        let kind = |name: &String| {
            let name = settings.resource_names.get(name).unwrap_or(name).clone();
            let bytes = matches!(name.as_str(), "memory" | "ephemeral-storage")
                || name.starts_with("hugepages-");
            Kind { name, unit: if bytes { 1e9 * GIB } else { 1e9 } }
        };
        Self(resources.iter().map(kind).collect())
    }

    /// What is there of each kind, `[m]`; 0 where nothing is said.
    pub(super) fn read(&self, amounts: &Amounts<'_>, at: &str) -> Result<Box<[f64]>, BadAmount> {
        self.0.iter().map(|kind| Ok(kind.of(exact(Some(amounts), &kind.name, at)?))).collect()
    }

    /// What a pod requests, `[m]`, as the scheduler counts: containers and the side-cars that start
    /// before them, or one of the others that run before, whichever is more; and the overhead.
    pub(super) fn requests(&self, spec: &PodSpec<'_>) -> Result<Box<[f64]>, BadAmount> {
        self.0.iter().map(|kind| Ok(kind.of(requested(spec, &kind.name)?))).collect()
    }

    /// Whether each kind is one that `metrics.k8s.io` measures, `[m]`.
    pub(crate) fn measured(&self) -> impl Iterator<Item = bool> {
        self.0.iter().map(|kind| matches!(kind.name.as_str(), "cpu" | "memory"))
    }

    /// Number of kinds, m.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Kind {
    fn of(&self, nanos: i128) -> f64 {
        nanos as f64 / self.unit
    }
}

fn exact(amounts: Option<&Amounts<'_>>, name: &str, at: &str) -> Result<i128, BadAmount> {
    Ok(maybe(amounts, name, at)?.unwrap_or(0))
}

fn maybe(amounts: Option<&Amounts<'_>>, name: &str, at: &str) -> Result<Option<i128>, BadAmount> {
    let found = amounts.and_then(|all| all.iter().find(|(key, _)| &***key == name));
    let Some((_, text)) = found else { return Ok(None) };
    nanos(text).map(Some).ok_or_else(|| BadAmount {
        field: format!("{at}[{name:?}]"),
        expected: "an amount such as 500m or 1.5Gi",
        got: format!("{:?}", &**text),
    })
}

/// A request that is left out is the limit, as the API server has it.
fn asked(of: &Resources<'_>, name: &str, at: &str) -> Result<Option<i128>, BadAmount> {
    match maybe(of.requests.as_ref(), name, at)? {
        None => maybe(of.limits.as_ref(), name, at),
        request => Ok(request),
    }
}

fn requested(spec: &PodSpec<'_>, name: &str) -> Result<i128, BadAmount> {
    let of = |container: &Container<'_>, at: &str| {
        asked(&container.resources, name, at).map(|amount| amount.unwrap_or(0))
    };
    let mut running = 0;
    let mut most = 0;
    for container in spec.init_containers.iter().flatten() {
        let amount = of(container, "spec.initContainers.resources")?;
        if container.restart_policy.as_deref() == Some("Always") {
            running += amount;
        } else {
            most = most.max(running + amount);
        }
    }
    for container in spec.containers.iter().flatten() {
        running += of(container, "spec.containers.resources")?;
    }
    let whole = asked(&spec.resources, name, "spec.resources")?;
    let overhead = exact(spec.overhead.as_ref(), name, "spec.overhead")?;
    Ok(whole.unwrap_or(most.max(running)) + overhead)
}
