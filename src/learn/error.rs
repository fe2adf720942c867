//! Why an update was not made.

use crate::learn::finite::NotFinite;
use crate::torch_ext::cuda::CudaError;

/// Why an update was not made.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// The CUDA device failed.
    #[error("the CUDA device failed: {0}")]
    Cuda(#[from] CudaError),
    /// Nothing can be learnt any more.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
}
