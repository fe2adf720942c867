//! The bearer token: where it comes from, and who shows it.

use std::path::Path;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

use super::settings::SettingsError;

/// A secret that clients send as `Authorization: Bearer ...`. Has no `Debug`: it must not reach a
/// log.
pub struct Token(Vec<u8>);

impl Token {
    /// Reads a token file, without the white space around it.
    ///
    /// # Errors
    /// When the file cannot be read, everyone on the machine can read it, or what it holds cannot
    /// be sent as a bearer token.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let refuse =
            |expected, got: String| SettingsError::Token { path: path.to_owned(), expected, got };
        let readable = |error: std::io::Error| refuse("a readable file", error.to_string());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(path).map_err(readable)?.permissions().mode();
            if mode & 0o007 != 0 {
                let got = format!("mode {:03o}", mode & 0o777);
                return Err(refuse("a file that others cannot read (chmod o-rwx)", got));
            }
        }
        let bytes = std::fs::read(path).map_err(readable)?;
        let token = bytes.trim_ascii();
        if token.is_empty() {
            return Err(refuse("a token", "an empty file".to_owned()));
        }
        if !token.iter().all(u8::is_ascii_graphic) {
            return Err(refuse("visible ASCII characters on one line", "others".to_owned()));
        }
        Ok(Self(token.to_vec()))
    }

    /// Whether the request shows this token. Takes the same time for every wrong token of the right
    /// length.
    pub fn is_shown_in(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        let Some((scheme, shown)) =
            shown.and_then(|shown| shown.split_at_checked(b"Bearer ".len()))
        else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(self.0.ct_eq(shown.trim_ascii()))
    }
}
