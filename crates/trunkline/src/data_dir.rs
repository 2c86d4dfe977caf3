//! The data directory: made at the first start for its owner alone, and used by one process at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A data directory that this process holds. Dropping it lets others in, as does the end of the process in any way.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if it is not there, sees that files can be made in it, and locks it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let advice = "choose another with --data-dir, TRUNKLINE_DATA_DIR or `data_dir`";
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot make the data directory `{shown}`, {advice}"))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))
            .with_context(|| format!("cannot write in the data directory `{shown}`, {advice}"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                anyhow::bail!("another trunkline uses the data directory `{shown}`; stop it, or {advice}")
            }
            // Some network file systems have no locks. Better to run without one than not at all.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(%error, "the data directory cannot be locked, see that only one process uses it");
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock the data directory `{shown}`"));
            }
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn it_is_made_for_its_owner_alone_and_used_once_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");

        let held = DataDir::open(&path).unwrap();
        assert_eq!(held.path(), path);
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("lock")), 0o600);

        let refused = DataDir::open(&path).unwrap_err().to_string();
        assert_eq!(
            refused,
            format!(
                "another trunkline uses the data directory `{}`; stop it, or choose another with --data-dir, \
                 TRUNKLINE_DATA_DIR or `data_dir`",
                path.display()
            )
        );
        drop(held);
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn a_path_that_cannot_be_a_directory_says_what_to_do() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        std::fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("below")] {
            let error = format!("{:#}", DataDir::open(&path).unwrap_err());
            assert!(error.starts_with("cannot make the data directory `"), "{error}");
            assert!(error.contains("choose another with --data-dir"), "{error}");
        }
    }
}
