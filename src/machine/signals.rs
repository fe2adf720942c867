//! SIGINT and SIGTERM: the first asks for a tidy end, a second one ends the process at once.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

/// A flag that the first SIGINT or SIGTERM sets. A second signal ends the process with the code
/// that shells give to it: 130 or 143.
///
/// # Errors
/// When the system refuses a handler.
pub fn stop_flag() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: at the first signal the flag is not yet set, so this does nothing.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// The SIGINT or SIGTERM that came last, by number; 0 as long as none did.
///
/// # Errors
/// When the system refuses a handler.
pub fn received_signal() -> io::Result<Arc<AtomicUsize>> {
    let received = Arc::new(AtomicUsize::new(0));
    for signal in [SIGINT, SIGTERM] {
        flag::register_usize(signal, Arc::clone(&received), signal as usize)?;
    }
    Ok(received)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_signal_sets_the_flag() {
        let stop = stop_flag().expect("handlers");
        assert!(!stop.load(Ordering::Relaxed));
        signal_hook::low_level::raise(SIGTERM).expect("a signal to this process");
        assert!(stop.load(Ordering::Relaxed));
    }
}
