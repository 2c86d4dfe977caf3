//! `trunkline login`, `logout` and `whoami`.

use anyhow::Context;
use clap::Args;
use kernel::Secret;
use sdk::{Api, Remotes};

use super::advice;
use super::output::{Shape, harmless};
use super::session::{self, Proof, Remote, Session};
use super::store::{Login, Store};
use super::{address, terminal, users};

/// Flags of `trunkline login`.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Address of the platform; without it that of the last login, or http://localhost:8080
    #[arg(long, value_name = "URL", env = "TRUNKLINE_URL")]
    url: Option<String>,
    /// Name or e-mail address; without it you are asked
    #[arg(long, short, value_name = "NAME", env = "TRUNKLINE_USERNAME")]
    username: Option<String>,
    /// Read the password from standard input; without it you are asked, or TRUNKLINE_PASSWORD is taken
    #[arg(long)]
    password_stdin: bool,
    /// What the list of your sessions shows for this login
    #[arg(long, value_name = "TEXT", default_value = "command line")]
    description: String,
}

/// Logs in and stores the tokens.
pub(crate) async fn login(args: LoginArgs) -> anyhow::Result<()> {
    let url = session::url(&Remote { url: args.url, ..Remote::default() })?;
    let store = Store::of_user()?;
    if address::is_open(&url) {
        session::warn(&format!(
            "the password is sent to {url} without encryption; use https outside your own network"
        ))?;
    }
    let username = match args.username.filter(|name| !name.is_empty()) {
        Some(username) => username,
        None => terminal::ask("Name or e-mail address").context("no name; give it with --username")?,
    };
    let password = password(args.password_stdin, &username)?;
    let api = Api::new(Remotes::one(&url))?;
    let pair = api.tokens().issue_for(&username, &password, &args.description).await;
    let pair = pair.map_err(|error| anyhow::anyhow!(refusal(&error, &url)))?;
    let mut login = Login::new(&username, pair);
    let mut domain = None;
    store.change(|logins| {
        let before = logins.platforms.remove(&url).filter(|before| before.username == username);
        login.domain = before.and_then(|before| before.domain);
        domain.clone_from(&login.domain);
        logins.platforms.insert(url.clone(), login);
        logins.current = Some(url.clone());
    })?;
    let next = match domain {
        Some(domain) => format!("commands work in the domain {}", harmless(&domain.name)),
        None => "choose a domain with `trunkline domains use DOMAIN`".to_owned(),
    };
    out(&format!("logged in to {url} as {}; {next}", harmless(&username)))
}

/// Forgets the login, and ends its session on the platform.
pub(crate) async fn logout(remote: &Remote) -> anyhow::Result<()> {
    let url = session::url(remote)?;
    let store = Store::of_user()?;
    let Some(login) = store.read()?.platforms.remove(&url) else {
        anyhow::bail!("you are not logged in to {url}");
    };
    let ended = match login.session() {
        Some(id) => {
            let api = Api::new(Remotes::one(&url))?.with_token(login.access_token);
            api.tokens().revoke(&id).await
        }
        None => Ok(()),
    };
    store.change(|logins| {
        logins.platforms.remove(&url);
        if logins.current.as_deref() == Some(url.as_str()) {
            logins.current = None;
        }
    })?;
    match ended {
        Ok(()) => out(&format!("logged out of {url}")),
        // A session that the platform no longer knows has ended already.
        Err(sdk::Error::Refused { status: 401 | 404, .. }) => out(&format!("logged out of {url}")),
        Err(error) => {
            let why = advice::sentence(&error, &url, Proof::Stored);
            session::warn(&format!("the login is forgotten here, but its session may still be open: {why}"))?;
            Ok(())
        }
    }
}

/// Shows who the caller is.
pub(crate) async fn whoami(session: &Session) -> anyhow::Result<()> {
    session.api.users().profile().await?;
    session.one(&Shape { ..users::SHAPE })
}

/// The password: from standard input, from the environment, or by asking.
fn password(stdin: bool, username: &str) -> anyhow::Result<Secret<String>> {
    if stdin {
        return terminal::piped_secret("password");
    }
    if let Some(password) = std::env::var("TRUNKLINE_PASSWORD").ok().filter(|password| !password.is_empty()) {
        return Ok(Secret::new(password));
    }
    terminal::ask_password(username).context("no password; give it with --password-stdin")
}

/// A login that failed has nothing to do with an older one.
fn refusal(error: &sdk::Error, url: &str) -> String {
    match error {
        sdk::Error::Refused { status: 401, message, .. } => {
            format!("{}; see that name and password are those for {url}", harmless(message))
        }
        other => advice::sentence(other, url, Proof::Nothing),
    }
}

fn out(sentence: &str) -> anyhow::Result<()> {
    use std::io::Write;
    Ok(writeln!(std::io::stdout(), "{sentence}")?)
}
