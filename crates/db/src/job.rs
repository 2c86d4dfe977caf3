//! What a caller hands over, and how it is run in place.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use kernel::{Error, Result};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs a job whose statements are answered in place: one poll is enough, or the job awaits something else.
pub(crate) fn run_in_place<T>(mut job: BoxFuture<'_, Result<T>>) -> Result<T> {
    match job.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(Error::internal("a database job awaited something other than the database")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_waits_for_something_else_is_refused() {
        let error = run_in_place::<()>(Box::pin(std::future::pending())).unwrap_err();
        assert!(error.chain().contains("other than the database"), "{error:?}");
        assert_eq!(run_in_place(Box::pin(async { Ok(7) })).unwrap(), 7);
    }
}
