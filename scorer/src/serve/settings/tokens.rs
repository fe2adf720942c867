//! The tokens that clients have to show.

use std::path::Path;

use godwit_decide::bearer_token::Token;
use godwit_decide::secret_file::Refused;

use super::settings_error::SettingsError;

/// What clients have to show.
pub struct Tokens {
    /// Lets a client do everything.
    pub write: Token,
    /// Lets a client read.
    pub read: Option<Token>,
}

/// Reads a token file.
///
/// # Errors
/// As for [`Token::read`].
pub fn read(path: &Path) -> Result<Token, SettingsError> {
    Token::read(path).map_err(|Refused { expected, got }| SettingsError::Token {
        path: path.to_owned(),
        expected,
        got,
    })
}
