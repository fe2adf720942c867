//! What unit tests of the service share.

use std::sync::Arc;

use clap::Parser;
use tokio::time::Instant;

use super::app::{App, Arrival, Shared};
use super::model::live_model::LiveModel;
use super::settings::Settings;
use crate::cli::{Cli, Command};

/// A service that listens nowhere, with these arguments and a model of its own.
pub fn app(arguments: &str) -> Shared {
    let cli = format!("godwit-scorer serve --model founding-3x3 --workers 1 {arguments}");
    let Command::Serve(args) = Cli::parse_from(cli.split_whitespace()).command else {
        panic!("no serve")
    };
    let settings = Settings::new(&args).unwrap();
    let model = LiveModel::open(settings.model.clone(), false).unwrap();
    Arc::new(App::start(settings, Arc::new(model)).unwrap())
}

/// A request that comes now.
pub fn arrival(app: &App) -> Arrival {
    let at = Instant::now();
    Arrival { id: "test".to_owned(), at, until: at + app.settings.bounds.request_timeout }
}
