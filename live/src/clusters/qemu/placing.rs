//! On which host a guest is shown.

use super::presence::{Presence, Sight, State};
use super::settings::Host;

/// Where a guest is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Index of the host; none where it is nowhere to be seen.
    pub host: Option<usize>,
    /// Whether it may be moved from there.
    pub movable: bool,
    /// What is to be told of it.
    pub note: Option<String>,
}

/// Where to show a guest that was looked for on all hosts, in their order.
pub fn place(hosts: &[Host], places: &[Presence]) -> Place {
    let at = |wanted: &dyn Fn(&Sight) -> bool| -> Vec<usize> {
        let there = |place: &Presence| matches!(place, Presence::There(sight) if wanted(sight));
        (0..places.len()).filter(|host| there(&places[*host])).collect()
    };
    let names = |indices: &[usize]| {
        indices.iter().map(|host| &*hosts[*host].name).collect::<Vec<_>>().join(" and ")
    };
    let running = at(&|sight| sight.state == State::Running);
    match *running {
        [host] => return Place { host: Some(host), movable: true, note: None },
        [] => {}
        [first, ..] => {
            let note = format!(
                "it runs at more than one place: {}; end the wrong process by hand (`quit`)",
                names(&running)
            );
            return Place { host: Some(first), movable: false, note: Some(note) };
        }
    }
    // Between the end of copying and the first step on the destination, no place has it running.
    let left =
        at(&|sight| matches!(sight.state, State::Leaving | State::Finished) && !sight.handed_over);
    let still = at(&|sight| matches!(sight.state, State::Paused | State::Other(_)));
    if let Some(&host) = left.first().or(still.first()) {
        let note = format!("it stands still on {}: {}", names(&[host]), places[host].describe());
        return Place { host: Some(host), movable: false, note: Some(note) };
    }
    let silent: Vec<usize> =
        (0..places.len()).filter(|host| matches!(places[*host], Presence::Silent(_))).collect();
    let note = match *silent {
        [] => "it is left out, as it runs nowhere".to_owned(),
        // Something is there, and it can be nowhere else.
        [host] => {
            let note = format!("on {}, {}", names(&silent), places[host].describe());
            return Place { host: Some(host), movable: false, note: Some(note) };
        }
        [first, ..] => format!(
            "it is left out, as it is nowhere to be seen: on {}, {}",
            names(&silent),
            places[first].describe()
        ),
    };
    Place { host: None, movable: false, note: Some(note) }
}

#[cfg(test)]
mod tests {
    use super::super::presence::Migration;
    use super::*;

    fn there(state: State, handed_over: bool) -> Presence {
        Presence::There(Sight { state, migration: Migration::default(), handed_over })
    }

    fn placed(places: [Presence; 3]) -> Place {
        let host = |name: &str| Host {
            name: name.to_owned(),
            address: String::new(),
            memory_gib: 1.0,
            cpu_cores: 1.0,
            bandwidth_gib_s: 1.0,
            max_guests: None,
            zone: String::new(),
        };
        place(&["a", "b", "c"].map(host), &places)
    }

    #[test]
    fn a_guest_is_shown_where_it_runs_whatever_waits_elsewhere() {
        let silent = Presence::Silent("it hangs".to_owned());
        let left = || there(State::Finished, true);
        for others in [
            [Presence::Absent, there(State::Waiting, false)],
            [there(State::Paused, false), left()],
            [silent, left()],
        ] {
            let [first, last] = others;
            let place = placed([first, there(State::Running, false), last]);
            assert_eq!(place, Place { host: Some(1), movable: true, note: None });
        }
    }

    #[test]
    fn a_guest_that_stands_still_is_shown_where_it_would_run_and_is_not_moved() {
        let handing_over =
            [there(State::Paused, false), there(State::Finished, false), Presence::Absent];
        let place = placed(handing_over);
        assert_eq!((place.host, place.movable), (Some(1), false));
        assert_eq!(place.note.unwrap(), "it stands still on b: finished with its guest");
        let resuming =
            [there(State::Paused, false), there(State::Finished, true), Presence::Absent];
        let place = placed(resuming);
        assert_eq!((place.host, place.movable), (Some(0), false));
        assert_eq!(place.note.unwrap(), "it stands still on a: paused");
    }

    #[test]
    fn a_guest_that_answers_at_no_place_but_may_be_at_one_is_shown_there() {
        let silent = Presence::Silent("it hangs".to_owned());
        let place = placed([Presence::Absent, there(State::Waiting, false), silent]);
        let note = Some("on c, it hangs".to_owned());
        assert_eq!(place, Place { host: Some(2), movable: false, note });
    }

    #[test]
    fn a_guest_that_is_not_seen_is_left_out_with_the_reason() {
        let silent = || Presence::Silent("it hangs".to_owned());
        let place = placed([silent(), Presence::Absent, silent()]);
        let expected = "it is left out, as it is nowhere to be seen: on a and c, it hangs";
        assert_eq!((place.host, place.note.as_deref()), (None, Some(expected)));
        let place = placed([there(State::Finished, true), Presence::Absent, Presence::Absent]);
        let expected = "it is left out, as it runs nowhere";
        assert_eq!((place.host, place.note.as_deref()), (None, Some(expected)));
    }
}
