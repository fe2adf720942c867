//! What the program answers and does, command by command and route by route, and how its sources
//! are laid out.
//!
//! `cargo test -p godwit-scorer --test program service::reload` runs one part.

#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

mod support;

mod commands {
    mod bad_input;
    mod decide;
    mod health;
    mod observe;
    mod operator_limits;
}

mod sources {
    mod layout;
}

mod service {
    mod access;
    mod answers;
    mod bounds;
    mod clients;
    mod decision_log;
    mod entry_and_end;
    mod feedback;
    mod inference;
    mod reload;
    mod state;
}
