//! The directory of a run.

use super::error::CheckpointError;
use super::names;
use super::stage::{rename, sync_directory};
use super::state::State;
use super::texts::{config_text, scenario_files};
use crate::config::TrainConfig;
use crate::experience::comparisons::Iteration;
use crate::train::mixture::Mixture;
use crate::train::trainer::Counters;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// The checkpoint that training goes on from.
pub(super) const LAST: &str = "last";
/// The one before it.
pub(super) const PREVIOUS: &str = "previous";
/// The weights with the best validation return.
pub(super) const BEST: &str = "best";
/// What the comparisons of a later part of the run improve on, with the number of parts before it.
pub(super) const ITERATION: &str = "iteration-";
/// Where the best weights wait while they are replaced.
pub(super) const BEST_BEFORE: &str = "best.before";
const LOCK: &str = ".lock";

/// The directory of one run, held by this process: two processes never train in the same one.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    // The lock goes with the process, however it ends.
    _lock: File,
}

/// Writes scenarios as files that can be read on their own into a folder, which is made if it is not
/// there.
///
/// # Errors
/// When it cannot be written.
pub fn write_scenarios(folder: &Path, mixture: &Mixture) -> Result<(), CheckpointError> {
    fs::create_dir_all(folder).map_err(CheckpointError::io(folder, "create"))?;
    for (name, text) in scenario_files(mixture) {
        let path = folder.join(&name);
        fs::write(&path, text).map_err(CheckpointError::io(&path, "write"))?;
    }
    Ok(())
}

impl RunDirectory {
    /// Makes the directory of a new run and writes its `config.toml`, `scenario.toml` (and
    /// `scenario-2.toml` and so on, where there are several) and, where a scenario has a snapshot,
    /// `scenario.snapshot.json`.
    ///
    /// # Errors
    /// When something is there already, or the directory cannot be written.
    pub fn create(
        path: impl AsRef<Path>,
        mixture: &Mixture,
        config: &TrainConfig,
    ) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        fs::create_dir_all(path).map_err(CheckpointError::io(path, "create"))?;
        Self::check_free(path)?;
        let directory = Self::lock(path)?;
        let config = config_text(config, &path.join(names::CONFIG))?;
        write_scenarios(path, mixture)?;
        let file = path.join(names::CONFIG);
        fs::write(&file, config).map_err(CheckpointError::io(&file, "write"))?;
        sync_directory(path)?;
        Ok(directory)
    }

    /// Whether a run may begin in this directory, which need not exist.
    ///
    /// # Errors
    /// When there is something in it, or it would be below a file.
    pub fn check_free(path: &Path) -> Result<(), CheckpointError> {
        if !path.exists() {
            let above = path.ancestors().skip(1).find(|above| above.exists());
            return match above.is_none_or(Path::is_dir) {
                true => Ok(()),
                false => Err(CheckpointError::io(path, "create")(ErrorKind::NotADirectory.into())),
            };
        }
        let mut entries = fs::read_dir(path).map_err(CheckpointError::io(path, "list"))?;
        // A lock file alone is what a run that failed before its start leaves.
        if entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != LOCK)) {
            let run = path.join(names::CONFIG).exists();
            let holds =
                if run { "a run (resume it, or choose another directory)" } else { "other files" };
            return Err(CheckpointError::NotEmpty { path: path.to_owned(), holds });
        }
        Ok(())
    }

    /// Replaces `config.toml` where it does not say these settings, which hold from env step `since`
    /// on: a run may be resumed with a new end. What held before is kept as
    /// `config.until-SINCE.toml`.
    ///
    /// # Errors
    /// When it cannot be written; the old one is then still there.
    pub fn keep_config(&self, config: &TrainConfig, since: u64) -> Result<(), CheckpointError> {
        let path = self.path.join(names::CONFIG);
        let before = fs::read_to_string(&path).map_err(CheckpointError::io(&path, "read"))?;
        if toml::from_str::<TrainConfig>(&before).is_ok_and(|before| before == *config) {
            return Ok(());
        }
        let text = config_text(config, &path)?;
        self.replace(&format!("config.until-{since}.toml"), &before)?;
        self.replace(names::CONFIG, &text)?;
        sync_directory(&self.path)
    }

    /// Writes a file of the run's folder whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn replace(&self, name: &str, text: &str) -> Result<(), CheckpointError> {
        let path = self.path.join(name);
        let temporary = self.path.join(format!("{name}.tmp-{}", std::process::id()));
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        };
        write().map_err(|error| {
            // Best effort: what is left is removed when the run is next opened.
            let _ = fs::remove_file(&temporary);
            CheckpointError::io(&path, "write")(error)
        })
    }

    /// Takes hold of an existing run, to resume it, and tidies what a kill has left behind.
    ///
    /// # Errors
    /// When it is no run, another process holds it, or it cannot be written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        if !path.join(names::CONFIG).is_file() {
            return Err(CheckpointError::NoCheckpoint { path: path.to_owned() });
        }
        let directory = Self::lock(path)?;
        directory.tidy()?;
        Ok(directory)
    }

    fn lock(path: &Path) -> Result<Self, CheckpointError> {
        let file = path.join(LOCK);
        let lock = File::create(&file).map_err(CheckpointError::io(&file, "create"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(CheckpointError::Locked { path: path.to_owned() }),
            // Some network file systems have no locks; that is no reason not to train there.
            Err(TryLockError::Error(_)) => Ok(Self { path: path.to_owned(), _lock: lock }),
        }
    }

    /// Removes temporaries; this process holds the lock, so nobody is writing them.
    fn tidy(&self) -> Result<(), CheckpointError> {
        let (best, before) = (self.path.join(BEST), self.path.join(BEST_BEFORE));
        if before.exists() && !best.exists() {
            rename(&before, &best)?;
        }
        let failed = |_| CheckpointError::io(&self.path, "list");
        let entries = fs::read_dir(&self.path).map_err(|error| failed(())(error))?;
        for entry in entries.flatten() {
            let path = entry.path();
            if entry.file_name().to_string_lossy().contains(".tmp-") {
                let removed =
                    if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.map_err(CheckpointError::io(&path, "remove"))?;
            }
        }
        Ok(())
    }

    /// The checkpoint that a run can go on from, and its env steps; `None` where there is no
    /// readable one.
    pub fn last(&self) -> Option<(PathBuf, u64)> {
        [LAST, PREVIOUS].iter().find_map(|name| {
            let path = self.path.join(name);
            let state = State::read(&path).ok()?;
            Some((path, Counters::from(&state.counters).env_steps))
        })
    }

    /// What the comparisons of this run improve on at this env step; none where that is still what
    /// its settings name.
    pub fn iteration(&self, config: &TrainConfig, env_steps: u64) -> Option<Iteration> {
        iteration(&self.path, config, env_steps)
    }

    /// Whether that checkpoint has its replay: a complete run need not have kept it.
    pub fn has_replay(&self) -> bool {
        self.last().is_some_and(|(path, _)| path.join(names::REPLAY).exists())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Mean validation return of `best`; `None` where there is no readable one.
    pub fn best_return(&self) -> Option<f64> {
        let best = self.path.join(BEST);
        super::stage::verify(&best).ok()?;
        State::read(&best).ok()?.mean_return()
    }
}

/// Folder of the policy that the comparisons improve on after so many parts of a run.
pub(super) fn iteration_folder(run: &Path, number: u32) -> PathBuf {
    run.join(format!("{ITERATION}{number}"))
}

/// What the comparisons of a run of these settings improve on at this env step; none where that is
/// still what the settings name.
pub(super) fn iteration(run: &Path, config: &TrainConfig, env_steps: u64) -> Option<Iteration> {
    let parts = config.iterations_begun(env_steps);
    (1..=parts)
        .rev()
        .map(|number| Iteration { number, policy: iteration_folder(run, number) })
        .find(|iteration| iteration.policy.is_dir())
}
