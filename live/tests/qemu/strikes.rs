//! The program moves guests, and something strikes at a random moment of a move: no guest runs twice,
//! none is lost but that of a host that died, and the journal tells the truth.

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

/// One of two guests moves, and its process on a host of the order is killed at some moment: whether it
/// was there, and how the order ended.
fn killed_while_it_moves(
    rng: &mut Xoshiro256PlusPlus,
    host: impl Fn(&Order) -> &str,
) -> Option<(Arena, Order, bool, (Outcome, String))> {
    let arena = one_of_two_moves(24, 2.0)?;
    let live = arena.live(&[]);
    let order = arena.under_way();
    a_moment(rng);
    // It may not have begun yet, or be over.
    let was_there = arena.hosts.pid(&order.workload, host(&order)).is_some();
    if was_there {
        arena.hosts.signal(&order.workload, host(&order), "KILL");
    }
    let end = end_of(&arena, &order);
    live.kill();
    Some((arena, order, was_there, end))
}

#[test]
fn a_guest_whose_source_is_killed_is_lost_only_if_it_was_not_handed_over() {
    let lost = again_and_again(|mut rng| {
        let killed = killed_while_it_moves(&mut rng, |order| &order.source)?;
        let (arena, order, was_there, (outcome, reason)) = killed;
        let is_lost = match outcome {
            Outcome::Succeeded => false,
            // The second where it had not even begun.
            Outcome::Failed | Outcome::Superseded => {
                let is_told = reason.contains("nowhere") || reason == "the workload is gone";
                assert!(was_there && is_told, "{reason}");
                true
            }
            _ => panic!("{outcome:?}: {reason}\n{}", arena.log()),
        };
        let lost: &[&str] = if is_lost { &[order.workload.as_str()] } else { &[] };
        arena.all_go_on(lost);
        arena.journal_is_true();
        Some(is_lost)
    });
    println!("{lost} of {} guests were lost with their host", times());
}

#[test]
fn a_guest_whose_destination_is_killed_runs_on_at_its_source_unless_it_was_handed_over() {
    let kept = again_and_again(|mut rng| {
        let killed = killed_while_it_moves(&mut rng, |order| &order.destination)?;
        let (arena, order, was_there, (outcome, reason)) = killed;
        let is_kept = outcome == Outcome::Failed && !reason.contains("nowhere");
        match outcome {
            Outcome::Succeeded | Outcome::Failed if is_kept || !was_there => {
                arena.all_go_on(&[]);
                arena.journal_is_true();
            }
            // It had been handed over: its host died, and what its source still has is too old.
            Outcome::Succeeded | Outcome::Failed => arena.all_go_on(&[&order.workload]),
            _ => panic!("{outcome:?}: {reason}\n{}", arena.log()),
        }
        Some(is_kept)
    });
    println!("{kept} of {} guests ran on at their source", times());
}

#[test]
fn a_move_whose_link_stalls_is_given_up_and_never_makes_a_second_guest() {
    let given_up = again_and_again(|mut rng| {
        let mut arena = one_of_two_moves(24, 2.0)?;
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
        arena.all_go_on(&[]);
        arena.journal_is_true();
        // What the link still holds comes too late.
        links.iter().for_each(Link::go_on);
        sleep(Duration::from_millis(500));
        arena.all_go_on(&[]);
        arena.journal_is_true();
        Some(outcome == Outcome::TimedOut)
    });
    println!("{given_up} of {} moves were given up", times());
}

#[test]
fn a_guest_that_never_converges_is_given_up_and_runs_on() {
    again_and_again(|_| {
        // It dirties eight times what the link carries.
        let arena = one_of_two_moves(64, 64.0)?;
        let live = arena.live(&[]);
        let order = arena.under_way();
        let (outcome, reason) = end_of(&arena, &order);
        live.kill();
        assert_eq!(outcome, Outcome::TimedOut, "{reason}");
        arena.all_go_on(&[]);
        arena.journal_is_true();
        Some(true)
    });
}
