//! The program moves guests, and something strikes at a random moment of a move: no guest runs twice,
//! none is lost but that of a host that died, and the journal tells the truth.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use godwit_live::cluster::Order;
use godwit_live::ledger::moves::Outcome;
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::arena::{Arena, again_and_again, times};
use crate::link::{Link, script};

/// Somewhere in a move, or shortly after it.
fn a_moment(rng: &mut Xoshiro256PlusPlus) {
    sleep(Duration::from_millis(rng.random_range(0..3_500)));
}

/// Two guests on one host, of which one is being moved to the other.
fn one_of_two_moves(mib: u32, mib_per_s: f32) -> Option<Arena> {
    let mut arena = Arena::new(2, mib, mib_per_s)?;
    arena.configure([0.25, 0.25]);
    Some(arena)
}

fn end_of(arena: &Arena, order: &Order) -> (Outcome, String) {
    arena.wait(&format!("{order:?} to end"), |told| told.end_of(order))
}

/// Waits until orders that were open are over, and keeps the longest time that it took.
fn settled(arena: &Arena, open: &[String], began: Instant, slowest: &mut Duration) {
    arena.wait("what was under way to be settled", |told| {
        (!open.iter().any(|order| told.open.contains(order))).then_some(())
    });
    if !open.is_empty() {
        *slowest = began.elapsed().max(*slowest);
    }
}

#[test]
fn a_program_that_is_killed_again_and_again_goes_on_where_it_was() {
    let Some(mut arena) = Arena::new(4, 24, 2.0) else { return };
    let mut rng = rand::SeedableRng::seed_from_u64(7);
    let (mut open, mut kills, mut struck, mut slowest) = (Vec::new(), 0, 0, Duration::ZERO);
    while kills < times() {
        // Most guests have to leave where most of them are, as far as is known: a move that is under
        // way may change that.
        let on_first = arena.places().values().filter(|host| **host == "a").count();
        arena.configure(if on_first >= 2 { [0.25, 0.75] } else { [0.75, 0.25] });
        let began = Instant::now();
        let live = arena.live(&[]);
        settled(&arena, &open, began, &mut slowest);
        if !arena.moves_within(Duration::from_secs(5)) {
            live.kill();
            continue;
        }
        a_moment(&mut rng);
        live.kill();
        open = arena.told().open;
        kills += 1;
        struck += usize::from(!open.is_empty());
    }
    let began = Instant::now();
    let mut live = arena.live(&["--until-settled"]);
    settled(&arena, &open, began, &mut slowest);
    assert!(live.ends_well(), "{}", arena.log());
    println!(
        "{struck} of {} kills hit a move; the slowest start settled it in {slowest:.1?}",
        times()
    );
    assert!(2 * struck >= times(), "{struck} of {}", times());
    assert!(slowest <= Duration::from_secs(10), "{slowest:?}");
    assert_eq!(arena.told().open, Vec::<String>::new());
    arena.all_go_on(&[]);
    arena.journal_is_true();
}

#[test]
fn a_guest_whose_source_is_killed_is_lost_only_if_it_was_not_handed_over() {
    let lost = AtomicUsize::new(0);
    again_and_again(|mut rng| {
        let Some(arena) = one_of_two_moves(24, 2.0) else { return };
        let live = arena.live(&[]);
        let order = arena.under_way();
        a_moment(&mut rng);
        // It may have been handed over by now, and be over.
        let was_there = arena.hosts.pid(&order.workload, &order.source).is_some();
        if was_there {
            arena.hosts.signal(&order.workload, &order.source, "KILL");
        }
        let (outcome, reason) = end_of(&arena, &order);
        live.kill();
        match outcome {
            Outcome::Succeeded => arena.all_go_on(&[]),
            // The second where it had not even begun.
            Outcome::Failed | Outcome::Superseded => {
                let is_told = reason.contains("nowhere") || reason == "the workload is gone";
                assert!(was_there && is_told, "{reason}");
                lost.fetch_add(1, Ordering::Relaxed);
                arena.all_go_on(&[&order.workload]);
            }
            _ => panic!("{outcome:?}: {reason}\n{}", arena.log()),
        }
        arena.journal_is_true();
    });
    println!("{} of {} guests were lost with their host", lost.into_inner(), times());
}

#[test]
fn a_guest_whose_destination_is_killed_runs_on_at_its_source_unless_it_was_handed_over() {
    let kept = AtomicUsize::new(0);
    again_and_again(|mut rng| {
        let Some(arena) = one_of_two_moves(24, 2.0) else { return };
        let live = arena.live(&[]);
        let order = arena.under_way();
        a_moment(&mut rng);
        // It may not have begun yet.
        let is_there = arena.hosts.pid(&order.workload, &order.destination).is_some();
        if is_there {
            arena.hosts.signal(&order.workload, &order.destination, "KILL");
        }
        let (outcome, reason) = end_of(&arena, &order);
        live.kill();
        match outcome {
            Outcome::Failed if !reason.contains("nowhere") => {
                kept.fetch_add(1, Ordering::Relaxed);
                arena.all_go_on(&[]);
                arena.journal_is_true();
            }
            Outcome::Succeeded if !is_there => arena.all_go_on(&[]),
            // It had been handed over: its host died, and what its source still has is too old.
            Outcome::Succeeded | Outcome::Failed => arena.all_go_on(&[&order.workload]),
            _ => panic!("{outcome:?}: {reason}\n{}", arena.log()),
        }
    });
    println!("{} of {} guests ran on at their source", kept.into_inner(), times());
}

#[test]
fn a_move_whose_link_stalls_is_given_up_and_never_makes_a_second_guest() {
    let given_up = AtomicUsize::new(0);
    again_and_again(|mut rng| {
        let Some(mut arena) = one_of_two_moves(24, 2.0) else { return };
        arena.begin_destinations_with(script(arena.hosts.folder()));
        arena.configure([0.25, 0.25]);
        let incoming = |guest: &str| arena.hosts.folder().join(format!("b/{guest}.incoming"));
        let links = ["g0", "g1"].map(|guest| Link::new(&incoming(guest)));
        let live = arena.live(&[]);
        let order = arena.under_way();
        a_moment(&mut rng);
        links.iter().for_each(Link::stall);
        let (outcome, reason) = end_of(&arena, &order);
        live.kill();
        assert!(matches!(outcome, Outcome::TimedOut | Outcome::Succeeded), "{outcome:?}: {reason}");
        given_up.fetch_add(usize::from(outcome == Outcome::TimedOut), Ordering::Relaxed);
        arena.all_go_on(&[]);
        arena.journal_is_true();
        // What the link still holds comes too late.
        links.iter().for_each(Link::go_on);
        sleep(Duration::from_millis(500));
        arena.all_go_on(&[]);
        arena.journal_is_true();
    });
    println!("{} of {} moves were given up", given_up.into_inner(), times());
}

#[test]
fn a_guest_that_never_converges_is_given_up_and_runs_on() {
    again_and_again(|_| {
        // It dirties eight times what the link carries.
        let Some(arena) = one_of_two_moves(64, 64.0) else { return };
        let live = arena.live(&[]);
        let order = arena.under_way();
        let (outcome, reason) = end_of(&arena, &order);
        live.kill();
        assert_eq!(outcome, Outcome::TimedOut, "{reason}");
        arena.all_go_on(&[]);
        arena.journal_is_true();
    });
}
