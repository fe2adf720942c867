//! Guests by the names that workloads have: `qemu/100`, `lxc/101`.

use std::fmt;

use crate::cluster::CallError;

/// A guest of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Guest {
    pub(super) kind: Kind,
    pub(super) vmid: u32,
}

/// Kinds of guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A virtual machine.
    Qemu,
    /// A container.
    Lxc,
}

impl Guest {
    /// # Errors
    /// When the name is not that of a guest.
    pub(super) fn parse(name: &str) -> Result<Self, CallError> {
        let refuse = || {
            CallError::Refused(format!(
                "expected a workload like qemu/100 or lxc/101, got {name:?}"
            ))
        };
        let (kind, vmid) = name.split_once('/').ok_or_else(refuse)?;
        let kind = match kind {
            "qemu" => Kind::Qemu,
            "lxc" => Kind::Lxc,
            _ => return Err(refuse()),
        };
        let vmid = vmid.parse().map_err(|_| refuse())?;
        Ok(Self { kind, vmid })
    }
}

impl fmt::Display for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Qemu => "qemu",
            Kind::Lxc => "lxc",
        };
        write!(f, "{kind}/{}", self.vmid)
    }
}

/// A node's name as part of a path.
///
/// # Errors
/// When no node can have that name.
pub(super) fn node(name: &str) -> Result<&str, CallError> {
    let sound = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    match sound {
        true => Ok(name),
        false => Err(CallError::Refused(format!("expected the name of a node, got {name:?}"))),
    }
}
