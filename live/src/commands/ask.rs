//! `halt`, `resume` and `abort`: something is asked of the running one.

use std::io::{self, Write};

use crate::cli::{AbortArgs, ConfigArgs};
use crate::config::Settings;
use crate::running;

/// `godwit-live halt`.
///
/// # Errors
/// When nobody answers, or says no.
pub fn halt(args: &ConfigArgs) -> anyhow::Result<()> {
    ask(args, "/v1/halt", "halted: no more moves begin; those under way go on")
}

/// `godwit-live resume`.
///
/// # Errors
/// When nobody answers, or says no.
pub fn resume(args: &ConfigArgs) -> anyhow::Result<()> {
    ask(args, "/v1/resume", "resumed")
}

/// `godwit-live abort`.
///
/// # Errors
/// When nobody answers, or says no.
pub fn abort(args: &AbortArgs) -> anyhow::Result<()> {
    let path = format!("/v1/abort?order={}", args.order);
    ask(&args.config, &path, "asked for; `godwit-live status` tells what comes of it")
}

fn ask(args: &ConfigArgs, path: &str, told: &str) -> anyhow::Result<()> {
    let settings = Settings::load(&args.config)?;
    running::post(&settings.web, path)?;
    writeln!(io::stdout(), "{told}")?;
    Ok(())
}
