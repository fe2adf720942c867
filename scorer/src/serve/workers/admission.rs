//! How many requests are worked on, or wait for a worker, at once; large ones may have half of that.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::serve::bodies::api_error::ApiError;
use crate::serve::settings::bounds::Bounds;

/// Bodies of more than this part of the largest are large.
const SMALL_PART: usize = 32;

/// The limits.
#[derive(Debug)]
pub struct Admission {
    small_bytes: usize,
    most: u32,
    most_large: u32,
    all: Semaphore,
    large: Semaphore,
}

/// Leave to work on a request, until it is dropped.
#[derive(Debug)]
pub struct Permit<'a> {
    small_bytes: usize,
    _one: SemaphorePermit<'a>,
    large: Option<SemaphorePermit<'a>>,
}

impl Admission {
    /// The limits of these bounds.
    pub fn new(bounds: &Bounds) -> Self {
        let most_large = (bounds.requests / 2).max(1);
        Self {
            small_bytes: bounds.body_bytes / SMALL_PART,
            most: bounds.requests,
            most_large,
            all: Semaphore::new(bounds.requests as usize),
            large: Semaphore::new(most_large as usize),
        }
    }

    /// Bytes of the largest body that is small.
    pub fn small_bytes(&self) -> usize {
        self.small_bytes
    }

    /// Leave to read and work on a body of this size, if it is stated; of another it may be the
    /// largest.
    ///
    /// # Errors
    /// When there are as many as may be.
    pub fn enter(&self, stated: Option<u64>) -> Result<Permit<'_>, ApiError> {
        let is_small = stated.is_some_and(|bytes| bytes <= self.small_bytes as u64);
        let large = match is_small {
            true => None,
            false => Some(self.large.try_acquire().map_err(|_| {
                let what = format!("requests of more than {} bytes", self.small_bytes);
                ApiError::busy(self.most_large, &what)
            })?),
        };
        let one = self.all.try_acquire().map_err(|_| ApiError::busy(self.most, "requests"))?;
        Ok(Permit { small_bytes: self.small_bytes, _one: one, large })
    }
}

impl Permit<'_> {
    /// The body is there and has so many bytes: it may be small although it did not say so.
    pub fn has_come(&mut self, bytes: usize) {
        if bytes <= self.small_bytes {
            self.large = None;
        }
    }
}
