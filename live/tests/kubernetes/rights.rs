//! What is deployed: it can be read, and grants what is asked for and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use godwit_live::clusters::kubernetes::Settings;
use godwit_live::clusters::kubernetes::rights::RIGHTS;
use serde_json::Value;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes")
}

/// All documents of all files, by kind and name.
fn documents() -> BTreeMap<(String, String), Value> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for document in documents {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let key = (text(&document["kind"]), text(&document["metadata"]["name"]));
            assert!(!key.0.is_empty(), "{}: a document without a kind", path.display());
            assert!(found.insert(key.clone(), document).is_none(), "{key:?} twice");
        }
    }
    found
}

fn granted(role: &Value) -> BTreeSet<(String, String, String)> {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    };
    let mut all = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    all.insert((group.clone(), resource.clone(), verb));
                }
            }
        }
    }
    all
}

#[test]
fn the_roles_grant_exactly_what_the_code_asks_for() {
    let documents = documents();
    let role = |kind: &str| granted(&documents[&(kind.to_owned(), "godwit-live".to_owned())]);
    let asked = |configmaps: bool| -> BTreeSet<(String, String, String)> {
        RIGHTS
            .iter()
            .filter(|(resource, _)| (resource.name == "configmaps") == configmaps)
            .flat_map(|(resource, verbs)| {
                verbs.iter().map(|verb| {
                    (resource.group.to_owned(), resource.name.to_owned(), (*verb).to_owned())
                })
            })
            .collect()
    };
    assert_eq!(role("ClusterRole"), asked(false));
    // Orders are written in one namespace alone.
    assert_eq!(role("Role"), asked(true));
}

#[test]
fn everything_that_is_deployed_is_listed_bound_and_configured() {
    let documents = documents();
    let listed = &documents[&("Kustomization".to_owned(), String::new())]["resources"];
    let mut files: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml") && name != "kustomization.yaml")
        .collect();
    files.sort_unstable();
    let mut listed: Vec<&str> =
        listed.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    listed.sort_unstable();
    assert_eq!(listed, files);
    for (binding, role) in [("ClusterRoleBinding", "ClusterRole"), ("RoleBinding", "Role")] {
        let binding = &documents[&(binding.to_owned(), "godwit-live".to_owned())];
        assert_eq!(binding["roleRef"]["kind"], role);
        assert_eq!(binding["roleRef"]["name"], "godwit-live");
        assert_eq!(binding["subjects"][0]["name"], "godwit-live");
        assert_eq!(binding["subjects"][0]["namespace"], "godwit");
    }
    let config = &documents[&("ConfigMap".to_owned(), "godwit-live".to_owned())];
    let text = config["data"]["live.toml"].as_str().unwrap();
    let table: toml::Table = toml::from_str(text).unwrap();
    let settings: Settings = table["kubernetes"].clone().try_into().unwrap();
    assert_eq!(settings.kubeconfig, None);
    let deployment = &documents[&("Deployment".to_owned(), "godwit-live".to_owned())];
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(deployment["spec"]["replicas"], 1);
    assert_eq!(pod["serviceAccountName"], "godwit-live");
    assert_eq!(pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
    // Two that decide at once would move everything twice.
    assert_eq!(deployment["spec"]["strategy"]["type"], "Recreate");
}
