//! What a refusal looks like: one line, and an exit code that means something.

use crate::checkpoint::CheckpointError;
use crate::config::ConfigError;
use crate::machine::device::DeviceError;
use crate::policies::PolicyError;
use godwit_envs::env::ResetError;
use godwit_envs::input::InputError;
use godwit_envs::scenario::ScenarioError;
use godwit_models::artifact::ArtifactError;
use std::io;
use std::process::ExitCode;

/// What the person typed, or a file they named, cannot be used: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

/// Turns any error into [`BadInput`].
pub(crate) trait OrBadInput<T> {
    /// The same, as the user's to mend.
    fn or_bad_input(self) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrBadInput<T> for Result<T, E> {
    fn or_bad_input(self) -> anyhow::Result<T> {
        self.map_err(|error| BadInput(one_line(&error.into())).into())
    }
}

/// An error and its causes on one line. A cause that the text before already tells is left out.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
    }
    line
}

/// 2 where the user can mend it by typing something else, by mending a file or by making room for
/// one, otherwise 1.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let bad_input = error.chain().any(|cause| {
        cause.is::<BadInput>()
            || cause.is::<ScenarioError>()
            || cause.is::<InputError>()
            || cause.is::<ConfigError>()
            || cause.is::<PolicyError>()
            || cause.is::<DeviceError>()
            || cause.is::<ArtifactError>()
            || cause.is::<CheckpointError>()
            || cause.is::<ResetError>()
            || cause.downcast_ref().is_some_and(cannot_be_written)
    });
    ExitCode::from(if bad_input { 2 } else { 1 })
}

fn cannot_be_written(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

    use super::*;
    use anyhow::Context;
    use godwit_envs::scenario::Scenario;

    #[test]
    fn an_error_is_one_line_that_says_nothing_twice() {
        let source = std::io::Error::other("the disk\nis full");
        let error = InputError::Unwritable { file: "out.toml".into(), source };
        let error = Err::<(), _>(error).context("import").unwrap_err();
        assert_eq!(
            one_line(&error),
            "import: out.toml: expected to write it, got the disk is full"
        );
    }

    #[test]
    fn bad_input_is_told_from_failure() {
        let code = |error: &anyhow::Error| format!("{:?}", exit_code(error));
        let bad = Err::<(), _>(Scenario::resolve("nosuch").unwrap_err()).context("evaluate");
        assert_eq!(code(&bad.unwrap_err()), format!("{:?}", ExitCode::from(2)));
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let full = anyhow::Error::from(full).context("the last checkpoint");
        assert_eq!(code(&full), format!("{:?}", ExitCode::from(2)));
        let failed = anyhow::anyhow!("libtorch failed").context("train");
        assert_eq!(code(&failed), format!("{:?}", ExitCode::from(1)));
    }
}
