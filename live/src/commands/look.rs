//! `snapshot` and `plan`: one look at the cluster; nothing is moved or remembered.

use std::io::{self, Write};

use anyhow::Context;

use crate::cli::{ConfigArgs, SnapshotArgs};
use crate::clusters;
use crate::config::Settings;
use crate::desk::Desk;
use crate::journal;
use crate::ledger::Ledger;

/// `godwit-live snapshot`.
///
/// # Errors
/// When the cluster cannot be seen.
pub fn snapshot(args: &SnapshotArgs) -> anyhow::Result<()> {
    let settings = Settings::load(&args.config.config)?;
    let mut opened = clusters::open(&settings)?;
    let seen = opened.cluster.source.look().context("the cluster cannot be seen")?;
    if args.notes {
        seen.notes.iter().try_for_each(|note| writeln!(io::stderr(), "{note}"))?;
    }
    writeln!(io::stdout(), "{}", seen.snapshot.to_json())?;
    Ok(())
}

/// `godwit-live plan`.
///
/// # Errors
/// When the cluster cannot be seen, or there is no decision about it.
pub fn plan(args: &ConfigArgs) -> anyhow::Result<()> {
    let settings = Settings::load(&args.config)?;
    let mut opened = clusters::open(&settings)?;
    // What a running one knows is read, and left to it.
    let known = journal::ledger(&settings.state).unwrap_or_else(|_| Ledger::default());
    let mut desk = Desk::aside(&settings, known.demoted)?;
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
