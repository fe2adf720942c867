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
    let note = match silent.first() {
        None => "it is left out, as it runs nowhere".to_owned(),
        Some(&host) => format!(
            "it is left out, as it is nowhere to be seen: on {}, {}",
            names(&silent),
            places[host].describe()
        ),
    };
    Place { host: None, movable: false, note: Some(note) }
}
