//! Writing imported scenarios: all files of one, or none.

use crate::input::InputError;
use crate::scenario::{Scenario, ScenarioError};
use std::fmt::Display;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// The name that a scenario gets from its file.
pub(super) fn stem(out: &Path) -> Result<&str, InputError> {
    out.file_stem().and_then(|stem| stem.to_str()).ok_or_else(|| {
        let got = format!("{:?}", out.display().to_string());
        InputError::field("import", "out", "the path of a scenario file", got)
    })
}

/// Writes the scenario to `out`, with the report as a comment, and the file that it refers to.
///
/// All is complete and on disk under temporary names before any file gets its own name, so that an
/// error (say, a full disk) leaves nothing behind.
pub(super) fn write(
    out: &Path,
    report: &impl Display,
    scenario: &Scenario,
    beside: Option<(&Path, &str)>,
) -> Result<(), ScenarioError> {
    let mut text = String::from("# Written by `godwit import`.\n#\n");
    for line in report.to_string().lines() {
        text.push_str(format!("# {line}").trim_end());
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&scenario.to_toml());

    // The scenario last: a scenario file is never there without what it refers to.
    let files = || beside.into_iter().chain([(out, text.as_str())]);
    // A folder is the one thing that a rename cannot replace: better known before the first.
    if let Some((path, _)) = files().find(|(path, _)| path.is_dir()) {
        return Err(unwritable(path, std::io::ErrorKind::IsADirectory.into()).into());
    }
    let staged: Vec<_> =
        files().map(|(path, text)| stage(path, text.as_bytes())).collect::<Result<_, _>>()?;
    for (staged, (path, _)) in staged.into_iter().zip(files()) {
        commit(staged, path)?;
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn unwritable(path: &Path, source: std::io::Error) -> InputError {
    InputError::Unwritable { file: path.display().to_string(), source }
}

/// Writes a temporary file beside `path`, down to the disk. It deletes itself unless committed.
fn stage(path: &Path, bytes: &[u8]) -> Result<tempfile::NamedTempFile, InputError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".import-").suffix(".tmp");
    // Temporary files are private by default; these become ordinary files.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let write = || {
        let mut file = builder.tempfile_in(folder_of(path))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    write().map_err(|source| unwritable(path, source))
}

fn commit(staged: tempfile::NamedTempFile, path: &Path) -> Result<(), InputError> {
    staged.persist(path).map_err(|error| unwritable(path, error.error))?;
    // The rename itself is on disk once the folder is; not every system can sync a folder.
    if let Ok(folder) = File::open(folder_of(path)) {
        let _ = folder.sync_all();
    }
    Ok(())
}
