//! Why a cluster cannot be opened.

use std::io;
use std::path::PathBuf;

use crate::cluster::CallError;

/// Why a cluster cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting holds what it must not.
    #[error("kubernetes.{field}: expected {expected}, got {got}")]
    Setting {
        /// Which.
        field: &'static str,
        /// What would have been accepted.
        expected: &'static str,
        /// What was found.
        got: String,
    },
    /// The kubeconfig cannot be used.
    #[error("kubernetes.kubeconfig: {path}: expected a kubeconfig file, got {got}", path = path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What was found.
        got: String,
    },
    /// No kubeconfig is given, and this runs in no pod of a cluster.
    #[error("kubernetes.kubeconfig: expected a file, or to run in a pod of the cluster, got {got}")]
    NotInCluster {
        /// What was found.
        got: String,
    },
    /// The kubeconfig asks for what is not possible.
    #[error("kubernetes: expected to reach the API server as the kubeconfig says, got {0}")]
    Client(String),
    /// The system has no threads to give.
    #[error("kubernetes: expected to start two threads, got {0}")]
    Runtime(io::Error),
    /// The orders of before cannot be read.
    #[error(
        "kubernetes.orders_namespace: {namespace}: {failure}; create it, and grant deploy/kubernetes/rbac.yaml"
    )]
    Orders {
        /// The namespace.
        namespace: String,
        /// What came of it.
        failure: CallError,
    },
}
