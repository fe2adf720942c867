//! `status`, `journal` and `schema`: what is told.

use std::io::{self, Write};

use anyhow::Context;
use serde_json::Value;

use crate::cli::{JournalArgs, TellArgs};
use crate::config::Settings;
use crate::{journal, running};

/// `godwit-live status`.
///
/// # Errors
/// When nobody answers.
pub fn status(args: &TellArgs) -> anyhow::Result<()> {
    let settings = Settings::load(&args.config.config)?;
    let view = running::get(&settings.web, "/v1/status")?;
    if args.json {
        writeln!(io::stdout(), "{view}")?;
        return Ok(());
    }
    let mut out = io::stdout().lock();
    let text = |value: &Value| value.as_str().map(str::to_owned).unwrap_or(value.to_string());
    writeln!(out, "mode: {}", text(&view["mode"]))?;
    for (name, key) in [("halted", "halted"), ("cluster not seen", "unseen")] {
        if !view[key].is_null() {
            writeln!(out, "{name}: {}", text(&view[key]))?;
        }
    }
    let nodes = view["nodes"].as_array().map_or(0, Vec::len) as u64;
    let omitted = view["nodes_omitted"].as_u64().unwrap_or(0);
    writeln!(out, "cluster: {} nodes, {} workloads", nodes + omitted, view["workloads"])?;
    if let Some(decision) = view["decision"].as_object() {
        writeln!(out, "last decision: {}", text(&decision["reason"]))?;
    }
    for planned in view["moves"].as_array().into_iter().flatten() {
        let (order, stage) = (&planned["order"], &planned["stage"]);
        let share = stage["share"].as_f64().map(|share| format!(" {:.0} %", 100.0 * share));
        let outcome = stage.get("outcome").unwrap_or(&stage["stage"]);
        writeln!(
            out,
            "{}: {} from {} to {}: {}{}",
            text(&order["id"]),
            text(&order["workload"]),
            text(&order["source"]),
            text(&order["destination"]),
            text(outcome).replace('_', " "),
            share.unwrap_or_default()
        )?;
    }
    for (outcome, count) in view["outcomes"].as_object().into_iter().flatten() {
        writeln!(out, "{} so far: {count}", outcome.replace('_', " "))?;
    }
    for alert in view["alerts"].as_array().into_iter().flatten().take(5) {
        writeln!(out, "alert: {}", text(&alert[1]))?;
    }
    Ok(())
}

/// `godwit-live journal`.
///
/// # Errors
/// When the journal cannot be read.
pub fn journal(args: &JournalArgs) -> anyhow::Result<()> {
    let settings = Settings::load(&args.config.config)?;
    let state = settings.state.display();
    let records = journal::records(&settings.state);
    let records = records.with_context(|| format!("state {state}: the journal cannot be read"))?;
    let mut out = io::stdout().lock();
    for record in &records[records.len().saturating_sub(args.last)..] {
        let mut document = serde_json::to_value(record)?;
        if args.json {
            writeln!(out, "{document}")?;
            continue;
        }
        let Some(fields) = document.as_object_mut() else { continue };
        fields.remove("at_s");
        let event = fields.remove("event").unwrap_or_default();
        if let Some(plan) = fields.remove("plan") {
            let moves = plan["moves"].as_array().map_or(0, Vec::len);
            fields.insert("moves".to_owned(), moves.into());
        }
        let told: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let event = event.as_str().unwrap_or_default().to_owned();
        writeln!(out, "{:.3} {event} {}", record.at_s, told.join(" "))?;
    }
    Ok(())
}

/// `godwit-live schema`.
///
/// # Errors
/// When standard output is closed.
pub fn schema() -> anyhow::Result<()> {
    let schema = schemars::schema_for!(Settings);
    writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&schema)?)?;
    Ok(())
}
