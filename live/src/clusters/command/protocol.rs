//! The documents that go to the program and come from it.

use std::time::Duration;

use godwit_envs::snapshot::Snapshot;
use serde::{Deserialize, Serialize};

use crate::cluster::{CallError, Handle, Order, Progress, Promises, Whereabouts};

/// What the program is asked.
#[derive(Debug, Serialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub(super) enum Call<'a> {
    Promises,
    Look,
    Start { order: &'a Order },
    Watch { order: &'a Order, handle: &'a Handle },
    Cancel { order: &'a Order, handle: &'a Handle },
    Find { order: &'a Order },
}

impl Call<'_> {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Promises => "promises",
            Self::Look => "look",
            Self::Start { .. } => "start",
            Self::Watch { .. } => "watch",
            Self::Cancel { .. } => "cancel",
            Self::Find { .. } => "find",
        }
    }
}

/// What it answers where the call failed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Failure {
    /// No, and next time, too; why.
    Refused(String),
    /// Not now.
    Later {
        reason: String,
        #[serde(default)]
        after_s: Option<u32>,
    },
    /// The call may have taken effect; why nobody knows.
    Unknown(String),
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(why) => Self::Refused(why),
            Failure::Unknown(why) => Self::Unknown(why),
            Failure::Later { reason, after_s } => {
                Self::Later { reason, after: after_s.map(|s| Duration::from_secs(s.into())) }
            }
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Promised {
    pub(super) promises: Promises,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Looked {
    pub(super) snapshot: Snapshot,
    #[serde(default)]
    pub(super) notes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Started {
    pub(super) handle: Handle,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Watched {
    pub(super) progress: Progress,
}

/// Nothing to tell.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Done {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Found {
    pub(super) whereabouts: Told,
}

/// [`Whereabouts`] as they are written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Told {
    UnderWay(Handle),
    At(String),
    Nowhere,
}

impl From<Told> for Whereabouts {
    fn from(told: Told) -> Self {
        match told {
            Told::UnderWay(handle) => Self::UnderWay(handle),
            Told::At(node) => Self::At(node),
            Told::Nowhere => Self::Nowhere,
        }
    }
}
