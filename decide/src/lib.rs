//! From a snapshot to a decision, whoever asks. Knows nothing of files of snapshots, lines or HTTP.
//!
//! A [`loaded`] artifact makes an [`engine`]. The engine makes a [`case`] of a snapshot and plans for it
//! within the limits of [`safety`]. [`decision`] is what is told of the plan, with the [`findings`] about
//! the snapshot: [`violations`] and [`warnings`]. [`error_document`] is what is told where there is no
//! plan, and [`given_answers`] holds what was told before. [`state_journal`] is what is remembered of
//! earlier plans, on disk, in [`checked_line`]s and a folder of its [own](own_folder); [`removed_file`]
//! notices that a file was removed while it is written to. [`outcomes`] is what became of plans, and how
//! the policy stands by that. [`secret_file`]s hold [`bearer_token`]s and keys, and a name is this
//! machine's own where it is [`loopback`]. Errors are [`told`] on one line.

pub mod bearer_token;
pub mod case;
pub mod checked_line;
pub mod counted_policy;
pub mod decision;
pub mod engine;
pub mod error_document;
pub mod findings;
pub mod given_answers;
pub mod loaded;
pub mod loopback;
pub mod outcomes;
pub mod own_folder;
pub mod removed_file;
pub mod safety;
pub mod secret_file;
pub mod state_journal;
pub mod timing;
pub mod told;
pub mod violations;
pub mod warnings;
