//! What a policy sees, for other programs.

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::support::{Fixture, scorer};

#[test]
fn arrays_have_the_names_of_golden_vectors_and_their_best_value_is_the_first_move() {
    let fixture = Fixture::new("quickstart");
    let out = fixture.path("obs.safetensors");
    let observe = |out: &std::path::Path| {
        let mut command = scorer();
        command.args(["observe", "--model"]).arg(fixture.model());
        command.arg("--snapshot").arg(fixture.snapshot()).arg("--out").arg(out);
        command
    };
    observe(&out).assert().success();
    let bytes = std::fs::read(&out).unwrap();
    let arrays = SafeTensors::deserialize(&bytes).unwrap();
    let mut names = arrays.names();
    names.sort_unstable();
    let expected = [
        "0.candidate_destination",
        "0.candidate_source",
        "0.candidate_workload",
        "0.candidates",
        "0.globals",
        "0.mask",
        "0.nodes",
        "0.placement",
        "0.q",
        "0.workloads",
    ];
    assert_eq!(names, expected);
    let numbers = |name: &str| -> Vec<[u8; 4]> {
        arrays.tensor(name).unwrap().data().as_chunks::<4>().0.to_vec()
    };
    let q: Vec<f32> = numbers("0.q").into_iter().map(f32::from_le_bytes).collect();
    let mask = arrays.tensor("0.mask").unwrap();
    assert_eq!((mask.dtype(), mask.data().len()), (Dtype::U8, q.len()));
    for (q, open) in q.iter().zip(mask.data()) {
        assert_eq!(q.is_finite(), *open == 1);
    }
    let best = (0..q.len()).max_by(|&a, &b| q[a].total_cmp(&q[b])).unwrap();
    let index = |name: &str| u64::from(u32::from_le_bytes(numbers(name)[best]));
    let mut decide = fixture.decide(&fixture.model(), &fixture.snapshot());
    let decision = decide.assert().success();
    let decision: Value = serde_json::from_slice(&decision.get_output().stdout).unwrap();
    let first = &decision["plan"]["moves"][0];
    assert_eq!(first["workload"], index("0.candidate_workload"), "{first}");
    assert_eq!(first["destination"], index("0.candidate_destination"), "{first}");

    // A folder that is not there: nothing is left behind.
    let nowhere = fixture.path("none").join("obs.safetensors");
    let refused = observe(&nowhere).assert().code(1);
    let text = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(text.contains("none/obs.safetensors: cannot be written"), "{text}");
    assert!(!nowhere.exists());
}
