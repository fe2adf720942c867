//! Where plans leave: one lock, under which halt, limits, memory and whoever asked are looked at a
//! last time.
//!
//! A plan is made without a lock, and may be out of date when it is finished. Whatever it depended on
//! is asked again here, and it is remembered before anyone else is let in: no two plans count on the
//! same budget. Halting takes the same lock, and then waits until the plans that left before are
//! handed to their connections: none follows its answer.

use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::timeout;

use godwit_decide::given_answers::{Answers, Asked, NameTaken};
use godwit_decide::safety::Overtaken;

use crate::serve::leaving::caller::Caller;

/// Header of an answer that was given before.
pub const REPEATED: &str = "idempotency-replayed";

/// Longest time for which halting waits for plans that left before; what has not been handed to its
/// connection by then is cut off.
const HANDING_OVER: Duration = Duration::from_secs(2);

/// The lock, and what goes with it.
#[derive(Debug)]
pub struct Desk {
    inner: Mutex<Inner>,
    out: Arc<Out>,
}

#[derive(Debug)]
struct Inner {
    halted: bool,
    answers: Answers,
}

/// Plans with moves that have left the desk and are not yet handed to their connections.
#[derive(Debug)]
struct Out {
    plans: watch::Sender<usize>,
    /// Whether none may be handed over any more.
    shut: AtomicBool,
}

/// What becomes of a plan.
pub enum Verdict {
    /// It leaves, and is remembered.
    Leaves(Answer),
    /// The same was asked and answered meanwhile.
    Repeated(Answer),
    /// Migrations were halted meanwhile.
    Halted,
    /// Nobody waits for it any more.
    Gone,
    /// Another plan came first.
    Overtaken(Overtaken),
    /// The client's name for the question was used for another one meanwhile.
    NameTaken(NameTaken),
}

/// A plan on its way to whoever asked.
#[derive(Debug)]
pub struct Answer {
    document: Bytes,
    repeated: bool,
    /// Absent for plans without moves.
    leaving: Option<Leaving>,
}

/// Counts a plan as being on its way.
#[derive(Debug)]
struct Leaving(Arc<Out>);

/// A plan that leaves.
pub struct Departure<'a> {
    /// What is answered.
    pub document: &'a Bytes,
    /// Whether it has moves.
    pub moves: bool,
    /// Whether it was made because migrations are halted.
    pub halted: bool,
}

impl Desk {
    /// A desk; `halted` where the last process ended so.
    pub fn new(halted: bool) -> Self {
        let out = Out { plans: watch::Sender::new(0), shut: AtomicBool::new(halted) };
        let inner = Inner { halted, answers: Answers::default() };
        Self { inner: Mutex::new(inner), out: Arc::new(out) }
    }

    /// Whether migrations are halted.
    pub fn is_halted(&self) -> bool {
        self.inner().halted
    }

    /// Halts or resumes migrations; `write_down` is called under the lock. Once this is done after a
    /// halt, no plan with moves follows.
    pub async fn halt(&self, halted: bool, write_down: impl FnOnce()) {
        {
            let mut inner = self.inner();
            inner.halted = halted;
            write_down();
            if !halted {
                self.out.shut.store(false, SeqCst);
            }
        }
        if halted {
            let mut plans = self.out.plans.subscribe();
            let handed_over = timeout(HANDING_OVER, plans.wait_for(|plans| *plans == 0)).await;
            if handed_over.is_err() {
                tracing::error!("plans that left before the halt are cut off");
            }
            // Someone may have resumed meanwhile.
            if self.inner().halted {
                self.out.shut.store(true, SeqCst);
            }
        }
    }

    /// The answer that the same question was given before, if it may be given again.
    ///
    /// # Errors
    /// When the client's name for it stood for another question.
    pub fn find(&self, asked: &Asked) -> Result<Option<Answer>, NameTaken> {
        let inner = self.inner();
        if inner.halted {
            return Ok(None);
        }
        let found = inner.answers.find(asked)?;
        Ok(found.map(|document| self.answer(document, true, true)))
    }

    /// Lets a plan leave, if nothing has changed that forbids it; `remember` says whether another plan
    /// came first, and remembers this one if not.
    pub fn leave(
        &self,
        caller: &Caller,
        asked: &Asked,
        plan: &Departure<'_>,
        remember: impl FnOnce() -> Result<(), Overtaken>,
    ) -> Verdict {
        let mut inner = self.inner();
        if inner.halted && !plan.halted {
            return Verdict::Halted;
        }
        if !inner.halted {
            match inner.answers.find(asked) {
                Ok(Some(document)) => return Verdict::Repeated(self.answer(document, true, true)),
                Ok(None) => {}
                Err(taken) => return Verdict::NameTaken(taken),
            }
        }
        if !caller.take() {
            return Verdict::Gone;
        }
        if let Err(overtaken) = remember() {
            caller.let_go();
            return Verdict::Overtaken(overtaken);
        }
        // An empty plan of a halt says nothing about the time after it.
        if !plan.halted {
            inner.answers.keep(asked, plan.document);
        }
        Verdict::Leaves(self.answer(plan.document.clone(), plan.moves, false))
    }

    /// A plan did not leave after all.
    pub fn take_back(&self, asked: &Asked) {
        self.inner().answers.forget(asked);
    }

    /// An answer on its way; called under the lock.
    fn answer(&self, document: Bytes, moves: bool, repeated: bool) -> Answer {
        let leaving = moves.then(|| {
            self.out.plans.send_modify(|plans| *plans += 1);
            Leaving(Arc::clone(&self.out))
        });
        Answer { document, repeated, leaving }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Each statement that changes it leaves it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    /// The response.
    pub fn into_response(self) -> Response {
        let Self { document, repeated, leaving } = self;
        let mut response = Response::new(Body::new(Parcel { document: Some(document), leaving }));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if repeated {
            headers.insert(REPEATED, HeaderValue::from_static("true"));
        }
        response
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.plans.send_modify(|plans| *plans -= 1);
    }
}

/// The body of an answer: gone once its connection has taken it.
struct Parcel {
    document: Option<Bytes>,
    leaving: Option<Leaving>,
}

/// Migrations were halted before the answer could be handed over.
#[derive(Debug, thiserror::Error)]
#[error("expected to hand a plan over before migrations were halted")]
struct TooLate;

impl hyper::body::Body for Parcel {
    type Data = Bytes;
    type Error = TooLate;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TooLate>>> {
        let is_late = self.leaving.as_ref().is_some_and(|leaving| leaving.0.shut.load(SeqCst));
        Poll::Ready(self.document.take().map(|document| match is_late {
            true => Err(TooLate),
            false => Ok(Frame::data(document)),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.document.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.document.as_ref().map_or(0, Bytes::len) as u64)
    }
}

#[cfg(test)]
mod tests;
