//! An earlier evaluation of the same episodes, as `godwit evaluate --json` wrote it: by how much
//! each policy changed since, for instance under other limits.

use super::{Evaluation, Settings, compare};
use godwit_envs::input::{InputError, parse_json, read_text};
use godwit_envs::scenario::Phase;
use serde::Deserialize;
use std::path::Path;

/// What is needed of an earlier evaluation.
#[derive(Debug)]
pub struct Before {
    file: String,
    evaluation: Earlier,
}

#[derive(Debug, Deserialize)]
struct Earlier {
    scenario: String,
    first_seed: u64,
    validation: bool,
    policies: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    name: String,
    returns: Vec<f64>,
}

impl Before {
    /// Reads what `godwit evaluate --json` printed.
    ///
    /// # Errors
    /// When the file cannot be read, is no evaluation, or is one of other episodes than these.
    pub fn read(path: &Path, scenario: &str, settings: &Settings) -> Result<Self, InputError> {
        let file = path.display().to_string();
        let evaluation: Earlier = parse_json(&read_text(path)?, &file)?;
        let expect = |field: &str, expected: String, got: String| {
            let error = || InputError::field(&file, field, &expected, &got);
            if expected == got { Ok(()) } else { Err(error()) }
        };
        expect("scenario", scenario.to_owned(), evaluation.scenario.clone())?;
        expect("first_seed", settings.first_seed.to_string(), evaluation.first_seed.to_string())?;
        let validation = settings.phase == Phase::Validate;
        expect("validation", validation.to_string(), evaluation.validation.to_string())?;
        Ok(Self { file, evaluation })
    }

    /// States the change of every policy that both evaluations have.
    ///
    /// # Errors
    /// When the earlier one has another number of episodes, or none of the policies.
    pub fn compare(&self, evaluation: &mut Evaluation) -> Result<(), InputError> {
        let refused = |field: &str, expected: String, got: String| {
            Err(InputError::field(&self.file, field, expected, got))
        };
        let (seed, mut any) = (evaluation.first_seed, false);
        for policy in &mut evaluation.policies {
            let mut rows = self.evaluation.policies.iter().enumerate();
            let Some((at, row)) = rows.find(|(_, row)| row.name == policy.name) else { continue };
            let (expected, got) = (policy.returns.len(), row.returns.len());
            if expected != got {
                let field = format!("policies[{at}].returns");
                return refused(&field, format!("{expected} episodes"), got.to_string());
            }
            policy.change = Some(compare(&policy.returns, &row.returns, seed));
            any = true;
        }
        if any {
            return Ok(());
        }
        let names = self.evaluation.policies.iter().map(|row| row.name.as_str());
        let expected = "at least one policy of this evaluation".to_owned();
        refused("policies", expected, names.collect::<Vec<_>>().join(", "))
    }
}
