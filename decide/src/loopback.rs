//! Names of this machine itself: what a browser may have been sent to.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether a host, without its port, is this machine's own.
pub fn is_loopback(host: &str) -> bool {
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
        || v6.is_some_and(|v6| v6.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback()))
}
