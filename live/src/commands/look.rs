//! `snapshot` and `plan`: one look at the cluster; nothing is moved or remembered.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use godwit_decide::loaded::Loaded;
use godwit_envs::importers::{HISTORY_FORMAT, History};
use godwit_envs::input::{InputError, read_text};
use godwit_models::pretrained::GENERALIST;

use crate::cli::{ConfigArgs, HistoryArgs, SnapshotArgs};
use crate::clock::now_s;
use crate::cluster::Seen;
use crate::clusters::{self, kubernetes};
use crate::config::Settings;
use crate::desk::Desk;
use crate::journal;
use crate::ledger::Ledger;
use crate::prometheus;

/// `godwit-live snapshot`.
///
/// # Errors
/// When the cluster cannot be seen.
pub fn snapshot(args: &SnapshotArgs) -> anyhow::Result<()> {
    let seen = match &args.from {
        Some(dump) => of_dump(dump, &args.config.config)?,
        None => {
            let settings = Settings::load(&args.config.config)?;
            let loaded = Loaded::open(&settings.model)?;
            let mut opened = clusters::open(&settings, &loaded.rules)?;
            opened.cluster.source.look().context("the cluster cannot be seen")?
        }
    };
    if args.notes {
        seen.notes.iter().try_for_each(|note| writeln!(io::stderr(), "{note}"))?;
    }
    writeln!(io::stdout(), "{}", seen.snapshot.to_json())?;
    Ok(())
}

fn of_dump(dump: &Path, config: &Path) -> anyhow::Result<Seen> {
    let (model, table) = match config.exists() {
        true => {
            let settings = Settings::load(config)?;
            (settings.model, settings.kubernetes)
        }
        false => (GENERALIST.into(), None),
    };
    let rules = Loaded::open(&model)?.rules;
    let (text, label) = if dump == Path::new("-") {
        (io::read_to_string(io::stdin())?, "standard input".to_owned())
    } else {
        (read_text(dump)?, dump.display().to_string())
    };
    let (resources, table) = (clusters::resources(&rules), table.unwrap_or_default());
    Ok(kubernetes::snapshot_of_dump(&text, &resources, &table, now_s(), &label)?)
}

/// `godwit-live plan`.
///
/// # Errors
/// When the cluster cannot be seen, or there is no decision about it.
pub fn plan(args: &ConfigArgs) -> anyhow::Result<()> {
    let settings = Settings::load(&args.config)?;
    // What a running one knows is read, and left to it.
    let known = journal::ledger(&settings.state).unwrap_or_else(|_| Ledger::default());
    let mut desk = Desk::aside(&settings, known.demoted)?;
    let mut opened = clusters::open(&settings, &desk.loaded().rules)?;
    let seen = opened.cluster.source.look().context("the cluster cannot be seen")?;
    let mut snapshot = seen.snapshot;
    snapshot.taken_at_s = snapshot.taken_at_s.or(Some(opened.clock.now_s()));
    if settings.moves.calibrate {
        known.calibration.correct(&mut snapshot);
    }
    let answer = desk.decide(snapshot, "aside".to_owned())?;
    writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&answer.document)?)?;
    Ok(())
}

/// `godwit-live history`.
///
/// # Errors
/// When the cluster or Prometheus cannot be asked, or the file cannot be written.
pub fn history(args: &HistoryArgs) -> anyhow::Result<()> {
    let settings = Settings::load(&args.config.config)?;
    let label = args.config.config.display().to_string();
    let Some(asked) = &settings.prometheus else {
        let expected = "a table that says what to ask Prometheus";
        return Err(InputError::field(label, "prometheus", expected, "none").into());
    };
    let loaded = Loaded::open(&settings.model)?;
    let tick_s = f64::from(loaded.rules.episode.tick_s);
    let ticks = args.days * 86_400.0 / tick_s;
    if !(2.0..=1e7).contains(&ticks) {
        let expected = format!("between 2 and 10000000 ticks of {tick_s} s");
        let got = format!("{} days", args.days);
        return Err(InputError::field("the command line", "--days", expected, got).into());
    }
    let mut opened = clusters::open(&settings, &loaded.rules)?;
    let seen = opened.cluster.source.look().context("the cluster cannot be seen")?;
    let history = History {
        format: HISTORY_FORMAT.to_owned(),
        snapshot: seen.snapshot,
        workload_label: asked.workload_label.clone(),
        recorded: prometheus::history(asked, &settings.folder, tick_s, ticks as usize)?,
    };
    // Whole or not at all.
    let new = args.out.with_extension("new");
    let written = fs::write(&new, serde_json::to_string(&history)?)
        .and_then(|()| fs::rename(&new, &args.out));
    written.with_context(|| format!("{}: cannot be written", args.out.display()))
}
