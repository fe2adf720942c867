//! The log: lines on standard error.

use std::{io, panic};

use tracing::Level;
use tracing_subscriber::fmt;

use crate::cli::serve_args::{LogArgs, LogFormat, LogLevel};

/// Logs what goes wrong, and nothing else: for a program whose output is read line by line.
pub fn log_errors() {
    let lines = fmt().with_max_level(Level::WARN).with_target(false).with_writer(io::stderr);
    lines.log_internal_errors(false).init();
}

/// Starts logging, and logs panics like everything else.
pub fn start(args: &LogArgs) {
    let level = match args.log_level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
    };
    let lines = fmt()
        .with_max_level(level)
        .with_target(false)
        .with_writer(io::stderr)
        // Nobody reads what could be said about a log that nobody reads.
        .log_internal_errors(false);
    match args.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let payload = panic.payload();
        let message = (payload.downcast_ref::<&str>().copied())
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        tracing::error!(place, message, "panic");
    }));
}
