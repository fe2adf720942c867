//! How many destinations the kernels look at at once.

/// Destinations that one pass of a kernel computes and stores; see
/// [`ObservationBuffer::candidates`](crate::observe::ObservationBuffer::candidates).
pub const LANES: usize = 16;

/// A value for each of [`LANES`] destinations.
pub type Lanes = [f32; LANES];
