//! `inspect` and `schema`: what there is to know before a decision.

use std::io::{self, Write};

use godwit_decide::decision::Decision;
use godwit_envs::snapshot::Snapshot;
use godwit_models::artifact::{Artifact, Evaluation};
use godwit_models::network_policy::Base;
use godwit_models::shell::ShellRules;
use serde_json::Value;

use crate::cli::file_args::{Format, InspectArgs};

/// `godwit-scorer inspect`.
pub fn inspect(args: &InspectArgs) -> anyhow::Result<()> {
    let artifact = Artifact::open(&args.artifact)?;
    let text = if args.json {
        serde_json::to_string_pretty(&artifact.manifest)? + "\n"
    } else {
        describe(&artifact)
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// `godwit-scorer schema`.
pub fn schema(format: Format) -> anyhow::Result<()> {
    let schema = match format {
        Format::Snapshot => Snapshot::json_schema(),
        Format::Plan => schemars::schema_for!(Decision).to_value(),
        Format::Limits => schemars::schema_for!(ShellRules).to_value(),
    };
    writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&schema)?)?;
    Ok(())
}

fn describe(artifact: &Artifact) -> String {
    let m = &artifact.manifest;
    let mut sheet = Sheet::default();
    sheet.row("artifact", artifact.path.display());
    sheet.row("sha256", &artifact.sha256);
    sheet.row(
        "format",
        format!("{}, by godwit {} with libtorch {}", m.format, m.producer, m.libtorch),
    );

    let n = &m.network;
    sheet.heading("network");
    let architecture = serde_json::to_value(n.architecture).unwrap_or_default();
    sheet.row("architecture", plain(&architecture));
    sheet.row(
        "widths",
        format!("hidden {}, heads {}, dueling {}", n.hidden, n.head_hidden, n.dueling),
    );
    sheet.row("weights", n.parameter_count());
    sheet.row(
        "serves",
        n.fixed.map_or("any number of nodes and workloads".to_owned(), |fixed| {
            format!("{} nodes and {} workloads", fixed.nodes, fixed.workloads)
        }),
    );

    if let Some(Base { baseline, parameters, margin }) = &m.base {
        sheet.heading("base");
        sheet.row("baseline", baseline);
        for (name, value) in parameters {
            sheet.row(name, value);
        }
        let margin = margin.map_or("the network is never followed".to_owned(), |margin| {
            format!("the network is followed where it is ahead by more than {margin}")
        });
        sheet.row("margin", margin);
    }

    sheet.heading("schema");
    sheet.row("hash", &m.schema_hash);
    for (group, features) in [
        ("node", &m.schema.node),
        ("workload", &m.schema.workload),
        ("global", &m.schema.global),
        ("candidate", &m.schema.candidate),
    ] {
        let names: Vec<&str> = features.iter().map(|feature| feature.name.as_str()).collect();
        sheet.row(group, format!("{} features: {}", names.len(), names.join(", ")));
    }

    sheet.heading("scenario");
    sheet.row("name", &m.scenario_name);
    sheet.row("sha256", &m.scenario_sha256);
    sheet.value("rules", &m.rules);

    sheet.heading("training");
    sheet.value("", &m.training);

    sheet.heading("evaluation");
    if m.evaluation.is_empty() {
        sheet.row("none", "the artifact states no results");
    }
    for row in &m.evaluation {
        sheet.row(&row.policy, result(row));
    }
    sheet.0
}

fn result(row: &Evaluation) -> String {
    let terms: Vec<String> =
        row.terms.iter().map(|(name, mean)| format!("{name} {mean:.4}")).collect();
    let Evaluation { scenario, seeds, first_seed, mean_return, standard_error, .. } = row;
    format!(
        "{scenario}: return {mean_return:.4} +- {standard_error:.4} over {seeds} seeds from \
         {first_seed}; {}",
        terms.join(", ")
    )
}

/// Rows of a name and a value below headings.
#[derive(Default)]
struct Sheet(String);

impl Sheet {
    fn heading(&mut self, name: &str) {
        self.0.push_str(&format!("\n{name}\n"));
    }

    fn row(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0.push_str(&format!("  {name:<24} {value}\n"));
    }

    /// One row per number or text, named by its path.
    fn value(&mut self, path: &str, value: &Value) {
        let join =
            |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, v)| self.value(&join(key), v)),
            Value::Null => {}
            other => self.row(path, plain(other)),
        }
    }
}

/// Text without its quotes, everything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
