//! Last looks, one after the other and all at once.

use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use http_body_util::BodyExt;

use super::*;
use crate::serve::leaving::caller::Waiting;

static DOCUMENT: Bytes = Bytes::from_static(b"{\"moves\":1}");

fn plan() -> Departure<'static> {
    Departure { document: &DOCUMENT, moves: true, halted: false }
}

fn about(content: u8) -> Asked {
    Asked { named: None, content: Some([content; 32]) }
}

fn overtaken() -> Overtaken {
    Overtaken { broken: Vec::new(), memory: Default::default() }
}

/// Has the plan leave for someone who waits.
fn leave(desk: &Desk, asked: &Asked, remember: impl FnOnce() -> Result<(), Overtaken>) -> Verdict {
    let waiting = Waiting::default();
    desk.leave(&waiting.caller(), asked, &plan(), remember)
}

#[tokio::test]
async fn a_plan_leaves_once_and_the_same_question_is_answered_the_same() {
    let desk = Desk::new(false);
    let remembered = AtomicUsize::new(0);
    let remember = || {
        remembered.fetch_add(1, SeqCst);
        Ok(())
    };
    assert!(matches!(leave(&desk, &about(1), remember), Verdict::Leaves(_)));
    assert!(matches!(leave(&desk, &about(1), remember), Verdict::Repeated(_)));
    let answer = desk.find(&about(1)).unwrap().unwrap().into_response();
    assert_eq!(answer.headers()[REPEATED], "true");
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), DOCUMENT);
    assert_eq!(remembered.load(SeqCst), 1);
}

#[tokio::test]
async fn nothing_is_remembered_for_who_has_gone_or_of_a_plan_that_was_overtaken() {
    let desk = Desk::new(false);
    let waiting = Waiting::default();
    let caller = waiting.caller();
    drop(waiting);
    let never = || panic!("remembered for nobody");
    assert!(matches!(desk.leave(&caller, &about(1), &plan(), never), Verdict::Gone));
    let waiting = Waiting::default();
    let caller = waiting.caller();
    let second = || Err(overtaken());
    assert!(matches!(desk.leave(&caller, &about(1), &plan(), second), Verdict::Overtaken(_)));
    assert!(desk.find(&about(1)).unwrap().is_none());
    // It may still give up, as nothing is on its way.
    assert!(waiting.give_up());
}

#[tokio::test]
async fn a_halt_waits_for_plans_that_left_before_and_no_other_one_leaves() {
    let desk = Arc::new(Desk::new(false));
    let Verdict::Leaves(answer) = leave(&desk, &about(1), || Ok(())) else { panic!("no plan") };
    let halting = tokio::spawn({
        let desk = Arc::clone(&desk);
        async move { desk.halt(true, || {}).await }
    });
    while !desk.is_halted() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(leave(&desk, &about(2), || Ok(())), Verdict::Halted));
    assert!(desk.find(&about(1)).unwrap().is_none(), "a plan is repeated during a halt");
    assert!(!halting.is_finished());
    let body = answer.into_response().into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), DOCUMENT);
    halting.await.unwrap();

    desk.halt(false, || {}).await;
    assert!(matches!(leave(&desk, &about(2), || Ok(())), Verdict::Leaves(_)));
}

#[tokio::test]
async fn a_plan_that_nobody_takes_delays_no_halt_for_ever_and_does_not_follow_it() {
    let desk = Desk::new(false);
    let Verdict::Leaves(answer) = leave(&desk, &about(1), || Ok(())) else { panic!("no plan") };
    desk.halt(true, || {}).await;
    let body = answer.into_response().into_body().collect().await;
    assert!(body.is_err(), "a plan left after the halt");
    // Answers without moves do.
    let waiting = Waiting::default();
    let empty = Departure { moves: false, halted: true, ..plan() };
    let Verdict::Leaves(empty) = desk.leave(&waiting.caller(), &about(1), &empty, || Ok(())) else {
        panic!("no answer")
    };
    assert!(empty.into_response().into_body().collect().await.is_ok());
    desk.halt(false, || {}).await;
    assert!(desk.find(&about(1)).unwrap().is_some());
}

/// Eight threads have plans leave and hand them over while someone halts: whatever is handed over
/// later than the halt was done would be a plan that followed it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_plan_is_handed_over_once_a_halt_is_done() {
    for round in 0..30 {
        let desk = Arc::new(Desk::new(false));
        let leaving: Vec<_> = (0..8)
            .map(|_| {
                let desk = Arc::clone(&desk);
                std::thread::spawn(move || {
                    let mut last = None;
                    for _ in 0..1_000_000 {
                        match leave(&desk, &Asked::default(), || Ok(())) {
                            Verdict::Leaves(answer) => {
                                // The time is taken while it still counts as being on its way.
                                last = Some(Instant::now());
                                drop(answer.into_response());
                            }
                            Verdict::Halted => break,
                            _ => panic!("neither of both"),
                        }
                    }
                    last
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(round % 5)).await;
        desk.halt(true, || {}).await;
        let halted = Instant::now();
        for thread in leaving {
            let last = thread.join().unwrap();
            assert!(last.is_none_or(|last| last <= halted), "round {round}");
        }
    }
}
