//! What to do next about the two processes of a move: a table, and nothing else.
//!
//! Three facts make it sound. A destination never starts to run by itself: it is told to `stop`
//! before its source is told to `migrate`, so that it waits, paused, once it has everything. A source
//! counts its migration as completed only after the destination has said that it has everything
//! (`return-path`). And before the destination is told to run, the source is marked.
//!
//! | source | destination | what is known | step |
//! |---|---|---|---|
//! | running | running | somebody else began one of them | unclear: told, nothing is done |
//! | migrates | any other | it goes on, or QEMU ends it by itself | wait |
//! | has the guest, migrates no more | no process, silent, another one | the guest cannot run there | at the source |
//! | has the guest, migrates no more | waiting, or paused with everything | the guest has never run there | end the destination |
//! | running, migrates no more | finished | a process that the guest left earlier | end the destination |
//! | finished, no mark | paused with everything | only the last step is missing | mark the source |
//! | finished, marked | paused with everything | as before | resume the destination |
//! | finished | running | it was resumed | end the source |
//! | finished, no mark | no process | the guest has never run there | resume the source |
//! | finished, no mark | waiting | a new process, without the guest | end the destination |
//! | finished, marked | no process, waiting | the guest may have run there, and ended | nowhere; the source is kept |
//! | finished, marked | in another state | the guest ran there, and stands still | at the destination |
//! | finished | finished | the guest has moved on | nowhere of the two |
//! | finished | silent | the guest may run there | unclear |
//! | no process, or waiting | running, or in another state | the move is over | at the destination |
//! | no process, or waiting | paused with everything | this is the only copy | resume the destination |
//! | no process, or waiting | waiting, receives | it ends by itself, or has everything soon | wait |
//! | no process, or waiting | waiting | the source ended too early | end the destination |
//! | no process, or waiting | no process, finished | | nowhere of the two |
//! | no process, or waiting | silent | the guest may run there | unclear |
//! | silent | running | the source was left, and stands still | at the destination |
//! | silent | any other | the guest may run at the source | unclear |
//!
//! One doubt is left. Where the last answer of a destination is lost, its source runs on by itself.
//! If that source ends before anybody looks, the destination holds an older state of the guest, and
//! is resumed with it.

use super::presence::{Presence, Sight, State};

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Look again later.
    Wait,
    /// Mark the source as handed over.
    MarkSource,
    /// Let the guest run on the destination.
    ResumeDestination,
    /// Let the guest run on the source again.
    ResumeSource,
    /// End the process at the source: the guest runs on the destination.
    EndSource,
    /// End the process at the destination: the guest does not run there.
    EndDestination,
    /// Nothing: the guest is on the source, and is not being moved.
    AtSource,
    /// Nothing: the guest is on the destination.
    AtDestination,
    /// Nothing: the guest is on neither; the reason.
    Nowhere(String),
    /// Nothing: where the guest is cannot be told, or it is at two places; the reason.
    Unclear(String),
}

/// The table. It is looked up again after each step, with both places seen anew.
pub fn next(source: &Presence, destination: &Presence) -> Step {
    let sight = match source {
        Presence::Silent(_) if destination.runs() => return Step::AtDestination,
        Presence::Silent(why) => return Step::Unclear(why.clone()),
        Presence::Absent => return without_source(destination),
        Presence::There(sight) => sight,
    };
    match sight.state {
        State::Waiting => without_source(destination),
        State::Running if destination.runs() => Step::Unclear(
            "the guest runs at two places: end the wrong process by hand (`quit`)".to_owned(),
        ),
        _ if sight.migrates() => Step::Wait,
        State::Finished if sight.completed() => after_the_end(sight.handed_over, destination),
        _ => match destination {
            Presence::There(other) if never_ran(other) => Step::EndDestination,
            Presence::There(Sight { state: State::Finished, .. }) if source.runs() => {
                Step::EndDestination
            }
            _ => Step::AtSource,
        },
    }
}

/// Whether a destination cannot have run, given that its source was not marked or has the guest.
fn never_ran(destination: &Sight) -> bool {
    destination.state == State::Waiting || has_everything(destination)
}

fn has_everything(destination: &Sight) -> bool {
    destination.state == State::Paused && destination.completed()
}

/// The source has sent everything, and stands still.
fn after_the_end(handed_over: bool, destination: &Presence) -> Step {
    let gone = || {
        Step::Nowhere(
            "the destination ended after it was told to run; the process at the source is kept, \
             with the guest as it was before: resume that by hand (`cont`) or end it (`quit`)"
                .to_owned(),
        )
    };
    let sight = match destination {
        Presence::Absent if handed_over => return gone(),
        Presence::Absent => return Step::ResumeSource,
        Presence::Silent(why) => return Step::Unclear(why.clone()),
        Presence::There(sight) => sight,
    };
    match sight.state {
        State::Running => Step::EndSource,
        State::Finished => Step::Nowhere("source and destination are both finished".to_owned()),
        State::Waiting if handed_over => gone(),
        State::Waiting => Step::EndDestination,
        _ if has_everything(sight) && handed_over => Step::ResumeDestination,
        _ if has_everything(sight) => Step::MarkSource,
        _ if handed_over => Step::AtDestination,
        _ => Step::Unclear(format!("the destination is {}", destination.describe())),
    }
}

/// No process at the source has the guest.
fn without_source(destination: &Presence) -> Step {
    let sight = match destination {
        Presence::Absent => return Step::Nowhere("no process of the guest is left".to_owned()),
        Presence::Silent(why) => return Step::Unclear(why.clone()),
        Presence::There(sight) => sight,
    };
    match sight.state {
        State::Waiting if sight.migrates() => Step::Wait,
        State::Waiting => Step::EndDestination,
        State::Finished => Step::Nowhere("the guest has left the destination, too".to_owned()),
        _ if has_everything(sight) => Step::ResumeDestination,
        _ => Step::AtDestination,
    }
}

#[cfg(test)]
mod tests;
