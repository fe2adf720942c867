//! Bearer tokens: where they come from, and who shows them.

use std::path::Path;

use subtle::ConstantTimeEq;

use crate::secret_file::{self, Refused};

/// Fewest characters of a token: shorter ones can be guessed.
const LEAST_CHARACTERS: usize = 16;

/// A secret that clients send as `Authorization: Bearer ...`. Has no `Debug`: it must not reach a
/// log.
pub struct Token(Vec<u8>);

impl Token {
    /// Reads a token file, without the white space around it.
    ///
    /// # Errors
    /// When the file cannot be read, everyone on the machine can read it, or what it holds is too
    /// short or cannot be sent as a bearer token.
    pub fn read(path: &Path) -> Result<Self, Refused> {
        let refuse = |expected, got: String| Refused { expected, got };
        let bytes = secret_file::read(path)?;
        let token = bytes.trim_ascii();
        if token.is_empty() {
            return Err(refuse("a token", "an empty file".to_owned()));
        }
        if !token.iter().all(u8::is_ascii_graphic) {
            return Err(refuse("visible ASCII characters on one line", "others".to_owned()));
        }
        if token.len() < LEAST_CHARACTERS {
            let got = format!("{} characters", token.len());
            return Err(refuse("a token of at least 16 characters", got));
        }
        Ok(Self(token.to_vec()))
    }

    /// Whether both are the same.
    pub fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// Whether a header `authorization` shows this token. Takes the same time for every wrong token
    /// of the right length.
    pub fn is_shown_in(&self, header: Option<&[u8]>) -> bool {
        let Some((scheme, shown)) =
            header.and_then(|header| header.split_at_checked(b"Bearer ".len()))
        else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(self.0.ct_eq(shown.trim_ascii()))
    }
}
