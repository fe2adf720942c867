//! What goes wrong, and how often.

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

/// Shares of requests, 0 to 1, that meet each fault.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Answered with status 500, and not carried out.
    pub refused: f64,
    /// The connection ends before it is carried out.
    pub lost_before: f64,
    /// It is carried out, and the connection ends before the answer.
    pub lost_after: f64,
    /// Carried out or not, no answer comes.
    pub silent: f64,
    /// Shares of events of a watch after which it ends.
    pub dropped: f64,
    /// Shares of watches that are told 410 Gone.
    pub gone: f64,
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    Refused,
    LostBefore,
    LostAfter,
    SilentBefore,
    SilentAfter,
}

impl Faults {
    /// A mixture of everything.
    pub fn some() -> Self {
        Self {
            refused: 0.03,
            lost_before: 0.02,
            lost_after: 0.03,
            silent: 0.002,
            dropped: 0.02,
            gone: 0.1,
        }
    }

    pub(super) fn draw(&self, rng: &mut Xoshiro256PlusPlus) -> Fault {
        let mut at: f64 = rng.random();
        let half = self.silent / 2.0;
        for (share, fault) in [
            (self.refused, Fault::Refused),
            (self.lost_before, Fault::LostBefore),
            (self.lost_after, Fault::LostAfter),
            (half, Fault::SilentBefore),
            (half, Fault::SilentAfter),
        ] {
            if at < share {
                return fault;
            }
            at -= share;
        }
        Fault::None
    }
}
