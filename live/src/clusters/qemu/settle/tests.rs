use super::super::testing::{Process, begin, mover, order};
use crate::cluster::Progress;

fn finished() -> Process {
    Process { status: "postmigrate", migration: "completed", ..Process::default() }
}

fn arrived() -> Process {
    Process { status: "paused", migration: "completed", ..Process::default() }
}

#[test]
fn the_source_is_marked_before_the_destination_runs_and_ended_after_that() {
    let folder = tempfile::tempdir().unwrap();
    let source = begin(folder.path(), "a", finished());
    let destination = begin(folder.path(), "b", arrived());
    let progress = mover(folder.path()).advance(&order());
    assert!(matches!(progress, Ok(Progress::Done(_))), "{progress:?}");
    assert_eq!(source.lock().unwrap().told(), ["object-add", "quit"]);
    assert_eq!(destination.lock().unwrap().told(), ["cont"]);
}

#[test]
fn a_migration_that_ends_between_two_questions_is_not_taken_for_one_that_failed() {
    let folder = tempfile::tempdir().unwrap();
    let migrates = Process { status: "running", migration: "active", ..Process::default() };
    let source = begin(folder.path(), "a", Process { completes: true, ..migrates });
    let destination = begin(folder.path(), "b", arrived());
    let (mover, order) = (mover(folder.path()), order());
    let progress = mover.advance(&order);
    assert!(matches!(progress, Ok(Progress::Running { .. })), "{progress:?}");
    let progress = mover.advance(&order);
    assert!(matches!(progress, Ok(Progress::Done(_))), "{progress:?}");
    assert_eq!(source.lock().unwrap().told(), ["object-add", "quit"]);
    assert_eq!(destination.lock().unwrap().told(), ["cont"]);
}

#[test]
fn a_guest_that_its_destination_will_not_run_goes_on_at_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let source = begin(folder.path(), "a", finished());
    let refuses_to_run = Some("the disk is locked");
    let destination = begin(folder.path(), "b", Process { refuses_to_run, ..arrived() });
    let progress = mover(folder.path()).advance(&order());
    let why = "the destination would not run: the disk is locked";
    assert_eq!(progress, Ok(Progress::Failed(why.to_owned())));
    assert_eq!(source.lock().unwrap().told(), ["object-add", "object-del", "cont"]);
    assert_eq!(destination.lock().unwrap().told(), ["cont", "quit"]);
}

#[test]
fn nothing_is_resumed_while_the_guest_runs_on_a_third_host() {
    let folder = tempfile::tempdir().unwrap();
    let source = begin(folder.path(), "a", finished());
    let _third = begin(folder.path(), "c", Process { status: "running", ..Process::default() });
    let told = mover(folder.path()).advance(&order()).unwrap_err();
    let expected = "the guest runs on c: it must not be resumed on a as well; end the wrong \
                    process by hand (`quit`)";
    assert_eq!(told.to_string(), expected);
    assert_eq!(source.lock().unwrap().told(), [""; 0]);
}

#[test]
fn a_guest_that_stands_still_at_its_source_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let paused = Process { status: "paused", migration: "cancelled", ..Process::default() };
    begin(folder.path(), "a", paused);
    let why = "the migration was given up; at its source, the guest is paused";
    assert_eq!(mover(folder.path()).advance(&order()), Ok(Progress::Failed(why.to_owned())));
}
