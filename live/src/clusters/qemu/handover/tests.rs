use std::collections::HashSet;

use super::super::presence::{Migration, Presence, Sight, State};
use super::{Step, next};

fn there(state: State, status: &str, handed_over: bool) -> Presence {
    let migration = Migration { status: status.to_owned(), ..Migration::default() };
    Presence::There(Sight { state, migration, handed_over })
}

fn silent() -> Presence {
    Presence::Silent("silent".to_owned())
}

#[test]
fn every_row_of_the_table_holds() {
    let running = || there(State::Running, "", false);
    let everything = || there(State::Paused, "completed", false);
    let waiting = || there(State::Waiting, "", false);
    let receiving = || there(State::Waiting, "active", false);
    let finished = |marked| there(State::Finished, "completed", marked);
    let arrived = || there(State::Running, "completed", false);
    let failed = || there(State::Running, "failed", false);
    let broken = || there(State::Other("guest-panicked".to_owned()), "completed", false);
    let migrates = || there(State::Running, "active", false);
    let absent = || Presence::Absent;

    for (source, destination, step) in [
        (migrates(), receiving(), Step::Wait),
        (migrates(), everything(), Step::Wait),
        (migrates(), silent(), Step::Wait),
        (migrates(), absent(), Step::Wait),
        // The word of QEMU is ahead of the state for a moment.
        (there(State::Leaving, "completed", false), everything(), Step::Wait),
        (there(State::Leaving, "failed", false), everything(), Step::Wait),
        (there(State::Finished, "active", false), everything(), Step::Wait),
        (failed(), absent(), Step::AtSource),
        (failed(), silent(), Step::AtSource),
        (failed(), broken(), Step::AtSource),
        (failed(), waiting(), Step::EndDestination),
        (failed(), receiving(), Step::EndDestination),
        (failed(), everything(), Step::EndDestination),
        (failed(), finished(true), Step::EndDestination),
        (running(), absent(), Step::AtSource),
        (there(State::Running, "completed", false), absent(), Step::AtSource),
        (there(State::Paused, "cancelled", false), absent(), Step::AtSource),
        (there(State::Paused, "cancelled", false), finished(false), Step::AtSource),
        (there(State::Finished, "failed", false), everything(), Step::EndDestination),
        (finished(false), everything(), Step::MarkSource),
        (finished(true), everything(), Step::ResumeDestination),
        (finished(true), arrived(), Step::EndSource),
        (finished(false), arrived(), Step::EndSource),
        (finished(false), absent(), Step::ResumeSource),
        (finished(false), waiting(), Step::EndDestination),
        (finished(true), broken(), Step::AtDestination),
        (finished(false), silent(), Step::Unclear("silent".to_owned())),
        (finished(true), silent(), Step::Unclear("silent".to_owned())),
        (absent(), arrived(), Step::AtDestination),
        (absent(), broken(), Step::AtDestination),
        (absent(), everything(), Step::ResumeDestination),
        (absent(), receiving(), Step::Wait),
        (absent(), waiting(), Step::EndDestination),
        (waiting(), arrived(), Step::AtDestination),
        (waiting(), everything(), Step::ResumeDestination),
        (absent(), silent(), Step::Unclear("silent".to_owned())),
        (silent(), arrived(), Step::AtDestination),
        (silent(), everything(), Step::Unclear("silent".to_owned())),
        (silent(), absent(), Step::Unclear("silent".to_owned())),
    ] {
        assert_eq!(next(&source, &destination), step, "{source:?}, {destination:?}");
    }
    for (source, destination) in [
        (finished(true), absent()),
        (finished(true), waiting()),
        (finished(true), finished(false)),
        (absent(), absent()),
        (waiting(), absent()),
        (absent(), finished(true)),
    ] {
        let step = next(&source, &destination);
        assert!(matches!(step, Step::Nowhere(_)), "{source:?}, {destination:?}: {step:?}");
    }
    for source in [running(), migrates(), failed()] {
        let step = next(&source, &arrived());
        assert!(matches!(&step, Step::Unclear(why) if why.contains("two places")), "{step:?}");
    }
}

/// Both processes of a move, as QEMU has them, and what no monitor says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Move {
    source: Source,
    marked: bool,
    destination: Destination,
    /// Whether the guest has ever run at the destination.
    ran: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    /// Runs; the migration is under way.
    Copying,
    /// Stopped, while the destination takes the rest.
    Leaving,
    /// The destination has said that it has everything.
    Finished,
    /// Runs; the migration failed, or is over and was taken back.
    Back,
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Destination {
    Receiving,
    Everything,
    Running,
    Gone,
}

impl Move {
    fn next(&self) -> Step {
        let source = match self.source {
            Source::Copying => there(State::Running, "active", self.marked),
            Source::Leaving => there(State::Leaving, "device", self.marked),
            Source::Finished => there(State::Finished, "completed", self.marked),
            Source::Back => there(State::Running, "failed", self.marked),
            Source::Gone => Presence::Absent,
        };
        let destination = match self.destination {
            Destination::Receiving => there(State::Waiting, "active", false),
            Destination::Everything => there(State::Paused, "completed", false),
            Destination::Running => there(State::Running, "completed", false),
            Destination::Gone => Presence::Absent,
        };
        next(&source, &destination)
    }

    /// What QEMU does by itself.
    fn by_itself(&self) -> Vec<Self> {
        let mut after = Vec::new();
        let mut add = |source, destination| {
            after.push(Self { source, destination, ..self.clone() });
        };
        match (self.source, self.destination) {
            (Source::Copying, Destination::Receiving) => {
                add(Source::Leaving, Destination::Receiving);
                add(Source::Back, Destination::Gone);
                add(Source::Back, Destination::Receiving);
            }
            (Source::Leaving, Destination::Receiving) => {
                add(Source::Leaving, Destination::Everything);
                add(Source::Back, Destination::Gone);
            }
            (Source::Leaving, Destination::Everything) => {
                add(Source::Finished, Destination::Everything);
                // The last answer is lost.
                add(Source::Back, Destination::Everything);
            }
            (Source::Copying | Source::Leaving, Destination::Gone) => {
                add(Source::Back, Destination::Gone);
            }
            (Source::Gone, Destination::Receiving) => add(Source::Gone, Destination::Gone),
            _ => {}
        }
        after
    }

    /// Either process is killed.
    fn killed(&self) -> Vec<Self> {
        let source = Self { source: Source::Gone, marked: false, ..self.clone() };
        vec![source, Self { destination: Destination::Gone, ..self.clone() }]
    }

    /// What the step does; the same where there is none to take.
    fn taken(&self, step: &Step) -> Self {
        let mut after = self.clone();
        match step {
            Step::MarkSource => after.marked = true,
            Step::ResumeDestination => {
                after.destination = Destination::Running;
                after.ran = true;
            }
            Step::ResumeSource => {
                assert!(!self.ran, "an old state is resumed: {self:?}");
                after.source = Source::Back;
            }
            Step::EndSource => {
                assert_eq!(self.destination, Destination::Running, "{self:?}");
                (after.source, after.marked) = (Source::Gone, false);
            }
            Step::EndDestination => {
                assert!(!self.ran, "a guest is ended: {self:?}");
                after.destination = Destination::Gone;
            }
            _ => {}
        }
        after
    }
}

/// All that can become of a move, whenever processes are killed and whenever steps are taken.
fn reachable() -> HashSet<Move> {
    let begin = Move {
        source: Source::Copying,
        marked: false,
        destination: Destination::Receiving,
        ran: false,
    };
    let mut queue = vec![begin];
    let mut seen = HashSet::new();
    while let Some(state) = queue.pop() {
        if seen.insert(state.clone()) {
            queue.extend(state.by_itself());
            queue.extend(state.killed());
            queue.push(state.taken(&state.next()));
        }
    }
    assert!(seen.len() > 15, "{}", seen.len());
    seen
}

#[test]
fn no_way_through_a_move_lets_the_guest_run_twice() {
    for state in reachable() {
        let runs_at_source = matches!(state.source, Source::Copying | Source::Back);
        let runs_at_destination = state.destination == Destination::Running;
        assert!(!(runs_at_source && runs_at_destination), "{state:?}");
    }
}

#[test]
fn no_guest_is_given_up_that_could_go_on() {
    for state in reachable() {
        if let Step::Nowhere(_) = state.next() {
            assert_eq!(state.destination, Destination::Gone, "{state:?}");
            // What is left at a source that was marked may be older than what ran elsewhere.
            assert!(state.source == Source::Gone || state.marked, "{state:?}");
        }
    }
}

#[test]
fn left_alone_every_move_settles() {
    for begin in reachable() {
        let mut state = begin.clone();
        for _ in 0..10 {
            let taken = state.taken(&state.next());
            state = match taken == state {
                true => state.by_itself().into_iter().next().unwrap_or(taken),
                false => taken,
            };
        }
        let settled =
            matches!(state.next(), Step::AtSource | Step::AtDestination | Step::Nowhere(_));
        assert!(settled, "{begin:?} ends as {state:?}");
    }
}
