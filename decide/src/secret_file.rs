//! Files with secrets: tokens and private keys.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Most bytes of such a file.
const MOST_BYTES: u64 = 1 << 20;

/// Why a secret is not read.
#[derive(Debug)]
pub struct Refused {
    /// What would have been accepted.
    pub expected: &'static str,
    /// What was found; never the secret.
    pub got: String,
}

/// The bytes of a file that not everyone on the machine can read. A group may: it is how secrets are
/// mounted for a process that does not own them (mode 0440), and where an access list lets a single
/// user read, the mode shows that in the group's place. Whether this process is of the group, the
/// system knows when the file is opened.
///
/// # Errors
/// When it cannot be read, or everyone can read it.
pub fn read(path: &Path) -> Result<Vec<u8>, Refused> {
    let readable = |error: io::Error| {
        let expected = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "a file that this process, or a group that it is in, may read"
            }
            _ => "a readable file",
        };
        Refused { expected, got: error.to_string() }
    };
    let file = File::open(path).map_err(readable)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(readable)?.permissions().mode();
        if mode & 0o007 != 0 {
            let expected = "a file that others cannot read (chmod o-rwx)";
            return Err(Refused { expected, got: format!("mode {:03o}", mode & 0o777) });
        }
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(readable)?;
    match bytes.len() as u64 <= MOST_BYTES {
        true => Ok(bytes),
        false => Err(Refused { expected: "at most 1 MiB", got: "more".to_owned() }),
    }
}
