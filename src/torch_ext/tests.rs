#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

use std::fs;

use tch::{CModule, Device, IValue, Kind, Tensor};

use super::*;

const SOURCE: &str = r"
def forward(self, x: Tensor, mask: Tensor) -> Tensor:
    q = torch.matmul(x, self.head_weight.t()) * self.scale + self.head_bias
    return q.masked_fill(torch.logical_not(mask), -1e30)

def act(self, x: Tensor, mask: Tensor) -> Tensor:
    return torch.argmax(self.forward(x, mask), 1)

def about(self) -> Tuple[str, int]:
    return self.architecture, self.inputs
";

fn weights() -> (Tensor, Tensor) {
    let weight = Tensor::from_slice2(&[[1f32, 2.0], [3.0, 4.0], [-1.0, 0.5]]);
    // Weights in training require grad, and the exported ones must not.
    (weight.set_requires_grad(true), Tensor::from_slice(&[0.5f32, 0.0, 9.0]))
}

fn export(path: &Path, source: &str) -> Result<(), ScriptModuleError> {
    let (weight, bias) = weights();
    export_script_module(
        path,
        source,
        &[("head_weight".to_owned(), &weight), ("head_bias".to_owned(), &bias)],
        &[
            ("scale".to_owned(), Constant::Real(2.0)),
            ("inputs".to_owned(), Constant::Integer(2)),
            ("architecture".to_owned(), Constant::Text("mlp".to_owned())),
        ],
        &[
            ("manifest.json".to_owned(), br#"{"format": 1}"#.to_vec()),
            ("weights.safetensors".to_owned(), vec![0, 255, 7]),
            ("empty".to_owned(), Vec::new()),
        ],
    )
}

#[test]
fn module_loads_and_computes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.pt");
    export(&path, SOURCE).unwrap();

    let module = CModule::load(&path).unwrap();
    for rows in [1, 3] {
        let x = Tensor::from_slice2(&[[1f32, -1.0]]).repeat([rows, 1]);
        let mask = Tensor::from_slice(&[true, true, false]).expand([rows, 3], true);
        let q = module.forward_ts(&[&x, &mask]).unwrap();
        let expected = Tensor::from_slice2(&[[-1.5f32, -2.0, -1e30]]).repeat([rows, 1]);
        assert_eq!(q, expected);
        let action = module.method_ts("act", &[&x, &mask]).unwrap();
        assert_eq!(action, Tensor::zeros([rows], (Kind::Int64, Device::Cpu)));
    }
    let about = module.method_is("about", &[] as &[IValue]).unwrap();
    let expected = IValue::Tuple(vec![IValue::String("mlp".to_owned()), IValue::Int(2)]);
    assert_eq!(about, expected);
}

#[test]
fn parameters_keep_names_and_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.pt");
    export(&path, SOURCE).unwrap();

    let mut named = CModule::load(&path).unwrap().named_parameters().unwrap();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    let (weight, bias) = weights();
    assert_eq!(named.len(), 2);
    assert_eq!(named[0].0, "head_bias");
    assert_eq!(named[0].1, bias);
    assert_eq!(named[1].0, "head_weight");
    assert_eq!(named[1].1, weight);
}

#[test]
fn extra_files_are_in_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.pt");
    export(&path, SOURCE).unwrap();

    // libtorch stores records uncompressed, so name and content are in plain sight.
    let bytes = fs::read(&path).unwrap();
    for wanted in ["policy/extra/manifest.json", r#"{"format": 1}"#, "policy/extra/empty"] {
        let found = bytes.windows(wanted.len()).any(|window| window == wanted.as_bytes());
        assert!(found, "{wanted} is not in the archive");
    }
}

#[test]
fn faulty_source_is_an_error_not_an_abort() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.pt");
    let error = export(&path, "def forward(self, x: Tensor):\n    return self.nothing\n");
    let text = error.unwrap_err().to_string();
    assert!(text.contains("nothing"), "{text}");
    assert!(!text.contains("frame #"), "a C++ backtrace in {text}");

    let text = export(&path, "this is no source").unwrap_err().to_string();
    assert!(text.starts_with("libtorch could not make the script module"), "{text}");
    assert!(!path.exists());
}

#[test]
fn unwritable_path_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = export(&folder.path().join("missing/policy.pt"), SOURCE).unwrap_err();
    assert!(matches!(error, ScriptModuleError::Libtorch { .. }), "{error}");
}

#[test]
fn names_that_source_cannot_say_are_refused() {
    let tensor = Tensor::from_slice(&[1f32]);
    for name in ["", "a.b", "1a", "a-b", "\u{e4}"] {
        let parameters = [(name.to_owned(), &tensor)];
        let error = export_script_module(Path::new("unused.pt"), SOURCE, &parameters, &[], &[]);
        assert!(matches!(error, Err(ScriptModuleError::Name { .. })), "{name:?}");
    }
    let twice = [("a".to_owned(), &tensor), ("a".to_owned(), &tensor)];
    let error = export_script_module(Path::new("unused.pt"), SOURCE, &twice, &[], &[]);
    assert!(matches!(error, Err(ScriptModuleError::Libtorch { .. })));
}
