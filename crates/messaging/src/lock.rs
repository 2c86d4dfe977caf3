//! A mutex whose guard is had without a question about poison.
//!
//! INVARIANT: no lock of this crate is held across an await, nor while calling a gate or an observer. Where two are
//! held, the order is registry shard, then session; the table of rooms, then a room.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A mutex. A panic while it is held (a defect) does not take the broker with it: the next holder goes on.
#[derive(Debug, Default)]
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
