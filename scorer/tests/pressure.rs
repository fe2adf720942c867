//! The service under pressure: many clients at once, slow ones, large clusters, damaged input. These
//! tests load the machine or measure times and memory: they are a program of their own, so that no
//! other test runs beside them.

#![allow(clippy::unwrap_used)] // a failed expectation is the point of a test

mod support;

mod pressure {
    mod commit;
    mod fair;
    mod faults;
    mod slow_clients;
}
