//! Ends a scan that nobody waits for any more, or that takes too long.
//!
//! SQLite runs a statement on our thread to its end, whatever became of the caller. So it is made to ask from time to
//! time whether to go on.

use std::{
    ffi::c_int,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use kernel::{Error, Result};

use crate::{error, sqlite::Session};

/// Steps of SQLite's virtual machine between two questions: some ten microseconds.
const STEPS: c_int = 1000;

/// Until when a scan may go on.
#[derive(Clone)]
pub(super) struct Watch {
    abandoned: Arc<AtomicBool>,
    deadline: Instant,
    longest: Duration,
}

/// In the caller's hands: if it goes away, the scan ends.
pub(super) struct Interest(Arc<AtomicBool>);

impl Drop for Interest {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Watch {
    /// Lets a scan take `longest`, from now on.
    pub(super) fn start(longest: Duration) -> (Self, Interest) {
        let abandoned = Arc::new(AtomicBool::new(false));
        let interest = Interest(Arc::clone(&abandoned));
        (Self { abandoned, deadline: Instant::now() + longest, longest }, interest)
    }

    /// Unavailable when the scan is to end.
    pub(super) fn check(&self) -> Result<()> {
        if self.abandoned.load(Ordering::Relaxed) {
            return Err(Error::unavailable("nobody waits for the scan any more"));
        }
        if Instant::now() >= self.deadline {
            return Err(Error::unavailable(format!("the scan took longer than {:?}", self.longest)));
        }
        Ok(())
    }

    /// Watches over the statements of a session, until [`release`]. One that is running when the scan is to end fails
    /// as interrupted, which is Unavailable.
    pub(super) fn over(&self, session: &mut Session) -> Result<()> {
        let watch = self.clone();
        session
            .connection_mut()
            .progress_handler(STEPS, Some(move || watch.check().is_err()))
            .map_err(|error| error::sqlite("watch over a scan", &error))?;
        session.set_watch(Some(self.clone()));
        Ok(())
    }
}

/// Lets the session's statements run to their end again.
pub(super) fn release(session: &mut Session) -> Result<()> {
    session.set_watch(None);
    session
        .connection_mut()
        .progress_handler(0, None::<fn() -> bool>)
        .map_err(|error| error::sqlite("release a scan", &error))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use kernel::Kind;
    use rusqlite::{Connection, functions::FunctionFlags};

    use super::*;

    #[test]
    fn a_statement_ends_when_the_caller_goes_away_in_the_middle_of_it() {
        let (watch, interest) = Watch::start(Duration::from_secs(600));
        let interest = Mutex::new(Some(interest));
        let connection = Connection::open_in_memory().unwrap();
        connection
            .create_scalar_function("go_away", 0, FunctionFlags::SQLITE_UTF8, move |_| {
                drop(interest.lock().unwrap().take());
                Ok(1)
            })
            .unwrap();
        let mut session = Session::new(connection);
        watch.over(&mut session).unwrap();
        let minutes =
            "WITH RECURSIVE n (i) AS (SELECT go_away() UNION ALL SELECT i + 1 FROM n WHERE i < 500000000)
                       SELECT count(*) FROM n";
        assert_eq!(session.all(minutes, &[]).unwrap_err().kind(), Kind::Unavailable);
        assert!(session.all("SELECT 1", &[]).unwrap_err().chain().contains("nobody waits"));
        release(&mut session).unwrap();
        session.all("SELECT 1", &[]).unwrap();
    }
}
