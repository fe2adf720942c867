//! Any cluster, through a program of yours: one JSON document in and one out for each call.

mod protocol;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use godwit_envs::input::parse_json;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cluster::{
    CallError, Cluster, Executor, Handle, Order, Progress, Promises, Seen, Source, Whereabouts,
};
use crate::program::{self, RunError};
use protocol::{Call, Failure, Found, Looked, Promised, Started, Watched};

/// A cluster that a program speaks for: the table `[command]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The program: a path, or a name to be found on `PATH`. It is started anew for each call, in the
    /// folder of the settings' file.
    pub program: PathBuf,
    /// What it is started with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Whether it also moves workloads: it is then asked for its promises when it is opened.
    /// Otherwise it is only asked to `look`.
    #[serde(default)]
    pub moves: bool,
    /// Longest that a call may take, seconds. The program and all that it started are then killed, and
    /// what the call did counts as unknown.
    #[serde(default = "timeout")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_s: u32,
}

/// Why a program cannot be used as the settings say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The time-out is out of its range.
    #[error("timeout_s: expected 1 to 3600 seconds, got {0}")]
    Timeout(u32),
    /// It does not tell what its moves promise.
    #[error("program: expected its promises, got: {0}")]
    Promises(CallError),
}

/// A cluster as the settings say, of which `folder` is where the program runs. Where it moves
/// workloads, it is asked for its promises.
///
/// # Errors
/// When a setting makes no sense, or the program does not tell its promises.
pub fn open(settings: &Settings, folder: &Path) -> Result<Cluster, OpenError> {
    if !(1..=3600).contains(&settings.timeout_s) {
        return Err(OpenError::Timeout(settings.timeout_s));
    }
    let program = Arc::new(Program { settings: settings.clone(), folder: folder.to_owned() });
    let executor: Option<Arc<dyn Executor>> = if settings.moves {
        let Promised { promises } = program.ask(&Call::Promises).map_err(OpenError::Promises)?;
        Some(Arc::new(CommandExecutor { program: program.clone(), promises }))
    } else {
        None
    };
    Ok(Cluster { source: Box::new(CommandSource(program)), executor })
}

/// The program.
struct Program {
    settings: Settings,
    folder: PathBuf,
}

impl Program {
    fn ask<T: DeserializeOwned>(&self, call: &Call) -> Result<T, CallError> {
        let Settings { program, arguments, timeout_s, .. } = &self.settings;
        let name = program.display();
        let mut command = Command::new(program::found(program, &self.folder));
        command.args(arguments);
        if !self.folder.as_os_str().is_empty() {
            command.current_dir(&self.folder);
        }
        // Serialising fails only for maps with keys that are not strings: there is none.
        let input = serde_json::to_string(call).expect("a call only holds what JSON can express");
        let output = program::run(command, &input, Duration::from_secs((*timeout_s).into()));
        let output = output.map_err(|error| match error {
            RunError::NotStarted { .. } => {
                CallError::Later { reason: error.to_string(), after: None }
            }
            _ => CallError::Unknown(error.to_string()),
        })?;
        if !output.success {
            return Err(CallError::Unknown(format!("{name}: {}", output.complaint())));
        }
        if let Ok(failure) = serde_json::from_str::<Failure>(&output.stdout) {
            return Err(failure.into());
        }
        let label = format!("{name}: answer to {:?}", call.name());
        parse_json(&output.stdout, &label).map_err(|error| {
            let told = output.complaint();
            CallError::Unknown(format!("{error} ({told})"))
        })
    }
}

struct CommandSource(Arc<Program>);

impl Source for CommandSource {
    fn look(&mut self) -> Result<Seen, CallError> {
        let Looked { snapshot, notes } = self.0.ask(&Call::Look)?;
        let label = self.0.settings.program.display().to_string();
        snapshot.validate(&label).map_err(|error| CallError::Refused(error.to_string()))?;
        Ok(Seen { snapshot, notes })
    }
}

struct CommandExecutor {
    program: Arc<Program>,
    promises: Promises,
}

impl Executor for CommandExecutor {
    fn promises(&self) -> Promises {
        self.promises
    }

    fn start(&self, order: &Order) -> Result<Handle, CallError> {
        self.program.ask(&Call::Start { order }).map(|Started { handle }| handle)
    }

    fn watch(&self, order: &Order, handle: &Handle) -> Result<Progress, CallError> {
        self.program.ask(&Call::Watch { order, handle }).map(|Watched { progress }| progress)
    }

    fn cancel(&self, order: &Order, handle: &Handle) -> Result<(), CallError> {
        self.program.ask(&Call::Cancel { order, handle }).map(|protocol::Done {}| ())
    }

    fn find(&self, order: &Order) -> Result<Whereabouts, CallError> {
        self.program.ask(&Call::Find { order }).map(|Found { whereabouts }| whereabouts.into())
    }
}

fn timeout() -> u32 {
    60
}
