//! Text as a snapshot: the parser, its checks, the cluster that it shows, and a plan for it.

#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use godwit_envs::scenario::Rules;
use godwit_envs::snapshot::Snapshot;
use godwit_models::artifact::Artifact;
use godwit_models::guard::violations;
use godwit_models::plan::plan;
use libfuzzer_sys::fuzz_target;

/// Most nodes and workloads: what takes long is no crash.
const MOST: usize = 64;

/// A policy of one tick with forecasts, and one without.
static ARTIFACTS: LazyLock<[(Artifact, Arc<Rules>); 2]> = LazyLock::new(|| {
    ["diurnal", "quickstart"].map(|name| {
        let artifact = Artifact::open(Path::new(name)).expect("it comes with the program");
        let rules = Arc::new(artifact.rules().expect("they are of this version"));
        (artifact, rules)
    })
});

fuzz_target!(|text: &str| {
    let Ok(snapshot) = Snapshot::from_json(text, "snapshot") else { return };
    let again = Snapshot::from_json(&snapshot.to_json(), "snapshot");
    assert_eq!(again.as_ref().ok(), Some(&snapshot), "{again:?}");
    if snapshot.nodes.len() > MOST || snapshot.workloads.len() > MOST {
        return;
    }
    for (artifact, rules) in ARTIFACTS.iter() {
        let Ok(state) = artifact.state(Arc::clone(rules), &snapshot, "snapshot") else { continue };
        if snapshot.workloads.is_empty() {
            continue;
        }
        let mut policy = artifact.policy("policy");
        let plan = plan(&state, &mut policy, 3, None);
        let broken = violations(&state, &plan.moves);
        assert!(broken.is_empty(), "{broken:?}");
        assert!(plan.objective_after.is_finite(), "{plan:?}");
    }
});
