//! From a snapshot to a decision, whoever asks: reading the artifact, planning within the operator's
//! limits, and what is told about it. Knows nothing of files of snapshots, lines or HTTP.

pub mod case;
pub mod counted_policy;
pub mod decision;
pub mod engine;
pub mod error_document;
pub mod findings;
pub mod given_answers;
pub mod loaded;
pub mod safety;
pub mod timing;
pub mod violations;
pub mod warnings;
