//! What tch lacks for updates on a CUDA device, see `cuda.h`: pinned memory, copies that do not
//! wait, events, a side stream, CUDA graphs, a fused Adam, TF32 and bf16.

use std::ffi::{c_char, c_void};
use std::ptr::{NonNull, null_mut};

use tch::Tensor;

use super::take_message;

/// What libtorch or CUDA said when it refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CudaError(pub String);

type Result<T> = std::result::Result<T, CudaError>;

fn check(message: *mut c_char) -> Result<()> {
    take_message(message).map_or(Ok(()), |message| {
        // The first line is the reason, what follows is advice on debugging.
        Err(CudaError(message.lines().next().unwrap_or_default().to_owned()))
    })
}

/// Pinned host memory: a device copies from it while the host goes on.
#[derive(Debug)]
pub struct Pinned {
    tensor: Tensor,
    size: usize,
}

impl Pinned {
    /// Zeros, `size` of them.
    ///
    /// # Errors
    /// Without a CUDA device, or when there is not enough memory.
    pub fn new(size: usize) -> Result<Self> {
        let mut pointer = null_mut();
        // SAFETY: the bridge writes one pointer to a tensor that it hands over.
        check(unsafe { godwit_pinned(size as i64, &raw mut pointer) })?;
        // SAFETY: a `torch::Tensor` made with `new` for us, which is what tch wraps.
        Ok(Self { tensor: unsafe { Tensor::from_ptr(pointer.cast()) }, size })
    }

    /// The memory.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: a contiguous float tensor of `size` elements in host memory that nothing else
        // refers to. A copy from it that is still under way only reads, and whoever overwrites
        // the memory waits for that copy's event first.
        unsafe { std::slice::from_raw_parts_mut(self.tensor.data_ptr().cast(), self.size) }
    }

    /// Enqueues a copy to a tensor of the same size.
    ///
    /// # Errors
    /// When the sizes differ.
    pub fn upload(&self, to: &mut Tensor) -> Result<()> {
        // SAFETY: both tensors are alive during the call.
        check(unsafe { godwit_copy_async(to.as_mut_ptr().cast(), self.tensor.as_ptr().cast()) })
    }

    /// Enqueues a copy from a tensor of the same size; it is complete at the next event.
    ///
    /// # Errors
    /// When the sizes differ.
    pub fn download(&mut self, from: &Tensor) -> Result<()> {
        // SAFETY: both tensors are alive during the call.
        check(unsafe { godwit_copy_async(self.tensor.as_mut_ptr().cast(), from.as_ptr().cast()) })
    }
}

/// A point in the work of a device's current stream.
#[derive(Debug)]
pub struct Event {
    raw: *mut c_void,
    device: usize,
}

// SAFETY: owned by this value alone; CUDA's events belong to no thread.
unsafe impl Send for Event {}

impl Event {
    /// One that counts as reached until it is recorded.
    pub fn new(device: usize) -> Self {
        Self { raw: null_mut(), device }
    }

    /// Moves the point to the end of what the current stream has to do.
    ///
    /// # Errors
    /// When CUDA fails.
    pub fn record(&mut self) -> Result<()> {
        // SAFETY: null or an event of the bridge.
        check(unsafe { godwit_event_record(self.device as i32, &raw mut self.raw) })
    }

    /// Waits until the device is there; tells whether it was not yet.
    ///
    /// # Errors
    /// When CUDA fails, also by work before the point.
    pub fn wait(&self) -> Result<bool> {
        if self.raw.is_null() {
            return Ok(false);
        }
        let mut waited = 0;
        // SAFETY: an event of the bridge, and an integer to write to.
        check(unsafe { godwit_event_wait(self.raw, &raw mut waited) })?;
        Ok(waited != 0)
    }

    /// Milliseconds of device time from `earlier` to here; both have been recorded and reached.
    ///
    /// # Errors
    /// When one of them is not.
    pub fn milliseconds_since(&self, earlier: &Self) -> Result<f64> {
        let (Some(from), Some(to)) = (NonNull::new(earlier.raw), NonNull::new(self.raw)) else {
            return Err(CudaError("expected two recorded events".to_owned()));
        };
        let mut milliseconds = 0.0;
        // SAFETY: two events of the bridge, and a number to write to.
        check(unsafe { godwit_event_elapsed(from.as_ptr(), to.as_ptr(), &raw mut milliseconds) })?;
        Ok(milliseconds)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: null or an event of the bridge, freed once.
        unsafe { godwit_event_free(self.raw) }
    }
}

/// A stream beside the default one, on which graphs are warmed up and recorded.
#[derive(Debug)]
pub struct SideStream(NonNull<c_void>);

// SAFETY: owned by this value alone; CUDA's streams belong to no thread.
unsafe impl Send for SideStream {}

impl SideStream {
    /// One from libtorch's pool.
    ///
    /// # Errors
    /// Without a CUDA device.
    pub fn new(device: usize) -> Result<Self> {
        let mut raw = null_mut();
        // SAFETY: the bridge writes one pointer.
        check(unsafe { godwit_side_new(device as i32, &raw mut raw) })?;
        NonNull::new(raw).map(Self).ok_or_else(|| CudaError("no stream".to_owned()))
    }

    /// Enqueues `work` on it: after what the current stream has to do, and before what comes next
    /// there.
    ///
    /// # Errors
    /// When CUDA fails.
    pub fn run<T>(&mut self, work: impl FnOnce() -> T) -> Result<T> {
        // SAFETY: a stream of the bridge.
        check(unsafe { godwit_side_enter(self.0.as_ptr()) })?;
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        // SAFETY: as above, entered on this thread.
        check(unsafe { godwit_side_leave(self.0.as_ptr()) })?;
        Ok(result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }
}

impl Drop for SideStream {
    fn drop(&mut self) {
        // SAFETY: a stream of the bridge, freed once.
        unsafe { godwit_side_free(self.0.as_ptr()) }
    }
}

/// Recorded work of a device, enqueued as a whole.
#[derive(Debug)]
pub struct Graph(NonNull<c_void>);

// SAFETY: owned by this value alone; libtorch's graphs belong to no thread.
unsafe impl Send for Graph {}

impl Graph {
    /// Records what `work` enqueues on `side` without doing it. All memory that it reads or
    /// writes, but for its own temporaries, must stay where it is. A panic in `work` is an error
    /// that says what it said; the caller keeps the panic hook quiet if it wants to.
    ///
    /// # Errors
    /// When `work` does what a graph cannot hold.
    pub fn record(side: &mut SideStream, work: impl FnOnce()) -> Result<Self> {
        side.run(|| {
            let mut raw = null_mut();
            // SAFETY: the bridge writes one pointer, and only when it succeeds.
            check(unsafe { godwit_graph_begin(&raw mut raw) })?;
            let graph = Self(NonNull::new(raw).ok_or_else(|| CudaError("no graph".to_owned()))?);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            // SAFETY: the graph begun above; also after a panic, so that the stream is released.
            let end = check(unsafe { godwit_graph_end(graph.0.as_ptr()) });
            match outcome {
                Ok(()) => end.map(|()| graph),
                Err(panic) => Err(CudaError(said(panic.as_ref()))),
            }
        })?
    }

    /// Enqueues the work on the current stream.
    ///
    /// # Errors
    /// When CUDA fails.
    pub fn replay(&self) -> Result<()> {
        // SAFETY: a graph of the bridge, recorded to its end.
        check(unsafe { godwit_graph_replay(self.0.as_ptr()) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: a graph of the bridge, freed once.
        unsafe { godwit_graph_free(self.0.as_ptr()) }
    }
}

/// What a panic said, or, where tch panicked, what libtorch had said; its first line.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic");
    let text = text.split_once("Torch(\"").map_or(text, |(_, said)| said);
    // tch shows the message as a literal.
    let end = text.find("\\n").unwrap_or(text.len());
    text[..end].lines().next().unwrap_or_default().to_owned()
}

/// The tensors of an Adam step, all on one device.
#[derive(Debug)]
pub struct AdamTensors<'a> {
    /// Weights, `[P]`.
    pub parameters: &'a mut Tensor,
    /// Gradient, `[P]`.
    pub gradient: &'a mut Tensor,
    /// First moment, `[P]`.
    pub mean: &'a mut Tensor,
    /// Second moment, `[P]`.
    pub square: &'a mut Tensor,
    /// Number of this update, from 1, `[]`.
    pub step: &'a mut Tensor,
    /// Step size, `[]`.
    pub learning_rate: &'a mut Tensor,
}

/// The numbers of an Adam step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamSettings {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Added to the denominator.
    pub epsilon: f64,
}

/// One AdamW update in one kernel; step and step size are read on the device.
///
/// # Errors
/// When the tensors do not fit together.
pub fn adamw(tensors: AdamTensors, settings: AdamSettings) -> Result<()> {
    let AdamTensors { parameters, gradient, mean, square, step, learning_rate } = tensors;
    let AdamSettings { beta1, beta2, weight_decay, epsilon } = settings;
    // SAFETY: all tensors are alive during the call.
    check(unsafe {
        godwit_adamw(
            parameters.as_mut_ptr().cast(),
            gradient.as_mut_ptr().cast(),
            mean.as_mut_ptr().cast(),
            square.as_mut_ptr().cast(),
            step.as_mut_ptr().cast(),
            learning_rate.as_mut_ptr().cast(),
            beta1,
            beta2,
            weight_decay,
            epsilon,
        )
    })
}

/// Whether float matrix products on CUDA may round their factors to TF32 (10 bits of mantissa);
/// for the whole process.
///
/// # Errors
/// When libtorch refuses.
pub fn allow_tf32(allow: bool) -> Result<()> {
    // SAFETY: a plain setting.
    check(unsafe { godwit_allow_tf32(allow.into()) })
}

/// Does `work` with matrix products on CUDA in bf16.
pub fn with_bf16<T>(work: impl FnOnce() -> T) -> T {
    struct Guard;
    impl Drop for Guard {
        fn drop(&mut self) {
            // SAFETY: begun below on this thread.
            unsafe { godwit_bf16_end() }
        }
    }
    // SAFETY: ended by the guard, also where `work` panics.
    unsafe { godwit_bf16_begin() };
    let _guard = Guard;
    work()
}

/// Makes every operation of libtorch in this process that waits for a CUDA device fail, or not
/// any more: to prove that a piece of work never does.
///
/// # Errors
/// Where libtorch's CUDA library is not loaded.
pub fn refuse_synchronisation(refuse: bool) -> Result<()> {
    // SAFETY: a plain setting.
    check(unsafe { godwit_refuse_synchronisation(refuse.into()) })
}

unsafe extern "C" {
    fn godwit_pinned(size: i64, tensor: *mut *mut c_void) -> *mut c_char;
    fn godwit_copy_async(destination: *mut c_void, source: *const c_void) -> *mut c_char;
    fn godwit_adamw(
        parameters: *mut c_void,
        gradient: *mut c_void,
        mean: *mut c_void,
        square: *mut c_void,
        step: *mut c_void,
        learning_rate: *mut c_void,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        epsilon: f64,
    ) -> *mut c_char;
    fn godwit_event_record(device: i32, event: *mut *mut c_void) -> *mut c_char;
    fn godwit_event_wait(event: *mut c_void, waited: *mut i32) -> *mut c_char;
    fn godwit_event_elapsed(
        from: *mut c_void,
        to: *mut c_void,
        milliseconds: *mut f64,
    ) -> *mut c_char;
    fn godwit_event_free(event: *mut c_void);
    fn godwit_side_new(device: i32, side: *mut *mut c_void) -> *mut c_char;
    fn godwit_side_enter(side: *mut c_void) -> *mut c_char;
    fn godwit_side_leave(side: *mut c_void) -> *mut c_char;
    fn godwit_side_free(side: *mut c_void);
    fn godwit_graph_begin(graph: *mut *mut c_void) -> *mut c_char;
    fn godwit_graph_end(graph: *mut c_void) -> *mut c_char;
    fn godwit_graph_replay(graph: *mut c_void) -> *mut c_char;
    fn godwit_graph_free(graph: *mut c_void);
    fn godwit_allow_tf32(allow: i32) -> *mut c_char;
    fn godwit_bf16_begin();
    fn godwit_bf16_end();
    fn godwit_refuse_synchronisation(refuse: i32) -> *mut c_char;
}

#[cfg(test)]
mod tests;
