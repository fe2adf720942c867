//! Other programs' clients and checkers, where they are there (`scripts/setup_clients.py`).

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use godwit_models::artifact::Artifact;
use serde_json::Value;

use crate::support::Fixture;
use crate::support::samples::golden_request;
use crate::support::service::Service;

/// Runs a script of `tests/python` with the first python3 that imports what it needs; `None`, with
/// the reason on standard error, where none does.
fn script(name: &str, needs: &str, arguments: &[&str]) -> Option<Output> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = here.join("../.clients");
    let given = std::env::var_os("GODWIT_PYTHON").map(PathBuf::from);
    let pythons = given.into_iter().chain([PathBuf::from("python3")]);
    for python in pythons {
        let command = || {
            let mut command = Command::new(&python);
            command.env("PYTHONPATH", &packages);
            command
        };
        let imports = command().args(["-c", &format!("import {needs}")]).output();
        if imports.is_ok_and(|output| output.status.success()) {
            let script = here.join("tests/python").join(name);
            return Some(command().arg(script).args(arguments).output().unwrap());
        }
    }
    eprintln!("skipped: no python3 imports {needs}; run scripts/setup_clients.py");
    None
}

fn printed(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_interface_passes_the_validator_of_openapi() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &[]);
    let file = fixture.path("openapi.json");
    std::fs::write(&file, service.get("/openapi.json").body).unwrap();
    let needs = "openapi_spec_validator";
    if let Some(output) = script("openapi.py", needs, &[file.to_str().unwrap()]) {
        printed(&output);
    }
}

#[test]
fn the_client_of_triton_gets_the_golden_values() {
    let fixture = Fixture::new("founding-3x3");
    let service = Service::start(&fixture, &[]);
    let artifact = Artifact::open(&fixture.model()).unwrap();
    let file = fixture.path("request.json");
    let mut request = golden_request(&artifact);
    // Its arrays have one depth.
    let nodes = request["inputs"][0]["data"].take();
    request["inputs"][0]["data"] = nodes[0]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap().clone())
        .collect();
    std::fs::write(&file, request.to_string()).unwrap();
    let address = service.url.split("//").nth(1).unwrap();
    let arguments = [address, file.to_str().unwrap()];
    let Some(output) = script("triton.py", "tritonclient.http", &arguments) else { return };
    let answer: Value = serde_json::from_str(&printed(&output)).unwrap();
    let golden = &artifact.golden[0].q;
    let q = answer["q"][0].as_array().unwrap();
    assert_eq!(q.len(), golden.len());
    for (got, golden) in q.iter().zip(golden) {
        assert_eq!(got.as_f64().unwrap() as f32, golden.max(f32::MIN));
    }
}
