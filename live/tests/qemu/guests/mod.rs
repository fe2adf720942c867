//! Guests of QEMU for tests and for the example: small enough that eight of them are no load.

pub mod boot_sector;
pub mod hosts;
