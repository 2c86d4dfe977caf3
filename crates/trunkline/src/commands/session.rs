//! A command's way to the platform: which address, whose token, which domain, and where the answer goes.

use std::cell::RefCell;
use std::io::{self, Stdout, Write};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use kernel::{DomainId, Secret};
use sdk::{Answers, Api, Page, Span};
use serde_json::{Value, json};

use super::address;
use super::advice;
use super::listing::Paging;
use super::output::{Output, Shape};
use super::resolve;
use super::store::Store;
use super::terminal;
use super::token;
use crate::quickstart::DEFAULT_URL;

/// Flags of every command that asks a platform.
#[derive(Debug, Default, Args)]
pub(crate) struct Remote {
    /// Address of the platform; without it that of the last login, or http://localhost:8080
    #[arg(long, global = true, value_name = "URL", env = "TRUNKLINE_URL", help_heading = "Platform")]
    pub(crate) url: Option<String>,
    /// Access token, personal access token or API key in place of the stored login; others on this machine can read
    /// arguments, so better set TRUNKLINE_TOKEN or use --token-stdin
    #[arg(long, global = true, value_name = "TOKEN", help_heading = "Platform")]
    pub(crate) token: Option<String>,
    /// Read the token from standard input
    #[arg(long, global = true, conflicts_with = "token", help_heading = "Platform")]
    pub(crate) token_stdin: bool,
    /// Print the answer of the API as JSON
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// Print ids only, one per line
    #[arg(long, short, global = true, conflicts_with = "json", help_heading = "Output")]
    pub(crate) quiet: bool,
}

/// Flags of commands that work in a domain.
#[derive(Debug, Default, Args)]
pub(crate) struct InDomain {
    /// Domain by id, route or name; without it the one of `trunkline domains use`
    #[arg(
        long,
        short,
        global = true,
        value_name = "DOMAIN",
        env = "TRUNKLINE_DOMAIN",
        help_heading = "Platform"
    )]
    pub(crate) domain: Option<String>,
}

/// Where the token is from: what to say when it is not accepted depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// There is none.
    Nothing,
    /// From an argument, the environment or standard input.
    Given,
    /// From the login file.
    Stored,
}

/// What a command is about to do, for the advice when it is refused.
#[derive(Clone, Debug)]
pub(crate) struct Aim {
    /// Operation as the permission table names it.
    pub(crate) operation: (&'static str, &'static str),
    /// `client:<id>`.
    pub(crate) object: String,
    pub(crate) domain: Option<DomainId>,
}

/// A command's way to the platform.
pub(crate) struct Session {
    pub(crate) api: Api,
    pub(crate) url: String,
    pub(crate) proof: Proof,
    answers: Answers,
    out: RefCell<Output<Stdout>>,
    domain: Option<String>,
    aim: RefCell<Option<Aim>>,
}

impl Session {
    /// For commands that need no token, but show one if there is one.
    pub(crate) async fn open(remote: &Remote, domain: Option<&InDomain>) -> anyhow::Result<Self> {
        let url = url(remote)?;
        let answers = Answers::default();
        let api = Api::new(sdk::Remotes::one(&url))?;
        let mut session = Self {
            api: api.clone().kept_in(&answers),
            url,
            proof: Proof::Nothing,
            answers,
            out: RefCell::new(Output::standard(remote.json, remote.quiet)),
            domain: domain.and_then(|domain| domain.domain.clone()).filter(|domain| !domain.is_empty()),
            aim: RefCell::new(None),
        };
        let (proof, token) = match given_token(remote)? {
            Some(token) => (Proof::Given, Some(token)),
            None => {
                let stored = token::stored(&api, &session.url).await;
                (Proof::Stored, stored.map_err(|error| advice::of_renewal(error, &session.url))?)
            }
        };
        if let Some(token) = token {
            session.proof = proof;
            session.api = session.api.with_token(token);
        }
        Ok(session)
    }

    /// For commands that need a token.
    pub(crate) fn logged_in(self) -> anyhow::Result<Self> {
        if self.proof == Proof::Nothing {
            let url = &self.url;
            bail!(
                "you are not logged in to {url}; `trunkline login --url {url}` asks for your password, or set \
                 TRUNKLINE_TOKEN to a token"
            );
        }
        Ok(self)
    }

    /// The domain that the command names, if it does.
    pub(crate) async fn named_domain(&self) -> anyhow::Result<Option<DomainId>> {
        match &self.domain {
            Some(named) => resolve::domain(&self.api, named).await.map(Some),
            None => Ok(None),
        }
    }

    /// The domain that the command works in.
    pub(crate) async fn domain(&self) -> anyhow::Result<DomainId> {
        if let Some(named) = self.named_domain().await? {
            return Ok(named);
        }
        let stored = Store::of_user().and_then(|store| store.read());
        let stored = stored.ok().and_then(|mut logins| logins.platforms.remove(&self.url)?.domain);
        if let Some(domain) = stored {
            return Ok(domain.id);
        }
        resolve::only_domain(&self.api).await
    }

    /// Notes what is about to be done.
    pub(crate) fn aim(
        &self,
        operation: (&'static str, &'static str),
        object: String,
        domain: Option<DomainId>,
    ) {
        *self.aim.borrow_mut() = Some(Aim { operation, object, domain });
    }

    /// What was noted last.
    pub(crate) fn aimed(&self) -> Option<Aim> {
        self.aim.borrow().clone()
    }

    /// Shows the thing that the last answer is.
    pub(crate) fn one(&self, shape: &Shape) -> anyhow::Result<()> {
        Ok(self.out.borrow_mut().one(shape, &self.answer()?)?)
    }

    /// Shows the list that the last answer is.
    pub(crate) fn many(&self, shape: &Shape) -> anyhow::Result<()> {
        Ok(self.out.borrow_mut().list(shape, &self.answer()?)?)
    }

    /// Shows the words that the last answer is.
    pub(crate) fn words(&self, words: &[String]) -> anyhow::Result<()> {
        Ok(self.out.borrow_mut().words(&self.answer()?, words)?)
    }

    /// Shows the last answer as a text that is laid out already.
    pub(crate) fn text(&self, text: &str) -> anyhow::Result<()> {
        Ok(self.out.borrow_mut().text(&self.answer()?, text)?)
    }

    /// Shows what came out of many requests: to a person as a text, to a program as JSON.
    pub(crate) fn told(&self, answer: &Value, text: &str) -> anyhow::Result<()> {
        Ok(self.out.borrow_mut().text(answer, text)?)
    }

    /// Says that it is done.
    pub(crate) fn done(&self, sentence: &str) -> anyhow::Result<()> {
        Ok(self.out.borrow_mut().done(sentence)?)
    }

    /// Shows a page, or all of them.
    pub(crate) async fn list<T>(
        &self,
        shape: &Shape,
        paging: &Paging,
        fetch: impl AsyncFn(Span) -> sdk::Result<Page<T>>,
    ) -> anyhow::Result<()> {
        if !paging.all {
            fetch(paging.span()).await?;
            return self.many(shape);
        }
        let mut rows = Vec::new();
        loop {
            let page = fetch(Span { offset: Some(rows.len() as u64), limit: Some(100) }).await?;
            let mut answer = self.answer()?;
            if let Some(Value::Array(more)) = answer.get_mut(shape.list).map(Value::take) {
                rows.extend(more);
            }
            if page.items.is_empty() || rows.len() as u64 >= page.total {
                break;
            }
        }
        let all = json!({"total": rows.len(), "offset": 0, "limit": rows.len(), shape.list: rows});
        Ok(self.out.borrow_mut().list(shape, &all)?)
    }

    /// Who is logged in, as relations name them; for the advice.
    pub(crate) async fn caller(&self) -> Option<String> {
        let profile = self.api.users().profile().await.ok()?;
        Some(profile.id.to_string())
    }

    fn answer(&self) -> anyhow::Result<Value> {
        self.answers.take().context("the platform answered with nothing to show")
    }
}

/// The address that counts: flag or variable, that of the last login, the default.
pub(crate) fn url(remote: &Remote) -> anyhow::Result<String> {
    let stored = || Store::of_user().and_then(|store| store.read()).ok().and_then(|logins| logins.current);
    let given = remote.url.clone().filter(|url| !url.is_empty());
    address::normal(&given.or_else(stored).unwrap_or_else(|| DEFAULT_URL.to_owned()))
}

fn given_token(remote: &Remote) -> anyhow::Result<Option<Secret<String>>> {
    if remote.token_stdin {
        return terminal::piped_secret("token").map(Some);
    }
    if let Some(token) = &remote.token {
        warn(
            "others on this machine can read arguments; give the token in TRUNKLINE_TOKEN or with --token-stdin",
        )?;
        return Ok(Some(Secret::new(token.clone())));
    }
    match std::env::var("TRUNKLINE_TOKEN") {
        Ok(token) if !token.is_empty() => Ok(Some(Secret::new(token))),
        Ok(_) | Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(anyhow!("TRUNKLINE_TOKEN is not text")),
    }
}

/// Says something beside the answer.
pub(crate) fn warn(sentence: &str) -> io::Result<()> {
    writeln!(io::stderr(), "warning: {sentence}")
}
