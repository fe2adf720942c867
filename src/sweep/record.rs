//! `sweep.json` in a run's directory: what the run came to at each rung that it has finished.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::Path;

const NAME: &str = "sweep.json";

/// The file.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    rungs: Vec<Finished>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Finished {
    env_steps: u64,
    // For people (none where it is no finite number); the bits come back exactly.
    best_return: Option<f64>,
    best_return_bits: u64,
}

impl Record {
    /// Reads the file; a run without one has finished nothing.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(NAME);
        let failed = || path.display().to_string();
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).with_context(failed),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(failed),
        }
    }

    /// Best mean validation return at the end of the rung with these env steps.
    pub fn at(&self, env_steps: u64) -> Option<f64> {
        let rung = self.rungs.iter().find(|rung| rung.env_steps == env_steps);
        rung.map(|rung| f64::from_bits(rung.best_return_bits))
    }

    /// Notes a rung.
    pub fn add(&mut self, env_steps: u64, best_return: f64) {
        self.rungs.push(Finished {
            env_steps,
            best_return: Some(best_return).filter(|value| value.is_finite()),
            best_return_bits: best_return.to_bits(),
        });
    }

    /// Writes the file whole or not at all.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let path = folder.join(NAME);
        let write = || -> anyhow::Result<()> {
            // The name is one that resuming tidies up.
            let mut file = tempfile::Builder::new().prefix("sweep.tmp-").tempfile_in(folder)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(())
        };
        write().with_context(|| path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;

    #[test]
    fn a_record_comes_back_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Record::read(folder.path()).unwrap(), Record::default());
        let mut record = Record::default();
        record.add(100, 0.1 + 0.2);
        record.add(300, f64::NAN);
        record.write(folder.path()).unwrap();
        let read = Record::read(folder.path()).unwrap();
        assert_eq!(read.at(100).map(f64::to_bits), Some((0.1_f64 + 0.2).to_bits()));
        assert!(read.at(300).is_some_and(f64::is_nan));
        assert_eq!(read.at(200), None);
    }
}
