//! The Open Inference Protocol: values, versions, errors, and elements of tensors as bytes.

use godwit_models::artifact::Artifact;
use godwit_models::net::Architecture;
use godwit_models::pretrained::pretrained;
use serde_json::{Value, json};

use crate::support::samples::golden_request;
use crate::support::service::{Answer, Service};
use crate::support::{Fixture, write_artifact};

const LENGTH: &str = "inference-header-content-length";
const INFER: &str = "/v2/models/policy/infer";

/// The request with the elements of its tensors as bytes: the document, and what is behind it.
fn as_bytes(mut request: Value) -> (Value, Vec<u8>) {
    fn flat(data: &Value) -> Vec<Value> {
        match data.as_array() {
            Some(list) => list.iter().flat_map(flat).collect(),
            None => vec![data.clone()],
        }
    }
    let mut bytes = Vec::new();
    for tensor in request["inputs"].as_array_mut().unwrap() {
        let before = bytes.len();
        let data = tensor.as_object_mut().unwrap().remove("data").unwrap();
        for element in flat(&data) {
            match tensor["datatype"].as_str().unwrap() {
                "FP32" => bytes.extend((element.as_f64().unwrap() as f32).to_le_bytes()),
                "INT32" => bytes.extend((element.as_i64().unwrap() as i32).to_le_bytes()),
                _ => bytes.push(element.as_bool().unwrap().into()),
            }
        }
        tensor["parameters"] = json!({"binary_data_size": bytes.len() - before});
    }
    (request, bytes)
}

fn send(service: &Service, document: &Value, behind: &[u8]) -> Answer {
    let document = document.to_string();
    let length = document.len().to_string();
    service.send("POST", INFER, &[(LENGTH, &length)], &[document.as_bytes(), behind].concat())
}

#[test]
fn bytes_behind_the_document_are_worth_what_the_document_says() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &[]);
    let request = golden_request(&Artifact::open(&fixture.model()).unwrap());
    let plain = service.post(INFER, request.to_string()).ok();
    let (mut document, behind) = as_bytes(request);
    // Bytes in, numbers out.
    let mut answer = send(&service, &document, &behind).ok();
    assert_eq!(answer, plain);
    // Bytes in, bytes out, in the order that was asked for.
    document["outputs"] = json!([
        {"name": "action", "parameters": {"binary_data": true}},
        {"name": "q", "parameters": {"binary_data": true}},
    ]);
    let bytes = send(&service, &document, &behind);
    assert_eq!(bytes.status, 200);
    assert_eq!(bytes.headers["content-type"], "application/octet-stream");
    let length: usize = bytes.headers[LENGTH].to_str().unwrap().parse().unwrap();
    let (told, behind_it) = bytes.body.split_at(length);
    let told: Value = serde_json::from_slice(told).unwrap();
    let (action, q) = behind_it.split_at(8);
    let [told_action, told_q] = [0, 1].map(|at| &told["outputs"][at]);
    assert_eq!((&told_action["name"], &told_q["name"]), (&json!("action"), &json!("q")));
    assert_eq!(told_action["parameters"]["binary_data_size"], 8);
    assert_eq!(told_q["parameters"]["binary_data_size"], q.len());
    assert!(told_q.get("data").is_none());
    let q: Vec<f32> =
        q.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    let plain_q = plain["outputs"][0]["data"].as_array().unwrap();
    let plain_q: Vec<f32> = plain_q.iter().map(|q| q.as_f64().unwrap() as f32).collect();
    assert_eq!(plain_q, q);
    let action = i64::from_le_bytes(action.try_into().unwrap());
    assert_eq!(plain["outputs"][1]["data"], json!([action]));
    // What holds for all, and one that says otherwise.
    document["parameters"] = json!({"binary_data_output": true});
    document["outputs"] = json!([{"name": "q", "parameters": {"binary_data": false}}]);
    answer = send(&service, &document, &behind).ok();
    assert_eq!(answer["outputs"], json!([plain["outputs"][0]]));
    document.as_object_mut().unwrap().remove("outputs");
    assert_eq!(
        send(&service, &document, &behind).headers["content-type"],
        "application/octet-stream"
    );
}

#[test]
fn bytes_that_do_not_fit_the_document_are_refused() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &[]);
    let request = golden_request(&Artifact::open(&fixture.model()).unwrap());
    let (document, behind) = as_bytes(request.clone());
    let refusal = |document: &Value, behind: &[u8]| {
        let answer = send(&service, document, behind);
        assert_eq!(answer.error(), (400, "invalid_tensor".to_owned()));
        answer.message()
    };
    let told = refusal(&document, &behind[1..]);
    assert!(told.starts_with("inputs: mask: expected 10 bytes behind"), "{told}");
    let told = refusal(&document, &[&behind[..], b"x"].concat());
    assert!(told.ends_with("got 1 more"), "{told}");
    let mut wrong = behind.clone();
    *wrong.last_mut().unwrap() = 2;
    let told = refusal(&document, &wrong);
    assert_eq!(told, "inputs: mask: expected true or false for each element, got 2");
    wrong[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let told = refusal(&document, &wrong);
    assert_eq!(told, "inputs: nodes: expected a finite number for each element, got NaN");
    let mut both = document.clone();
    both["inputs"][0]["data"] = request["inputs"][0]["data"].clone();
    assert!(refusal(&both, &behind).ends_with("got both"));
    let mut neither = request.clone();
    neither["inputs"][0].as_object_mut().unwrap().remove("data");
    assert!(refusal(&neither, &[]).ends_with("got neither"));
    let mut parts = document.clone();
    let size = parts["inputs"][0]["parameters"]["binary_data_size"].as_u64().unwrap();
    parts["inputs"][0]["parameters"]["binary_data_size"] = (size - 1).into();
    assert!(refusal(&parts, &behind[1..]).contains("nodes: expected whole elements of FP32"));
    let mut unknown = request.clone();
    unknown["outputs"] = json!([{"name": "q"}, {"name": "q"}]);
    assert!(refusal(&unknown, &[]).contains("each at most once"));

    let text = request.to_string();
    for length in ["99999999", "-1", "many"] {
        let answer = service.send("POST", INFER, &[(LENGTH, length)], text.as_bytes());
        assert_eq!(answer.error(), (400, "invalid_header".to_owned()), "{length}");
    }
}

#[test]
fn every_version_that_the_metadata_lists_answers() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &[]);
    let request = golden_request(&Artifact::open(&fixture.model()).unwrap()).to_string();
    let metadata = service.get("/v2/models/policy").ok();
    let versions = metadata["versions"].as_array().unwrap();
    assert!(!versions.is_empty());
    for version in versions {
        let at = format!("/v2/models/policy/versions/{}", version.as_str().unwrap());
        assert_eq!(service.get(&at).ok(), metadata);
        assert_eq!(service.get(&format!("{at}/ready")).ok()["ready"], true);
        let answer = service.post(&format!("{at}/infer"), &request).ok();
        assert_eq!(answer["model_version"], *version);
    }
    for path in ["", "/ready"] {
        let answer = service.get(&format!("/v2/models/policy/versions/1{path}"));
        assert_eq!(answer.error(), (404, "unknown_version".to_owned()));
    }
    let answer = service.post("/v2/models/policy/versions/1/infer", &request);
    assert_eq!(answer.error(), (404, "unknown_version".to_owned()));
    let other = format!("/v2/models/other/versions/{}", versions[0].as_str().unwrap());
    assert_eq!(service.get(&other).error(), (404, "unknown_model".to_owned()));
}

#[test]
fn errors_of_the_protocol_are_a_sentence_whoever_refuses() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &["--max-body-bytes", "1000"]);
    for (method, path, headers, body, code) in [
        ("GET", "/v2/models/other", &[][..], &b""[..], "unknown_model"),
        ("GET", "/v2/nothing", &[], b"", "unknown_route"),
        ("GET", INFER, &[], b"", "wrong_method"),
        ("POST", INFER, &[], b"{", "malformed_json"),
        ("POST", INFER, &[], &[b' '; 1001], "body_too_large"),
        ("POST", INFER, &[("content-encoding", "gzip")], b"{}", "unsupported_encoding"),
        ("GET", "/v2", &[("origin", "http://x")], b"", "web_page"),
    ] {
        let answer = service.send(method, path, headers, body);
        assert!(answer.json()["error"].is_string(), "{path}: {}", answer.json());
        assert_eq!(answer.json().as_object().unwrap().len(), 1);
        assert_eq!(answer.error().1, code, "{path}");
        let counted = format!("godwit_scorer_requests_refused_total{{reason=\"{code}\"}}");
        assert_eq!(service.metric(&counted), 1.0, "{code}");
    }
    // Elsewhere they are documents.
    let elsewhere = service.get("/v20").json();
    assert_eq!(elsewhere["error"]["code"], "unknown_route");
}

#[test]
fn inference_gives_the_golden_values() {
    let fixture = Fixture::new("founding-3x3");
    for architecture in [Architecture::Relational, Architecture::Mlp] {
        write_artifact(&fixture.model(), &fixture.scenario, architecture, |_| {});
        let service = Service::start(&fixture, &[]);
        let artifact = Artifact::open(&fixture.model()).unwrap();
        let answer = service.post("/v2/models/policy/infer", golden_request(&artifact).to_string());
        let answer = answer.ok();
        assert_eq!(answer["id"], "mine");
        assert_eq!(answer["model_version"], artifact.sha256);
        let [q, action] = [0, 1].map(|i| &answer["outputs"][i]);
        assert_eq!((&q["name"], &action["name"]), (&json!("q"), &json!("action")));
        let golden = &artifact.golden[0].q;
        assert_eq!(q["shape"], json!([1, golden.len()]));
        for (got, golden) in q["data"].as_array().unwrap().iter().zip(golden) {
            assert_eq!(got.as_f64().unwrap() as f32, golden.max(f32::MIN));
        }
        let best = golden.iter().copied().fold(f32::MIN, f32::max);
        let first_best = golden.iter().position(|q| *q == best).unwrap();
        assert_eq!(action["data"], json!([first_best]));
        let metadata = service.get("/v2/models/policy").ok();
        let names: Vec<&Value> =
            metadata["inputs"].as_array().unwrap().iter().map(|input| &input["name"]).collect();
        assert_eq!(names.len(), 9);
        assert_eq!(metadata["versions"], json!([artifact.sha256]));
    }
}

#[test]
fn tensors_that_do_not_fit_are_refused() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &[]);
    let good = golden_request(&Artifact::open(&fixture.model()).unwrap());
    let refusal = |change: &dyn Fn(&mut Value)| {
        let mut request = good.clone();
        change(&mut request);
        let answer = service.post("/v2/models/policy/infer", request.to_string());
        assert_eq!(answer.error(), (400, "invalid_tensor".to_owned()));
        answer.message()
    };
    type Change<'a> = &'a dyn Fn(&mut Value);
    let cases: [(Change, &str); 11] = [
        (&|r: &mut Value| r["inputs"][2] = r["inputs"][1].clone(), "workloads: expected one"),
        (&|r: &mut Value| r["inputs"][0]["name"] = "node".into(), "node: expected none"),
        (&|r: &mut Value| r["inputs"][0]["datatype"] = "FP64".into(), "expected FP32, got FP64"),
        (&|r: &mut Value| r["inputs"][0]["shape"][0] = 2.into(), "nodes: expected shape [1, -1"),
        (&|r: &mut Value| r["inputs"][1]["data"] = json!([0.5]), "got 1"),
        (&|r: &mut Value| r["inputs"][2]["data"][0] = "a".into(), "a finite number"),
        (&|r: &mut Value| r["inputs"][2]["data"][0] = 1e300.into(), "a finite number"),
        (
            &|r: &mut Value| r["inputs"][4]["data"].as_array_mut().unwrap().fill(99.into()),
            "below 3, got 99",
        ),
        (&|r: &mut Value| r["inputs"][7]["data"][0] = (-2).into(), "placement: expected -1"),
        (&|r: &mut Value| r["inputs"][8]["data"][0] = false.into(), "mask: expected candidate 0"),
        (&|r: &mut Value| r["inputs"][8]["data"][1] = 1.into(), "true or false"),
    ];
    for (change, expected) in cases {
        let message = refusal(change);
        assert!(message.contains(expected), "{expected} in {message}");
    }
}

#[test]
fn inputs_that_overflow_the_network_are_refused() {
    let fixture = Fixture::new("founding-3x3");
    std::fs::write(fixture.model(), pretrained("founding-3x3").unwrap()).unwrap();
    let service = Service::start(&fixture, &[]);
    let mut request = golden_request(&Artifact::open(&fixture.model()).unwrap());
    for tensor in request["inputs"].as_array_mut().unwrap().iter_mut().skip(1).take(3) {
        tensor["data"].as_array_mut().unwrap().fill(3e38.into());
    }
    let answer = service.post("/v2/models/policy/infer", request.to_string());
    assert_eq!(answer.error(), (400, "invalid_tensor".to_owned()));
    let message = answer.message();
    assert!(message.contains("a finite value"), "{message}");
}
