//! Calls of the REST interface, and what their failures mean.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cluster::CallError;
use crate::http::{Answer, Client, NoAnswer};

/// The REST interface of a cluster.
pub(super) struct Api(Client);

/// An answer's envelope.
#[derive(Deserialize)]
pub(super) struct Envelope<T> {
    pub(super) data: T,
    /// Number of all lines, where a call answers with some of them.
    #[serde(default)]
    pub(super) total: Option<u64>,
}

/// What a refusal says.
#[derive(Deserialize, Default)]
struct Complaint {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    errors: Option<serde_json::Value>,
}

impl Api {
    pub(super) fn new(client: Client) -> Self {
        Self(client)
    }

    /// What `path`, below `/api2/json`, holds.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        Ok(self.page(path)?.data)
    }

    /// The same with the number of all lines.
    pub(super) fn page<T: DeserializeOwned>(&self, path: &str) -> Result<Envelope<T>, CallError> {
        read("GET", path, self.0.get(&full(path)))
    }

    pub(super) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        form: &[(&str, &str)],
    ) -> Result<T, CallError> {
        Ok(read("POST", path, self.0.post(&full(path), form))?.data)
    }

    pub(super) fn delete(&self, path: &str) -> Result<(), CallError> {
        read::<Option<serde_json::Value>>("DELETE", path, self.0.delete(&full(path))).map(|_| ())
    }
}

fn full(path: &str) -> String {
    format!("/api2/json{path}")
}

fn read<T: DeserializeOwned>(
    verb: &str,
    path: &str,
    answer: Result<Answer, NoAnswer>,
) -> Result<Envelope<T>, CallError> {
    let Answer { status, body } = answer.map_err(|error| match error {
        NoAnswer::NotSent(why) => later(format!("{verb} {path}: not sent: {why}")),
        NoAnswer::Unclear(why) => CallError::Unknown(format!("{verb} {path}: no answer: {why}")),
    })?;
    if status != 200 {
        return Err(failure(verb, path, status, &body));
    }
    serde_json::from_str(&body).map_err(|error| {
        CallError::Unknown(format!("{verb} {path}: expected an answer of Proxmox VE, got {error}"))
    })
}

/// What an answer other than 200 means. The interface refuses before it begins a task, mostly with
/// 500. 595 is a node that it could not connect to; other numbers from 500 on may come after the
/// request went on to another node.
fn failure(verb: &str, path: &str, status: u16, body: &str) -> CallError {
    let Ok(complaint) = serde_json::from_str::<Complaint>(body) else {
        return CallError::Unknown(format!("{verb} {path}: got {status}, and not from Proxmox VE"));
    };
    let message = complaint.message.as_deref().unwrap_or("no message").trim();
    let fields = match complaint.errors {
        Some(errors) => format!(" {errors}"),
        None => String::new(),
    };
    let text = format!("{verb} {path}: got {status}: {message}{fields}");
    match status {
        500 if passes(message) => later(text),
        400..=501 => CallError::Refused(text),
        595 => later(text),
        _ => CallError::Unknown(text),
    }
}

/// Whether a refusal speaks of something that ends by itself: a lock, or a cluster without quorum.
fn passes(message: &str) -> bool {
    ["is locked", "can't lock file", "no quorum", "got timeout"]
        .iter()
        .any(|sign| message.contains(sign))
}

pub(super) fn later(reason: String) -> CallError {
    CallError::Later { reason, after: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, body: &str) -> CallError {
        failure("POST", "/x", status, body)
    }

    #[test]
    fn locks_and_lost_quorum_pass_other_refusals_stay_and_proxies_are_not_understood() {
        for message in [
            "VM is locked (backup)",
            "cluster not ready - no quorum?",
            "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout",
        ] {
            let error = told(500, &format!(r#"{{"data":null,"message":{message:?}}}"#));
            assert!(matches!(error, CallError::Later { .. }), "{error:?}");
        }
        let refused = told(
            400,
            r#"{"data":null,"message":"Parameter verification failed.\n","errors":{"target":"no such node"}}"#,
        );
        assert_eq!(
            refused,
            CallError::Refused(
                r#"POST /x: got 400: Parameter verification failed. {"target":"no such node"}"#
                    .into()
            )
        );
        assert!(matches!(told(403, r#"{"data":null}"#), CallError::Refused(_)));
        assert!(matches!(told(595, r#"{"data":null}"#), CallError::Later { .. }));
        assert!(matches!(told(596, r#"{"data":null}"#), CallError::Unknown(_)));
        assert!(matches!(told(503, "<html>"), CallError::Unknown(_)));
    }
}
