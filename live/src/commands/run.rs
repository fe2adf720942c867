//! `run`: the loop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use tracing::Level;

use crate::cli::RunArgs;
use crate::clusters::{self, Opened};
use crate::config::Settings;
use crate::control::Control;
use crate::desk::Desk;
use crate::driver::{Driver, Pace};
use crate::journal::Journal;
use crate::web;

/// `godwit-live run`.
///
/// # Errors
/// When the configuration is wrong, or the journal cannot be written to.
pub fn run(args: &RunArgs) -> anyhow::Result<()> {
    let lines = tracing_subscriber::fmt().with_max_level(Level::INFO).with_target(false);
    lines.with_writer(io::stderr).log_internal_errors(false).init();
    let settings = Settings::load(&args.config.config)?;
    let journal = Journal::open(&settings.state)?;
    let desk = Desk::open(&settings, journal.ledger().demoted)?;
    let Opened { cluster, clock, world } = clusters::open(&settings, &desk.loaded().rules)?;
    let control = Arc::new(Control::default());
    if !settings.web.listen.is_empty() {
        let address = web::serve(&settings.web, Arc::clone(&control))?;
        tracing::info!("http://{address}/ shows what happens");
    }
    let told_to_stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The second one ends the process at once.
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&told_to_stop))?;
        signal_hook::flag::register(signal, Arc::clone(&told_to_stop))?;
    }
    let (mode, policy) = (settings.mode, &desk.loaded().name.scenario);
    tracing::info!(?mode, policy, state = %settings.state.display(), "begun");
    let pace = Pace {
        mode,
        interval_s: settings.interval_s,
        poll_s: settings.poll_s,
        moves: settings.moves.clone(),
    };
    let mut driver = Driver::new(cluster, desk, journal, clock, control, pace);
    driver.run(|driver| {
        told_to_stop.load(Ordering::Relaxed)
            || args.until_settled && driver.is_settled()
            || world.as_ref().is_some_and(clusters::is_over)
    })?;
    let open = driver.ledger().under_way().count();
    if open > 0 {
        tracing::warn!(open, "stopped with moves under way: the next start asks about them");
    }
    if let Some(standing) = world.as_ref().map(clusters::standing) {
        tracing::info!(ticks = standing.ticks, sum = standing.return_so_far, "the episode stands");
    }
    Ok(())
}
