//! One process per database file: the caches of two could not know of each other's writes.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use kernel::{Error, Kind, Result};
use tokio::time::{Instant, sleep};

/// How often a lock that is held is tried again.
const AGAIN: Duration = Duration::from_millis(20);

/// The lock on `<database>.lock`, held until dropped or until the process ends, however it ends.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock; waits up to `wait` for a process that is about to end.
    pub(super) async fn take(database: &Path, wait: Duration) -> Result<Self> {
        let path = beside(database);
        let failed = |error: std::io::Error| {
            Error::new(Kind::Unavailable, format!("cannot write to `{}`: {error}", path.display()))
                .cause(error)
        };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        let deadline = Instant::now() + wait;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(AGAIN).await,
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::new(
                        Kind::Unprocessable,
                        format!(
                            "another process has opened the database `{}`: stop it first, or use PostgreSQL to run \
                             several",
                            database.display()
                        ),
                    ));
                }
            }
        }
    }
}

/// Makes the database file, if it is not there, for the eyes of its owner only: it holds hashes and sealed keys. SQLite
/// gives the files beside it the same permissions.
pub(super) fn create_private(database: &Path) -> Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(database).map(drop).map_err(|error| unwritable(database, error))
}

fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::Unavailable, format!("cannot write to `{}`: {error}", path.display())).cause(error)
}

fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
