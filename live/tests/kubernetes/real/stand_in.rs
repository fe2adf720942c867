//! A few lines in place of scheduler, kubelets, controllers and KubeVirt. Time goes by in steps.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::{Value, json};

use super::Client;
use crate::support::{is_healthy, next_status};

const PODS: &str = "/api/v1/namespaces/shop/pods";
const BUDGETS: &str = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets";
const KUBEVIRT: &str = "/apis/kubevirt.io/v1/namespaces/shop";

/// The stand-in.
pub struct StandIn {
    pub client: Client,
    rng: Xoshiro256PlusPlus,
    nodes: Vec<String>,
    /// A pod of each owner, to make others of, and how many there are to be.
    owners: BTreeMap<String, (Value, usize)>,
    /// Pods that were there at some time.
    known: BTreeSet<String>,
    /// Those that were evicted, in order.
    evicted: Vec<String>,
    made: usize,
}

impl StandIn {
    /// Makes these objects, in place of all that were there.
    pub fn new(client: Client, rng: Xoshiro256PlusPlus, objects: &[(&str, Value)]) -> Self {
        let mut it = Self {
            client,
            rng,
            nodes: Vec::new(),
            owners: BTreeMap::new(),
            known: BTreeSet::new(),
            evicted: Vec::new(),
            made: 0,
        };
        it.clear();
        for (resource, object) in objects {
            match *resource {
                "nodes" => {
                    it.nodes.push(object["metadata"]["name"].as_str().unwrap().to_owned());
                    it.client.create("/api/v1/nodes", &without_marks(object));
                }
                "pods" => {
                    let pod = valid_pod(object);
                    let entry = it.owners.entry(owner(&pod)).or_insert((pod.clone(), 0));
                    entry.1 += 1;
                    it.make(&pod);
                    if is_healthy(object) {
                        it.make_ready(pod["metadata"]["name"].as_str().unwrap());
                    }
                }
                "poddisruptionbudgets" => {
                    it.client.create(BUDGETS, &without_marks(object));
                }
                "virtualmachineinstances" => {
                    it.client.create(&format!("{KUBEVIRT}/{resource}"), &without_marks(object));
                }
                other => panic!("{other}"),
            }
        }
        it.count_budgets();
        it
    }

    /// Lets a little time go by.
    pub fn step(&mut self) {
        let Some(pods) = self.pods() else { return };
        for pod in &pods {
            let name = pod["metadata"]["name"].as_str().unwrap();
            if !pod["metadata"]["deletionTimestamp"].is_null() {
                if self.rng.random_bool(0.5) {
                    self.client.delete(&format!("{PODS}/{name}"));
                }
            } else if pod["spec"]["nodeName"].is_null() && self.rng.random_bool(0.6) {
                let node = &self.nodes[self.rng.random_range(0..self.nodes.len())];
                let target = json!({ "kind": "Node", "name": node });
                let body = json!({ "apiVersion": "v1", "kind": "Binding",
                    "metadata": { "name": name, "namespace": "shop" }, "target": target });
                self.client.ask(Method::POST, &format!("{PODS}/{name}/binding"), &body);
            } else if !pod["spec"]["nodeName"].is_null()
                && !is_healthy(pod)
                && self.rng.random_bool(0.6)
            {
                self.make_ready(name);
            }
        }
        self.make_anew(&pods);
        self.step_migrations();
        self.count_budgets();
    }

    /// All pods; `None` while the server does not answer.
    pub fn pods(&mut self) -> Option<Vec<Value>> {
        let pods = self.client.list(PODS)?;
        let uid = |pod: &Value| pod["metadata"]["uid"].as_str().unwrap().to_owned();
        let staying: BTreeSet<String> = pods
            .iter()
            .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
            .map(uid)
            .collect();
        for gone in self.known.difference(&staying) {
            // Nobody else deletes a pod that was not evicted.
            if !self.evicted.contains(gone) {
                self.evicted.push(gone.clone());
            }
        }
        self.known.extend(staying);
        Some(pods)
    }

    /// Uids of pods that were evicted, in order.
    pub fn evicted(&mut self) -> Vec<String> {
        while self.pods().is_none() {}
        self.evicted.clone()
    }

    /// The node of the machine.
    pub fn machine_node(&self) -> String {
        loop {
            if let Some(it) = self.client.get(&format!("{KUBEVIRT}/virtualmachineinstances/vm")) {
                return it["status"]["nodeName"].as_str().unwrap().to_owned();
            }
        }
    }

    /// Owners whose pods have left make others: a ReplicaSet at once, a StatefulSet once the name is
    /// free.
    fn make_anew(&mut self, pods: &[Value]) {
        let owners: Vec<(String, Value, usize)> = self
            .owners
            .iter()
            .map(|(name, (pod, wanted))| (name.clone(), pod.clone(), *wanted))
            .collect();
        for (name, mut pod, wanted) in owners {
            let mut here = pods.iter().filter(|pod| owner(pod) == name);
            let is_set = pod["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet";
            let there = match is_set {
                true => here.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).count(),
                false => usize::from(here.next().is_some()),
            };
            if there >= wanted || self.rng.random_bool(0.5) {
                continue;
            }
            if is_set {
                self.made += 1;
                let base = pod["metadata"]["generateName"].as_str().unwrap();
                pod["metadata"]["name"] = json!(format!("{base}new-{}", self.made));
            }
            pod["spec"].as_object_mut().unwrap().remove("nodeName");
            self.make(&pod);
        }
    }

    fn make(&mut self, pod: &Value) {
        let (status, made) = self.client.ask(Method::POST, PODS, pod);
        match status {
            201 => {
                self.known.insert(made["metadata"]["uid"].as_str().unwrap().to_owned());
            }
            // The server is away, or the name is not free yet: the next step tries again.
            0 | 409 | 500.. => {}
            _ => panic!("{pod}: {status} {made}"),
        }
    }

    fn make_ready(&self, name: &str) {
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let ready = json!({ "type": "Ready", "status": "True", "lastTransitionTime": now });
        let status = json!({ "status": { "phase": "Running", "conditions": [ready] } });
        self.client.ask(Method::PATCH, &format!("{PODS}/{name}/status"), &status);
    }

    /// What the disruption controller does. The API server counts down by itself what it lets go;
    /// `disruptedPods` says which pods those are until they are seen to leave.
    fn count_budgets(&mut self) {
        for mut budget in self.client.list(BUDGETS).unwrap_or_default() {
            let Some(pods) = self.pods() else { return };
            let app = &budget["spec"]["selector"]["matchLabels"]["app"];
            let disrupted = budget["status"]["disruptedPods"].as_object().cloned();
            let disrupted = disrupted.unwrap_or_default();
            let still = |pod: &&Value| {
                let name = pod["metadata"]["name"].as_str().unwrap();
                disrupted.contains_key(name) && pod["metadata"]["deletionTimestamp"].is_null()
            };
            let of_budget = || pods.iter().filter(|pod| pod["metadata"]["labels"]["app"] == *app);
            let healthy = of_budget().filter(|pod| is_healthy(pod) && !still(pod)).count();
            let least = budget["spec"]["minAvailable"].as_u64().unwrap() as usize;
            let kept: serde_json::Map<String, Value> = of_budget()
                .filter(still)
                .map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned())
                .map(|name| (name.clone(), disrupted[&name].clone()))
                .collect();
            budget["status"] = json!({
                "disruptionsAllowed": healthy.saturating_sub(least),
                "currentHealthy": healthy, "desiredHealthy": least,
                "expectedPods": of_budget().count(), "disruptedPods": kept,
                "observedGeneration": budget["metadata"]["generation"],
            });
            let name = budget["metadata"]["name"].as_str().unwrap();
            // Refused where the API server has counted down meanwhile; the next step counts anew.
            self.client.ask(Method::PUT, &format!("{BUDGETS}/{name}/status"), &budget);
        }
    }

    /// KubeVirt: migrations go through their phases.
    fn step_migrations(&mut self) {
        let path = format!("{KUBEVIRT}/virtualmachineinstancemigrations");
        for migration in self.client.list(&path).unwrap_or_default() {
            let Some(status) = next_status(&migration, &mut self.rng) else { continue };
            if status["phase"] == "Succeeded" {
                let machine = migration["spec"]["vmiName"].as_str().unwrap();
                let node = &migration["spec"]["addedNodeSelector"]["kubernetes.io/hostname"];
                let moved = json!({ "status": { "nodeName": node } });
                let machine = format!("{KUBEVIRT}/virtualmachineinstances/{machine}");
                self.client.ask(Method::PATCH, &machine, &moved);
            }
            let name = migration["metadata"]["name"].as_str().unwrap();
            let body = json!({ "status": status });
            self.client.ask(Method::PATCH, &format!("{path}/{name}"), &body);
        }
    }

    /// An empty cluster with the namespace `shop` and KubeVirt's kinds.
    fn clear(&self) {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": "shop" } });
        self.client.ask(Method::POST, "/api/v1/namespaces", &namespace);
        for (plural, kind) in [
            ("virtualmachineinstances", "VirtualMachineInstance"),
            ("virtualmachineinstancemigrations", "VirtualMachineInstanceMigration"),
        ] {
            let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            self.client.ask(Method::POST, path, &definition(plural, kind));
            while self.client.list(&format!("{KUBEVIRT}/{plural}")).is_none() {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        }
        for path in [
            PODS.to_owned(),
            "/api/v1/nodes".to_owned(),
            BUDGETS.to_owned(),
            format!("{KUBEVIRT}/virtualmachineinstances"),
            format!("{KUBEVIRT}/virtualmachineinstancemigrations"),
        ] {
            for object in self.client.list(&path).unwrap() {
                let name = object["metadata"]["name"].as_str().unwrap();
                self.client.delete(&format!("{path}/{name}"));
            }
        }
    }
}

/// The name of a pod's owner.
fn owner(pod: &Value) -> String {
    pod["metadata"]["ownerReferences"][0]["name"].as_str().unwrap().to_owned()
}

/// An object without what the server alone says of it.
fn without_marks(object: &Value) -> Value {
    let mut object = object.clone();
    let meta = object["metadata"].as_object_mut().unwrap();
    meta.remove("uid");
    meta.remove("creationTimestamp");
    object
}

/// A pod as a real server takes it.
fn valid_pod(pod: &Value) -> Value {
    let mut pod = without_marks(pod);
    let object = pod.as_object_mut().unwrap();
    object.remove("status");
    for container in pod["spec"]["containers"].as_array_mut().unwrap() {
        container["image"] = json!("none");
    }
    for volume in pod["spec"]["volumes"].as_array_mut().into_iter().flatten() {
        volume["emptyDir"] = json!({});
    }
    for reference in pod["metadata"]["ownerReferences"].as_array_mut().unwrap() {
        let kind = reference["kind"].as_str().unwrap();
        reference["apiVersion"] =
            json!(if kind.starts_with("Virtual") { "kubevirt.io/v1" } else { "apps/v1" });
        reference["uid"] = json!("7d9f7d9f-0000-4000-8000-000000000000");
    }
    pod
}

fn definition(plural: &str, kind: &str) -> Value {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.kubevirt.io") },
        "spec": {
            "group": "kubevirt.io", "scope": "Namespaced",
            "names": { "plural": plural, "kind": kind },
            "versions": [{ "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": schema } }],
        },
    })
}
