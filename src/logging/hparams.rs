//! What TensorBoard's hyper-parameter view reads: the searched settings of an experiment, and
//! their values in each run (`plugins/hparams/plugin_data.proto` and `api.proto` of TensorBoard).

use super::tensorboard::{TensorBoard, bytes, varint};
use anyhow::Context;
use std::path::Path;

/// A searched setting.
#[derive(Debug, Clone, PartialEq)]
pub struct HyperParameter {
    /// Its key.
    pub key: String,
    /// What it may be.
    pub domain: HyperDomain,
}

/// What a setting may be.
#[derive(Debug, Clone, PartialEq)]
pub enum HyperDomain {
    /// One of these.
    Discrete(Vec<HyperValue>),
    /// A number between the two, ends included.
    Interval(f64, f64),
}

/// Value of a setting.
#[derive(Debug, Clone, PartialEq)]
pub enum HyperValue {
    /// A number.
    Number(f64),
    /// A switch.
    Switch(bool),
    /// Anything else.
    Text(String),
}

/// The scalar by which runs are compared.
const METRIC: &str = "evaluation/best";

/// Declares the searched settings in the directory above the runs, replacing what was declared.
///
/// # Errors
/// When the file cannot be written.
pub fn write_experiment(directory: &Path, parameters: &[HyperParameter]) -> anyhow::Result<()> {
    let mut experiment = Vec::new();
    for parameter in parameters {
        // HParamInfo { name = 1, type = 4, domain_discrete = 5, domain_interval = 6, differs = 7 }
        let mut info = Vec::new();
        bytes(&mut info, 1, parameter.key.as_bytes());
        info.push(4 << 3);
        varint(&mut info, parameter.domain.data_type());
        match &parameter.domain {
            HyperDomain::Discrete(values) => {
                let mut list = Vec::new();
                values.iter().for_each(|value| bytes(&mut list, 1, &value.encoded()));
                bytes(&mut info, 5, &list);
            }
            HyperDomain::Interval(min, max) => {
                let mut interval = Vec::new();
                double(&mut interval, 1, *min);
                double(&mut interval, 2, *max);
                bytes(&mut info, 6, &interval);
            }
        }
        info.extend([7 << 3, 1]);
        bytes(&mut experiment, 4, &info);
    }
    // MetricInfo { name = 1 { tag = 2 }, dataset_type = 5 (2: validation) }
    let mut name = Vec::new();
    bytes(&mut name, 2, METRIC.as_bytes());
    let mut metric = Vec::new();
    bytes(&mut metric, 1, &name);
    metric.extend([5 << 3, 2]);
    bytes(&mut experiment, 5, &metric);
    write(directory, "_hparams_/experiment", 2, &experiment)
}

/// Declares a run's values of the searched settings. Runs of one `group` are averaged.
///
/// # Errors
/// When the file cannot be written.
pub fn write_session(
    directory: &Path,
    group: &str,
    values: &[(String, HyperValue)],
) -> anyhow::Result<()> {
    // SessionStartInfo { hparams = 1 (a map), group_name = 4 }
    let mut session = Vec::new();
    for (key, value) in values {
        let mut entry = Vec::new();
        bytes(&mut entry, 1, key.as_bytes());
        bytes(&mut entry, 2, &value.encoded());
        bytes(&mut session, 1, &entry);
    }
    bytes(&mut session, 4, group.as_bytes());
    write(directory, "_hparams_/session_start_info", 3, &session)
}

/// An event file of its own that sorts before those of the run: TensorBoard reads the files of a
/// directory in this order and never goes back to one.
fn write(directory: &Path, tag: &str, kind: u8, message: &[u8]) -> anyhow::Result<()> {
    let path = directory.join("events.out.tfevents.0000000000.godwit.hparams");
    // HParamsPluginData { version = 1 (0, left out), experiment = 2, session_start_info = 3 }
    let mut content = Vec::new();
    bytes(&mut content, kind, message);
    // SummaryMetadata { plugin_data = 1 { plugin_name = 1, content = 2 }, data_class = 4 (tensor) }
    let mut plugin = Vec::new();
    bytes(&mut plugin, 1, b"hparams");
    bytes(&mut plugin, 2, &content);
    let mut metadata = Vec::new();
    bytes(&mut metadata, 1, &plugin);
    metadata.extend([4 << 3, 2]);
    // TensorProto { dtype = 1 (float), tensor_shape = 2 { dim = 2 { size = 1: 1 } }, float_val = 5 }
    let tensor = [1 << 3, 1, 2 << 3 | 2, 4, 2 << 3 | 2, 2, 1 << 3, 1, 5 << 3 | 2, 4, 0, 0, 0, 0];
    // Summary { value = 1 { tag = 1, tensor = 8, metadata = 9 } } in Event { summary = 5 }
    let mut value = Vec::new();
    bytes(&mut value, 1, tag.as_bytes());
    bytes(&mut value, 8, &tensor);
    bytes(&mut value, 9, &metadata);
    let mut summary = Vec::new();
    bytes(&mut summary, 1, &value);
    let mut event = Vec::new();
    bytes(&mut event, 5, &summary);
    let failed = || format!("{}: cannot write", path.display());
    TensorBoard::at(path.clone())?.event(0, &event).with_context(failed)
}

impl HyperDomain {
    /// `DataType`: 1 text, 2 switch, 3 number; 0 where the values are of different kinds.
    fn data_type(&self) -> u64 {
        let kind = |value: &HyperValue| match value {
            HyperValue::Text(_) => 1,
            HyperValue::Switch(_) => 2,
            HyperValue::Number(_) => 3,
        };
        match self {
            HyperDomain::Interval(..) => 3,
            HyperDomain::Discrete(values) => {
                let first = values.first().map_or(0, kind);
                if values.iter().all(|value| kind(value) == first) { first } else { 0 }
            }
        }
    }
}

impl HyperValue {
    /// `google.protobuf.Value { number_value = 2, string_value = 3, bool_value = 4 }`
    fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            HyperValue::Number(number) => double(&mut out, 2, *number),
            HyperValue::Switch(on) => out.extend([4 << 3, u8::from(*on)]),
            HyperValue::Text(text) => bytes(&mut out, 3, text.as_bytes()),
        }
        out
    }
}

fn double(out: &mut Vec<u8>, field: u8, value: f64) {
    out.push(field << 3 | 1);
    out.extend(value.to_le_bytes());
}
