//! Every check of an artifact fails where it should, and no changed byte goes unseen.

use std::io::{Cursor, Write};

use godwit_envs::observe::ranges::Ranges;
use godwit_envs::observe::schema::ObservationSchema;
use godwit_envs::observe::sections::Sections;
use godwit_envs::observe::{ObservationBuffer, ObservationSpace, features};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;
use crate::net::{Architecture, FixedSize, NetworkSpec};

fn schema() -> ObservationSchema {
    features::schema(Sections::default())
}

/// Numbers in [-1, 1] that differ from each other.
fn numbers(count: usize, phase: f32) -> Vec<f32> {
    (0..count).map(|i| (i as f32 * 0.7 + phase).sin()).collect()
}

/// Two nodes, three workloads, one of them on no node; the second pair is masked.
fn observation(spec: &NetworkSpec, phase: f32) -> ObservationBuffer {
    let (nodes, workloads) = (2, 3);
    let actions = 1 + nodes * workloads;
    let space = ObservationSpace {
        sections: Sections::default(),
        nodes,
        workloads,
        actions,
        fixed_pairs: true,
        schema: schema(),
        normalisation: None,
    };
    let mut o = ObservationBuffer::new(&space);
    o.nodes = numbers(nodes * spec.node_features, phase + 1.0);
    o.workloads = numbers(workloads * spec.workload_features, phase + 2.0);
    o.globals = numbers(spec.global_features, phase + 3.0);
    o.placement = vec![1, u32::MAX, 0];
    o.mask[0] = true;
    for a in 1..actions {
        let pair = a as u32 - 1;
        o.candidate_workload[a] = pair / 2;
        o.candidate_source[a] = (pair + 1) % 2;
        o.candidate_destination[a] = pair % 2;
        o.mask[a] = a != 2;
        for f in 0..spec.candidate_features {
            o.candidates[f * o.candidate_stride + a] = (a as f32 + 9.0 * f as f32 + phase).sin();
        }
    }
    o
}

/// The parts of an artifact, to be changed before they are put together.
struct Parts {
    manifest: Manifest,
    weights: Vec<f32>,
    golden: Vec<Golden>,
}

fn parts(architecture: Architecture) -> Parts {
    let fixed = (architecture == Architecture::Mlp).then_some(FixedSize { nodes: 2, workloads: 3 });
    let spec = NetworkSpec {
        hidden: 5,
        head_hidden: 3,
        ..NetworkSpec::new(architecture, &schema(), fixed)
    };
    let weights = numbers(spec.parameter_count(), 0.0);
    let mut network = Network::new(&spec);
    network.load_flat(&weights);
    let golden = [0.1, 0.2].map(|phase| {
        let observation = observation(&spec, phase);
        let mut q = vec![0.0; observation.actions()];
        network.q_values(&observation, &mut q);
        Golden { observation, q }
    });
    let manifest = Manifest {
        base: None,
        format: String::new(),
        producer: "0.1.0".to_owned(),
        libtorch: "2.11.0".to_owned(),
        network: spec,
        schema: schema(),
        schema_hash: String::new(),
        ranges: Ranges::default(),
        scenario_name: "tiny".to_owned(),
        rules: serde_json::json!({"moves_per_tick": 2}),
        scenario_sha256: "0".repeat(64),
        training: serde_json::json!({"seed": 1}),
        evaluation: vec![],
        weights_sha256: String::new(),
        golden_sha256: String::new(),
    };
    Parts { manifest, weights, golden: golden.to_vec() }
}

impl Parts {
    fn extra_files(&self) -> [(String, Vec<u8>); 3] {
        extra_files(
            self.manifest.clone(),
            weights_bytes(&self.manifest.network, &self.weights),
            golden_bytes(&self.manifest.network, &self.golden),
        )
    }

    /// A sealed file of these parts.
    fn bytes(&self) -> Vec<u8> {
        sealed(&self.extra_files())
    }

    /// A sealed file whose manifest was changed as text, digests and all.
    fn with_manifest(&self, change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
        let mut files = self.extra_files();
        let mut json = serde_json::from_slice(&files[0].1).expect("the manifest is JSON");
        change(&mut json);
        files[0].1 = serde_json::to_vec(&json).expect("JSON can be written");
        sealed(&files)
    }
}

/// An archive with the entries that libtorch writes, stored and compressed, and these.
fn archive(extra: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let deflated = stored.compression_method(CompressionMethod::Deflated);
    let mut entry = |name: &str, options, contents: &[u8]| {
        zip.start_file(format!("tiny/{name}"), options).expect("names differ");
        zip.write_all(contents).expect("memory takes every write");
    };
    for (name, contents) in extra {
        entry(&format!("extra/{name}"), stored, contents);
    }
    entry("data.pkl", stored, b"pickled");
    entry("code/__torch__.py", deflated, &b"def forward(self)\n".repeat(9));
    entry("version", stored, b"3\n");
    zip.finish().expect("the archive is complete").into_inner()
}

fn sealed(extra: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = archive(extra);
    archive::seal_bytes(&mut bytes).expect("the zip writer leaves no comment");
    bytes
}

fn read(bytes: &[u8]) -> Result<Artifact, Failure> {
    Artifact::checked(Path::new("tiny.pt"), bytes)
}

fn failure(bytes: &[u8]) -> Failure {
    read(bytes).expect_err("a damaged artifact was accepted")
}

/// Fails with `expected` as the whole message.
fn assert_fails(bytes: &[u8], expected: &str) {
    assert_eq!(failure(bytes).to_string(), expected);
}

/// Position of the first occurrence of `needle`.
fn find(bytes: &[u8], needle: &[u8]) -> usize {
    let mut windows = bytes.windows(needle.len());
    windows.position(|window| window == needle).expect("the text occurs")
}

#[test]
fn what_was_written_is_read_back() {
    for architecture in [Architecture::Relational, Architecture::Candidate, Architecture::Mlp] {
        let parts = parts(architecture);
        let artifact = read(&parts.bytes()).expect("an intact artifact is accepted");
        assert_eq!(artifact.weights, parts.weights);
        assert_eq!(artifact.golden, parts.golden);
        assert_eq!(artifact.manifest.network, parts.manifest.network);
        assert_eq!(artifact.manifest.schema_hash, schema().hash());
        let mut network = artifact.network;
        let mut q = vec![0.0; parts.golden[0].q.len()];
        network.q_values(&parts.golden[0].observation, &mut q);
        assert_eq!(q, parts.golden[0].q);
    }
}

#[test]
fn a_file_is_sealed_in_place_and_the_error_names_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("tiny.pt");
    std::fs::write(&path, archive(&parts(Architecture::Relational).extra_files())).expect("a file");
    let error = Artifact::read(&path).expect_err("not sealed yet").to_string();
    assert_eq!(
        error,
        format!(
            "artifact {}: seal: only files of `godwit export` can be used: expected an archive \
             comment godwit-sha256:<64 digits> at the end, got none",
            path.display()
        )
    );
    seal(&path).expect("a fresh archive can be sealed");
    Artifact::read(&path).expect("sealed");
    let twice = seal(&path).expect_err("a seal is never replaced");
    assert!(matches!(*twice.failure, Failure::Archive(_)));
    let missing = Artifact::read(&folder.path().join("missing.pt")).expect_err("no such file");
    assert!(matches!(*missing.failure, Failure::File(_)));
}

#[test]
fn any_changed_byte_is_an_error() {
    let bytes = parts(Architecture::Relational).bytes();
    let mut changed = bytes.clone();
    for at in 0..bytes.len() {
        changed[at] ^= 1 << (at % 8);
        failure(&changed);
        changed[at] = bytes[at];
    }
}

#[test]
fn any_missing_or_added_end_is_an_error() {
    let bytes = parts(Architecture::Relational).bytes();
    for length in (0..bytes.len()).step_by(7).chain(bytes.len() - 100..bytes.len()) {
        failure(&bytes[..length]);
    }
    failure(&[&bytes[..], b"\0"].concat());
}

#[test]
fn a_damaged_entry_is_named_even_if_the_seal_was_renewed() {
    for (contents, name) in [(&b"pickled"[..], "data.pkl"), (b"godwit-artifact/2", "manifest.json")]
    {
        let mut bytes = archive(&parts(Architecture::Relational).extra_files());
        let at = find(&bytes, contents);
        bytes[at] ^= 1;
        archive::seal_bytes(&mut bytes).expect("the directory is intact");
        match failure(&bytes) {
            Failure::Entry { entry, .. } => assert!(entry.ends_with(name), "{entry}"),
            other => panic!("expected a checksum error, got {other}"),
        }
    }
}

#[test]
fn a_missing_entry_is_named() {
    let files = parts(Architecture::Relational).extra_files();
    assert_fails(&sealed(&files[..2]), "entries: expected one extra/golden.safetensors, got 0");
}

#[test]
fn a_manifest_that_this_version_does_not_understand_is_refused() {
    let parts = parts(Architecture::Relational);
    let next = parts.with_manifest(|json| {
        json["format"] = "godwit-artifact/3".into();
        json["new_field"] = 1.into();
    });
    assert_fails(&next, r#"format: expected "godwit-artifact/2", got "godwit-artifact/3""#);
    let unknown = parts.with_manifest(|json| json["new_field"] = 1.into());
    let message = failure(&unknown).to_string();
    assert!(message.starts_with("manifest: unknown field `new_field`"), "{message}");
}

#[test]
fn rules_with_a_term_that_is_no_expression_are_refused() {
    let rules = |resources: &str, term: &str| {
        serde_json::json!({
            "resources": [{"name": resources}],
            "episode": {"mode": "rebalance"},
            "objective": {"weights": {"hot": 1.0}, "terms": {"hot": term}},
        })
    };
    let artifact = |rules: serde_json::Value| {
        read(&parts(Architecture::Relational).with_manifest(|json| json["rules"] = rules))
            .expect("a sound file")
    };
    let known = artifact(rules("cpu", "sum(utilisation.cpu)")).rules().expect("known rules");
    assert_eq!(known.objective.terms["hot"], "sum(utilisation.cpu)");
    let error = artifact(rules("memory", "sum(utilisation.cpu)"))
        .rules()
        .expect_err("a resource that the rules lack");
    assert_eq!(
        error.to_string(),
        "artifact tiny.pt: rules.objective.terms.hot: character 17: expected one of the scenario's \
         resources (memory), got \"cpu\""
    );
}

#[test]
fn weights_and_golden_vectors_of_another_file_are_refused() {
    for (name, field) in [(WEIGHTS, "weights_sha256"), (GOLDEN, "golden_sha256")] {
        let bytes = parts(Architecture::Relational).with_manifest(|json| json[field] = "ab".into());
        match failure(&bytes) {
            Failure::Digest { entry, expected, .. } => {
                assert_eq!((entry, expected.as_str()), (name, "ab"));
            }
            other => panic!("expected a digest error, got {other}"),
        }
    }
}

#[test]
fn a_schema_that_does_not_hash_to_the_stated_value_is_refused() {
    let bytes = parts(Architecture::Relational)
        .with_manifest(|json| json["schema"]["node"][0]["scale"] = 0.2.into());
    assert!(matches!(failure(&bytes), Failure::SchemaHash { .. }));
}

#[test]
fn features_of_another_version_are_refused_with_what_to_do() {
    let mut parts = parts(Architecture::Relational);
    parts.manifest.schema.version = 2;
    assert_fails(
        &parts.bytes(),
        "schema: expected features of this version, got others (version 2 of them): train the \
         policy anew with this version, or use the version that exported it",
    );
}

#[test]
fn a_network_that_does_not_fit_schema_or_weights_is_refused() {
    let parts = parts(Architecture::Relational);
    let sizes = |field: &'static str, value: u64| {
        parts.with_manifest(|json| json["network"][field] = value.into())
    };
    assert_fails(
        &sizes("candidate_features", 3),
        "network: expected 14 candidate features as in the schema, got 3",
    );
    assert_fails(
        &sizes("hidden", 1 << 40),
        "network: hidden: expected 1 to 1048576, got 1099511627776",
    );
    // As large as a specification may be: refused before anything of that size is allocated.
    assert_fails(
        &sizes("hidden", 1 << 20),
        "tensors: extra/weights.safetensors: workload_encoder_weight: expected F32 [13, 1048576], \
         got F32 [13, 5]",
    );
}

#[test]
fn missing_and_superfluous_tensors_are_named() {
    let mut relational = parts(Architecture::Relational);
    let mlp = parts(Architecture::Mlp);
    let weights = weights_bytes(&mlp.manifest.network, &mlp.weights);
    let golden = golden_bytes(&mlp.manifest.network, &mlp.golden);
    assert_fails(
        &sealed(&extra_files(relational.manifest.clone(), weights, golden)),
        "tensors: extra/weights.safetensors: workload_encoder_weight: expected F32 [13, 5], got none",
    );
    relational.golden.clear();
    assert_fails(
        &relational.bytes(),
        "tensors: extra/golden.safetensors: 0.nodes: expected F32 [any, 8], got none",
    );
}

#[test]
fn a_weight_that_is_no_number_is_named() {
    let mut parts = parts(Architecture::Relational);
    parts.weights[13 * 5 + 2] = f32::NAN;
    assert_fails(
        &parts.bytes(),
        "weights: workload_encoder_bias: expected finite numbers, got NaN at index 2",
    );
}

#[test]
fn golden_values_that_the_network_does_not_give_are_refused() {
    let mut parts = parts(Architecture::Relational);
    parts.golden[1].q[4] += 2.0 * TOLERANCE;
    match failure(&parts.bytes()) {
        Failure::Parity { observation: 1, candidate: 4, .. } => {}
        other => panic!("expected a parity error, got {other}"),
    }
    for value in [f32::NAN, f32::NEG_INFINITY] {
        parts.golden[1].q[4] = value;
        assert!(matches!(failure(&parts.bytes()), Failure::Parity { candidate: 4, .. }));
    }
}

#[test]
fn golden_observations_that_no_environment_makes_are_refused() {
    let mut wild = parts(Architecture::Relational);
    wild.golden[0].observation.candidate_destination[3] = 9;
    assert_fails(
        &wild.bytes(),
        "golden vectors: observation 0: candidate_destination: expected less than 2, got 9",
    );
    let mut forbidden = parts(Architecture::Relational);
    forbidden.golden[1].observation.mask[0] = false;
    assert_fails(
        &forbidden.bytes(),
        "golden vectors: observation 1: expected Stay (candidate 0) to be allowed",
    );
}
