//! Bad input: what is said of it.

use godwit_live::clusters::kubernetes::{OpenError, Settings, open, snapshot_of_dump};
use serde_json::json;

use crate::objects::{dump, evicting, node, pod};

fn refusal(text: &str) -> String {
    let resources = ["cpu".to_owned(), "memory".to_owned()];
    snapshot_of_dump(text, &resources, &evicting(), 0.0, "dump.json").unwrap_err().to_string()
}

#[test]
fn an_amount_that_is_none_is_told_with_its_pod_and_field() {
    let mut bad = pod("web", 1, "n1");
    bad["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("lots");
    assert_eq!(
        refusal(&dump(&[node("n1", "a"), bad])),
        "dump.json: pod shop/web-7d9f-1: spec.containers.resources[\"cpu\"]: expected an amount such as \
         500m or 1.5Gi, got \"lots\""
    );
}

#[test]
fn text_that_is_no_list_is_told_with_its_line() {
    for (text, said) in [
        ("", "line 1: expected valid Kubernetes list"),
        ("{\n  \"kind\": \"List\"\n}", "missing field `items`"),
        ("[]", "a list of objects"),
        ("{\"items\": [{\"spec\": {}}]}", "expected the kind before the other fields, got spec"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.starts_with("dump.json: ") && refusal.contains(said), "{text}: {refusal}");
    }
}

#[test]
fn a_cluster_without_nodes_is_no_snapshot() {
    assert_eq!(refusal(&dump(&[])), "dump.json: nodes: expected 1 to 4000000 nodes, got 0");
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let refused = |settings: Settings| {
        let resources = ["cpu".to_owned()];
        match open(&settings, &resources) {
            Err(error @ OpenError::Setting { .. }) => error.to_string(),
            other => panic!("{:?}", other.err()),
        }
    };
    assert_eq!(
        refused(Settings { call_timeout_s: 0.0, ..Settings::default() }),
        "kubernetes.call_timeout_s: expected a number above 0, at most 86400, got 0"
    );
    assert_eq!(
        refused(Settings { namespaces: vec!["A/b".to_owned()], ..Settings::default() }),
        "kubernetes.namespaces: expected the name of a namespace, got \"A/b\""
    );
    let file = Settings { kubeconfig: Some("/no/such".into()), ..Settings::default() };
    let error = open(&file, &["cpu".to_owned()]).err().unwrap().to_string();
    assert!(
        error.starts_with("kubernetes.kubeconfig: /no/such: expected a kubeconfig file, got"),
        "{error}"
    );
}

#[test]
fn misspelt_settings_are_refused() {
    let error = toml::from_str::<Settings>("move_buy = \"eviction\"").unwrap_err().to_string();
    assert!(error.contains("move_buy"), "{error}");
}
