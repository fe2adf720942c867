//! A few lines in place of controllers, scheduler and kubelets. Time goes by in steps.

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::{Value, json};

use super::store::Store;

/// Whether a pod is ready and not on its way out.
pub fn is_healthy(pod: &Value) -> bool {
    let is_ready =
        |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    pod["metadata"]["deletionTimestamp"].is_null()
        && pod["status"]["conditions"].as_array().is_some_and(|all| all.iter().any(is_ready))
}

/// The status that KubeVirt gives a migration next; `None` where it is over. One in ten fails.
pub fn next_status(migration: &Value, rng: &mut Xoshiro256PlusPlus) -> Option<Value> {
    Some(match migration["status"]["phase"].as_str() {
        None => json!({ "phase": "Pending" }),
        Some("Pending") => json!({ "phase": "Scheduling" }),
        Some("Scheduling") => json!({ "phase": "Running" }),
        Some("Running") if rng.random_bool(0.1) => json!({ "phase": "Failed", "migrationState": {
            "failureReason": "it did not converge",
        } }),
        Some("Running") => json!({ "phase": "Succeeded", "migrationState": {
            "startTimestamp": "2026-02-01T00:00:00Z", "endTimestamp": "2026-02-01T00:00:12Z",
        } }),
        Some(_) => return None,
    })
}

/// How many more pods may be evicted, by each budget that protects the pod.
pub(super) fn budgets(store: &Store, pod: &Value) -> Vec<i64> {
    let budgets = store.all("poddisruptionbudgets");
    let of_pod = budgets.filter(|budget| protects(budget, pod));
    of_pod.map(|budget| allowed(store, budget)).collect()
}

fn protects(budget: &Value, pod: &Value) -> bool {
    budget["metadata"]["namespace"] == pod["metadata"]["namespace"]
        && budget["spec"]["selector"]["matchLabels"]["app"] == pod["metadata"]["labels"]["app"]
}

fn allowed(store: &Store, budget: &Value) -> i64 {
    let pods = store.all("pods").filter(|pod| protects(budget, pod) && is_healthy(pod));
    (pods.count() as i64 - budget["spec"]["minAvailable"].as_i64().unwrap()).max(0)
}

impl Store {
    /// Lets a little time go by.
    pub fn step(&mut self) {
        self.end_pods();
        self.bind_pods();
        self.step_migrations();
        self.step_jobs();
        let budgets: Vec<Value> = self.all("poddisruptionbudgets").cloned().collect();
        for mut budget in budgets {
            let allowed = json!(allowed(self, &budget));
            if budget["status"]["disruptionsAllowed"] != allowed {
                budget["status"]["disruptionsAllowed"] = allowed;
                self.put("poddisruptionbudgets", budget);
            }
        }
    }

    /// Pods that are on their way out end some time, and their owners make others.
    fn end_pods(&mut self) {
        let leaving: Vec<Value> = self
            .all("pods")
            .filter(|pod| !pod["metadata"]["deletionTimestamp"].is_null())
            .cloned()
            .collect();
        for mut pod in leaving {
            // A ReplicaSet does not wait for the end, a StatefulSet does.
            let set = pod["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet";
            if set && pod["replaced"].is_null() && self.rng.random_bool(0.5) {
                let name = format!(
                    "{}-{}",
                    pod["metadata"]["generateName"].as_str().unwrap(),
                    self.version
                );
                self.make_anew(&pod, &name);
                pod["replaced"] = json!(true);
                self.put("pods", pod);
            } else if (!set || !pod["replaced"].is_null()) && self.rng.random_bool(0.5) {
                let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
                let namespace = pod["metadata"]["namespace"].as_str().unwrap().to_owned();
                self.remove("pods", &namespace, &name);
                if !set {
                    self.make_anew(&pod, &name);
                }
            }
        }
    }

    fn make_anew(&mut self, pod: &Value, name: &str) {
        let mut new = pod.clone();
        let meta = &mut new["metadata"];
        meta["uid"] = Value::Null;
        meta["name"] = json!(name);
        meta["deletionTimestamp"] = Value::Null;
        meta["creationTimestamp"] =
            json!(format!("2026-02-01T00:{:02}:{:02}Z", self.version / 60 % 60, self.version % 60));
        new["replaced"] = Value::Null;
        new["spec"]["nodeName"] = Value::Null;
        new["status"] =
            json!({ "phase": "Pending", "conditions": [{ "type": "Ready", "status": "False" }] });
        self.put("pods", new);
    }

    /// Pods that wait come to some node, and pods on a node become ready.
    fn bind_pods(&mut self) {
        let nodes: Vec<Value> =
            self.all("nodes").map(|node| node["metadata"]["name"].clone()).collect();
        let pods: Vec<Value> = self.all("pods").cloned().collect();
        for mut pod in pods {
            if !pod["metadata"]["deletionTimestamp"].is_null() {
                continue;
            }
            if pod["spec"]["nodeName"].is_null() && self.rng.random_bool(0.6) {
                pod["spec"]["nodeName"] = match pod["reserved"].clone() {
                    Value::Null => nodes[self.rng.random_range(0..nodes.len())].clone(),
                    node => node,
                };
                self.put("pods", pod);
            } else if pod["status"]["phase"] == "Pending" && self.rng.random_bool(0.6) {
                pod["status"] = json!({ "phase": "Running", "conditions": [
                    { "type": "Ready", "status": "True", "lastTransitionTime": "2026-02-01T00:00:30Z" },
                ] });
                self.put("pods", pod);
            }
        }
    }

    /// KubeVirt: migrations go through their phases; one in ten fails.
    fn step_migrations(&mut self) {
        let migrations: Vec<Value> =
            self.all("virtualmachineinstancemigrations").cloned().collect();
        for mut migration in migrations {
            let Some(status) = next_status(&migration, &mut self.rng) else { continue };
            if self.rng.random_bool(0.3) {
                continue;
            }
            if status["phase"] == "Succeeded" {
                let namespace = migration["metadata"]["namespace"].as_str().unwrap().to_owned();
                let machine = migration["spec"]["vmiName"].as_str().unwrap().to_owned();
                let node = migration["spec"]["addedNodeSelector"]["kubernetes.io/hostname"].clone();
                self.change("virtualmachineinstances", &namespace, &machine, |it| {
                    it["status"]["nodeName"] = node;
                });
            }
            migration["status"] = status;
            self.put("virtualmachineinstancemigrations", migration);
        }
    }

    /// Koordinator: it reserves, evicts, and waits; one in ten fails for want of room.
    fn step_jobs(&mut self) {
        let jobs: Vec<Value> = self.all("podmigrationjobs").cloned().collect();
        for mut job in jobs {
            let pod = &job["spec"]["podRef"];
            let [namespace, name, uid] =
                ["namespace", "name", "uid"].map(|part| pod[part].as_str().unwrap().to_owned());
            let phase = match job["status"]["phase"].as_str() {
                None => "Running",
                Some("Running") if self.rng.random_bool(0.5) => continue,
                Some("Running") if self.rng.random_bool(0.1) => "Failed",
                Some("Running") => "Succeeded",
                Some(_) => continue,
            };
            job["status"]["phase"] = json!(phase);
            job["status"]["reason"] = json!(if phase == "Failed" { "Unschedulable" } else { "" });
            let terms = "/spec/reservationOptions/template/spec/template/spec/affinity/nodeAffinity\
                /requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0/values/0";
            let node = job.pointer(terms).unwrap().clone();
            if phase == "Succeeded" {
                let there = self.get("pods", &namespace, &name).cloned();
                let there = there.filter(|pod| pod["metadata"]["uid"] == json!(uid));
                if there.as_ref().is_some_and(|pod| budgets(self, pod).contains(&0)) {
                    continue;
                }
                if there.is_some() {
                    self.evicted.push(uid);
                    self.change("pods", &namespace, &name, |pod| {
                        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                        pod["reserved"] = node;
                    });
                }
            }
            self.put("podmigrationjobs", job);
        }
    }
}
