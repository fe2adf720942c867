//! Errors as one line.

use std::error::Error;

/// An error and its causes on one line, each said once: some messages end in their cause already.
pub fn told(error: &(dyn Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !told.ends_with(&said) {
            told = format!("{told}: {said}");
        }
        cause = error.source();
    }
    told.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use godwit_envs::input::InputError;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot listen")]
    struct Bare(#[source] io::Error);

    #[test]
    fn an_error_tells_each_cause_once() {
        let missing = || io::Error::from_raw_os_error(2);
        let os = missing().to_string();
        let refused = InputError::Unreadable { file: "a.json".to_owned(), source: missing() };
        assert_eq!(told(&refused), format!("a.json: expected a readable file, got {os}"));
        assert_eq!(told(&Bare(missing())), format!("cannot listen: {os}"));
    }
}
