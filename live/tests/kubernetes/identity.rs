//! Names that outlast pods.

use serde_json::{Value, json};

use crate::objects::{evicting, node, pod, seen};

fn names(pods: Vec<Value>) -> Vec<(String, Option<String>)> {
    let objects: Vec<Value> = [node("n1", "a"), node("n2", "a")].into_iter().chain(pods).collect();
    let snapshot = seen(&objects, &evicting()).snapshot;
    snapshot.workloads.into_iter().map(|one| (one.name, one.node)).collect()
}

#[test]
fn pods_of_a_deployment_are_numbered_by_age_whatever_they_are_called() {
    let mut younger = pod("web", 9, "n2");
    younger["metadata"]["name"] = json!("web-7d9f-aaaa");
    let named = names(vec![younger, pod("web", 3, "n1")]);
    let expected = [("shop/Deployment/web/0", "n1"), ("shop/Deployment/web/1", "n2")];
    assert_eq!(named, expected.map(|(name, node)| (name.to_owned(), Some(node.to_owned()))));
}

#[test]
fn pods_of_a_stateful_set_have_their_own_numbers_and_a_roll_out_changes_no_name() {
    let mut db = pod("db", 1, "n1");
    db["metadata"]["name"] = json!("db-7");
    db["metadata"]["ownerReferences"] =
        json!([{ "kind": "StatefulSet", "name": "db", "controller": true }]);
    let mut rolled = pod("web", 2, "n1");
    rolled["metadata"]["labels"]["pod-template-hash"] = json!("abcd");
    rolled["metadata"]["ownerReferences"][0]["name"] = json!("web-abcd");
    let mut bare = pod("job", 1, "n1");
    bare["metadata"]["labels"] = json!({});
    let named: Vec<String> =
        names(vec![db, rolled, bare]).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        named,
        ["shop/Deployment/web/0", "shop/ReplicaSet/job-7d9f/0", "shop/StatefulSet/db/7"]
    );
}

#[test]
fn a_name_that_is_too_long_for_a_snapshot_is_cut_and_stays_unique() {
    let long = |end: &str| {
        let mut pod = pod("web", 1, "n1");
        pod["metadata"]["uid"] = json!(end);
        pod["metadata"]["labels"] = json!({});
        pod["metadata"]["ownerReferences"][0]["name"] = json!(format!("{}{end}", "x".repeat(250)));
        pod
    };
    let named = names(vec![long("a"), long("b")]);
    assert!(named.iter().all(|(name, _)| name.len() <= 253));
    assert_ne!(named[0].0, named[1].0);
}
