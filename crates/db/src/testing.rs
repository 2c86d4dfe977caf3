//! Throw-away databases for tests, and the macro that runs a test on both engines.

use std::ops::Deref;

use crate::{Db, Options};

/// A database of its own for one test. The SQLite file goes with it; the PostgreSQL server ends with the process.
pub struct TestDb {
    db: Db,
    url: String,
    _dir: Option<tempfile::TempDir>,
}

#[expect(clippy::expect_used, reason = "a test that has no database fails, and says why")]
impl TestDb {
    /// An empty SQLite database in a directory of its own.
    ///
    /// # Panics
    /// When there is no place for temporary files.
    pub async fn sqlite() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let url = format!("sqlite:{}", dir.path().join("test.db").display());
        let db = Db::open(&url, Options::default()).await.expect("a new SQLite database");
        Self { db, url, _dir: Some(dir) }
    }

    /// An empty database on the PostgreSQL server of this test process.
    ///
    /// # Panics
    /// When PostgreSQL is not installed; `make test` installs it.
    pub async fn postgres() -> Self {
        let url = testkit::postgres::url();
        let db = Db::open(&url, bystander()).await.expect("a new PostgreSQL database");
        Self { db, url, _dir: None }
    }

    /// Closes the database and opens it again, as a restart of the program does.
    ///
    /// # Panics
    /// When it cannot be opened again.
    pub async fn reopen(&mut self) {
        self.db.close().await;
        self.db = Db::open(&self.url, bystander()).await.expect("the same database once more");
    }

    /// The address, for a second handle (PostgreSQL) or a look from outside.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A handle that outlives the borrow.
    pub fn db(&self) -> Db {
        self.db.clone()
    }
}

/// A test may open its PostgreSQL database more than once.
fn bystander() -> Options {
    Options { sharing: crate::Sharing::Bystander, ..Options::default() }
}

impl Deref for TestDb {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.db
    }
}

/// Runs each test twice, as `name::sqlite` and `name::postgres`. The crate needs `tokio` for it.
///
/// ```text
/// db::both_databases! {
///     async fn a_row_is_kept(db: TestDb) {
///         db.write(|tx| Box::pin(async move { … })).await.unwrap();
///     }
/// }
/// ```
#[macro_export]
macro_rules! both_databases {
    ($($(#[$meta:meta])* async fn $name:ident($db:ident: $type:ty) $body:block)*) => {$(
        $(#[$meta])*
        async fn $name($db: $type) $body

        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$name($crate::testing::TestDb::sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::$name($crate::testing::TestDb::postgres().await).await;
            }
        }
    )*};
}
