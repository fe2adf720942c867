//! A CPU tensor's memory as a slice.

use tch::{Device, Kind, Tensor};

/// The elements of a contiguous `f32` tensor on the CPU.
///
/// # Panics
/// For any other tensor.
pub(super) fn host(tensor: &Tensor) -> &[f32] {
    check(tensor);
    // SAFETY: the tensor is contiguous, on the CPU and of this kind, so that `numel` elements lie
    // at its pointer for as long as it lives, which the borrow outlasts no longer than.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<f32>(), tensor.numel()) }
}

/// [`host`], to write to.
///
/// # Panics
/// For any other tensor.
pub(super) fn host_mut(tensor: &mut Tensor) -> &mut [f32] {
    check(tensor);
    // SAFETY: as in `host`; the exclusive borrow keeps this handle from being used meanwhile, and
    // views of the same memory are only used by the learner that holds this handle.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<f32>(), tensor.numel()) }
}

fn check(tensor: &Tensor) {
    assert!(
        tensor.device() == Device::Cpu && tensor.kind() == Kind::Float && tensor.is_contiguous(),
        "expected a contiguous f32 tensor on the CPU"
    );
}
