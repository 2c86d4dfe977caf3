//! The stored logins: `$XDG_CONFIG_HOME/trunkline/login.toml`, one per address of a platform.
//!
//! The file holds tokens: only its owner may read it. It is replaced as a whole, so that a crash leaves the old or the new
//! one. Whoever changes it holds a lock beside it, so that two commands at once do not lose each other's tokens.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use kernel::{DomainId, Secret, Timestamp};
use serde::{Deserialize, Serialize, Serializer};

/// Where the logins are.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    directory: PathBuf,
}

/// What the file holds.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Logins {
    /// The address that counts where none is given: that of the last login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// The logins by address.
    pub(crate) platforms: BTreeMap<String, Login>,
}

/// Somebody's login at one platform.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Login {
    /// The name that was used.
    pub(crate) username: String,
    #[serde(serialize_with = "exposed")]
    pub(crate) access_token: Secret<String>,
    #[serde(serialize_with = "exposed")]
    pub(crate) refresh_token: Secret<String>,
    /// From when on the access token is too old to be shown, by the clock of this machine.
    pub(crate) renew_at: Timestamp,
    /// The domain that commands work in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) domain: Option<ChosenDomain>,
}

/// The domain that commands work in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct ChosenDomain {
    pub(crate) id: DomainId,
    /// For people.
    pub(crate) name: String,
}

fn exposed<S: Serializer>(secret: &Secret<String>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.expose().serialize(serializer)
}

impl Store {
    /// That of the user who runs the program.
    pub(crate) fn of_user() -> anyhow::Result<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
        let base = base.context("no place for the login: neither XDG_CONFIG_HOME nor HOME is set")?;
        Ok(Self::at(&base.join("trunkline")))
    }

    fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The file.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join("login.toml")
    }

    /// What is stored; nothing if there is no file.
    pub(crate) fn read(&self) -> anyhow::Result<Logins> {
        let path = self.path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Logins::default()),
            Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
        };
        // The parser quotes what it does not understand, and that may be a token.
        toml::from_str(&text)
            .map_err(|_| anyhow::anyhow!("`{}` is damaged, remove it and log in again", path.display()))
    }

    /// Holds the lock until the guard is dropped; for a change that begins with a look.
    pub(crate) fn lock(&self) -> anyhow::Result<File> {
        let path = self.directory.join("login.lock");
        let wrong = || format!("cannot lock `{}`", path.display());
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory).with_context(wrong)?;
        let lock =
            OpenOptions::new().create(true).append(true).mode(0o600).open(&path).with_context(wrong)?;
        lock.lock().with_context(wrong)?;
        Ok(lock)
    }

    /// Changes what is stored.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Logins)) -> anyhow::Result<()> {
        let _lock = self.lock()?;
        let mut logins = self.read()?;
        change(&mut logins);
        self.write(&logins)
    }

    /// Replaces the file; by whoever holds the lock.
    pub(crate) fn write(&self, logins: &Logins) -> anyhow::Result<()> {
        let path = self.path();
        let wrong = || format!("cannot write `{}`", path.display());
        let text = Secret::new(toml::to_string(logins).with_context(wrong)?);
        let new = self.directory.join("login.toml.new");
        // What a crash left behind may have another mode.
        let _ = fs::remove_file(&new);
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).with_context(wrong)?;
        file.write_all(text.expose().as_bytes()).and_then(|()| file.sync_all()).with_context(wrong)?;
        fs::rename(&new, &path).with_context(wrong)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn login(token: &str) -> Login {
        Login {
            username: "olga".to_owned(),
            access_token: Secret::new(token.to_owned()),
            refresh_token: Secret::new("r".to_owned()),
            renew_at: Timestamp::parse("2026-01-01T00:00:00Z").unwrap(),
            domain: None,
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_login_is_read_as_it_was_written_and_only_its_owner_may_read_it() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::at(&home.path().join("trunkline"));
        assert!(store.read().unwrap().platforms.is_empty());
        store.change(|logins| drop(logins.platforms.insert("http://h:1".to_owned(), login("a")))).unwrap();
        store.change(|logins| logins.current = Some("http://h:1".to_owned())).unwrap();
        let logins = store.read().unwrap();
        assert_eq!(logins.current.as_deref(), Some("http://h:1"));
        assert_eq!(logins.platforms["http://h:1"].access_token.expose(), "a");
        assert_eq!((mode(&store.path()), mode(&home.path().join("trunkline"))), (0o600, 0o700));
    }

    #[test]
    fn a_file_that_others_could_read_is_replaced_by_one_that_they_cannot() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::at(home.path());
        for name in ["login.toml", "login.toml.new"] {
            fs::write(home.path().join(name), "").unwrap();
            fs::set_permissions(home.path().join(name), fs::Permissions::from_mode(0o666)).unwrap();
        }
        store.change(|logins| drop(logins.platforms.insert("http://h:1".to_owned(), login("a")))).unwrap();
        assert_eq!(mode(&store.path()), 0o600);
        assert!(!home.path().join("login.toml.new").exists());
    }

    #[test]
    fn changes_at_the_same_time_lose_nothing() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::at(home.path());
        std::thread::scope(|threads| {
            for number in 0..8 {
                let store = &store;
                threads.spawn(move || {
                    let url = format!("http://h:{number}");
                    store.change(|logins| drop(logins.platforms.insert(url, login("a")))).unwrap();
                });
            }
        });
        assert_eq!(store.read().unwrap().platforms.len(), 8);
    }

    #[test]
    fn a_damaged_file_is_named_but_not_quoted() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::at(home.path());
        fs::write(store.path(), "access_token = \"secret").unwrap();
        let error = format!("{:#}", store.read().unwrap_err());
        assert!(error.contains("login.toml` is damaged") && !error.contains("secret"), "{error}");
    }
}
