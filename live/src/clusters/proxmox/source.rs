//! Looking at a Proxmox cluster.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::api::Api;
use super::guest;
use super::resources::{Config, Resource, Use, View};
use super::settings::Settings;
use crate::cluster::{CallError, Seen, Source};

/// Sees nodes and guests over the REST interface.
pub(super) struct ProxmoxSource {
    api: Arc<Api>,
    settings: Settings,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ManagerStatus {
    manager_status: Manager,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Manager {
    node_status: BTreeMap<String, String>,
}

/// A point of a guest's history; a minute without values has none.
#[derive(Deserialize)]
struct Point {
    time: u64,
    #[serde(default)]
    cpu: Option<f64>,
    #[serde(default)]
    mem: Option<f64>,
}

impl ProxmoxSource {
    pub(super) fn new(api: Arc<Api>, settings: Settings) -> Self {
        Self { api, settings }
    }

    fn averages(&self, guests: &[&Resource]) -> Result<HashMap<String, Use>, CallError> {
        if self.settings.average_min == 0 {
            return Ok(HashMap::new());
        }
        let mut averages = HashMap::new();
        for guest in guests {
            let path = path(guest)? + "/rrddata?timeframe=hour&cf=AVERAGE";
            let points: Vec<Point> = self.api.get(&path)?;
            if let Some(used) = average(&points, self.settings.average_min) {
                averages.insert(guest.id.clone(), used);
            }
        }
        Ok(averages)
    }
}

impl Source for ProxmoxSource {
    fn look(&mut self) -> Result<Seen, CallError> {
        let resources: Vec<Resource> = self.api.get("/cluster/resources")?;
        let manager: ManagerStatus = self.api.get("/cluster/ha/status/manager_status")?;
        let running: Vec<&Resource> =
            resources.iter().filter(|row| row.is_guest() && row.status == "running").collect();
        let mut configs = HashMap::new();
        for guest in &running {
            // A guest that has just gone elsewhere has no configuration here: it stays for now.
            match self.api.get::<Config>(&(path(guest)? + "/config")) {
                Ok(config) => {
                    configs.insert(guest.id.clone(), config);
                }
                Err(CallError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let averages = self.averages(&running)?;
        // A clock before 1970 is as good as none.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        View {
            resources: &resources,
            node_states: &manager.manager_status.node_status,
            configs: &configs,
            averages: &averages,
            taken_at_s: now.as_secs_f64(),
            settings: &self.settings,
        }
        .seen()
    }
}

fn path(guest: &Resource) -> Result<String, CallError> {
    let kind_and_id = guest::Guest::parse(&guest.id)?;
    Ok(format!("/nodes/{}/{kind_and_id}", guest::node(&guest.node)?))
}

/// The mean of the newest minutes that have values.
fn average(points: &[Point], minutes: u32) -> Option<Use> {
    let newest = points.iter().filter(|point| point.cpu.is_some()).map(|point| point.time).max()?;
    let from = newest.saturating_sub(u64::from(minutes) * 60);
    let recent = points.iter().filter(|point| point.time > from);
    let pairs: Vec<(f64, f64)> = recent.filter_map(|point| point.cpu.zip(point.mem)).collect();
    let count = pairs.len() as f64;
    let (cpu, mem) = pairs.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
    (count > 0.0).then(|| Use { cpu: cpu / count, mem: mem / count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_is_over_the_newest_minutes_that_have_values() {
        let point = |time, cpu, mem| Point { time, cpu, mem };
        let points = [
            point(60, Some(9.0), Some(9.0)),
            point(120, Some(0.25), Some(4.0)),
            point(180, None, None),
            point(240, Some(0.75), Some(8.0)),
            point(300, None, None),
        ];
        assert_eq!(average(&points, 3), Some(Use { cpu: 0.5, mem: 6.0 }));
        assert_eq!(average(&points, 1), Some(Use { cpu: 0.75, mem: 8.0 }));
        assert_eq!(average(&points[2..3], 5), None);
    }
}
