//! Mails to users: what they say, and how they get to the mail server.
//!
//! A request never waits for the mail server: it leaves a row in a queue, in its own transaction, and the deliveries
//! send what is due until the server has taken it or it is too old. A crash or a server that is away loses nothing; a
//! crash right after a mail was taken sends it twice.

mod deliveries;
pub(crate) mod queue;
mod template;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use kernel::{Error, Result, Secret};
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, MultiPart},
    transport::smtp::{
        self,
        authentication::Credentials,
        client::{Tls, TlsParameters},
        response::{Category, Code, Severity},
    },
};

pub use deliveries::Delivered;
pub use queue::Kind;
pub(crate) use queue::Notice;
use template::{Template, Values};

/// How long the mail server may take for one mail.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What an operator can set.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// The mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Name and password for the mail server, where it wants them.
    pub login: Option<(String, Secret<String>)>,
    /// How the connection is protected.
    pub protection: Protection,
    /// The address that mails come from.
    pub from_address: String,
    /// The name that mails come from.
    pub from_name: String,
    /// The mail with the link to a new password.
    pub reset: LetterSettings,
    /// The mail with the link that verifies an address.
    pub verification: LetterSettings,
}

/// What an operator can set of one kind of mail.
#[derive(Debug, Clone)]
pub struct LetterSettings {
    /// What its link begins with; `?token=…` follows.
    pub url: String,
    /// A file with its HTML text, in place of the built-in one.
    pub template: Option<PathBuf>,
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Not at all: for a server on the same machine or network.
    None,
    /// TLS after the greeting (STARTTLS); nothing is sent without it.
    StartTls,
    /// TLS from the first byte.
    Tls,
}

/// Writes mails and hands them to the mail server; cheap to clone.
#[derive(Clone)]
pub struct Post(Arc<Inner>);

struct Inner {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    reset: Letter,
    verification: Letter,
    notice: Letter,
}

/// One kind of mail.
struct Letter {
    subject: &'static str,
    /// What it is about, in the text that is not HTML.
    about: &'static str,
    /// What its link begins with; empty where it has none.
    url: String,
    html: Template,
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Post")
    }
}

impl Post {
    /// Reads the templates and prepares the connection, which is opened when there is something to send.
    pub fn new(settings: MailSettings) -> Result<Self> {
        let invalid = |what: &str| Error::invalid(format!("`mail.{what}` cannot be used"));
        let tls = match settings.protection {
            Protection::None => Tls::None,
            Protection::StartTls => Tls::Required(parameters(&settings.host)?),
            Protection::Tls => Tls::Wrapper(parameters(&settings.host)?),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port)
            .tls(tls)
            .timeout(Some(TIMEOUT));
        if let Some((name, password)) = settings.login {
            transport = transport.credentials(Credentials::new(name, password.expose().clone()));
        }
        let address: Address =
            settings.from_address.parse().map_err(|error| invalid("from_address").cause(error))?;
        let name = Some(settings.from_name).filter(|name| !name.is_empty());
        Ok(Self(Arc::new(Inner {
            transport: transport.build(),
            from: Mailbox::new(name, address),
            reset: Letter {
                subject: "Password Reset Request",
                about: "Someone has asked for a new password for your account. If it was you, open this link within \
                        five minutes. If it was not, there is nothing to do: your password stays as it is.",
                html: Template::load(settings.reset.template.as_deref(), include_str!("reset.html"))?,
                url: settings.reset.url,
            },
            verification: Letter {
                subject: "Email Verification",
                about: "Open this link within a day to confirm that this address is yours.",
                html: Template::load(
                    settings.verification.template.as_deref(),
                    include_str!("verification.html"),
                )?,
                url: settings.verification.url,
            },
            notice: Letter {
                subject: "Your e-mail address was changed",
                about: "Your account has another e-mail address from now on, not this one. If you did not want that, ask \
                        within seven days for a new password for the address that you read this at: that ends all \
                        sessions and makes it the address of your account again. If that does not help, tell your \
                        administrator.",
                html: Template::load(None, include_str!("notice.html"))?,
                url: String::new(),
            },
        })))
    }

    /// Sends a mail, with a token in its link if there is one. Unprocessable where the mail server refuses it for good.
    async fn send(&self, kind: Kind, to: &str, username: &str, token: Option<&Secret<String>>) -> Result<()> {
        let message = self.compose(kind, to, username, token)?;
        self.0.transport.send(message).await.map_err(not_taken)?;
        Ok(())
    }

    fn compose(
        &self,
        kind: Kind,
        to: &str,
        username: &str,
        token: Option<&Secret<String>>,
    ) -> Result<Message> {
        let letter = match kind {
            Kind::Reset => &self.0.reset,
            Kind::Verification => &self.0.verification,
            Kind::Notice => &self.0.notice,
        };
        let separator = if letter.url.contains('?') { '&' } else { '?' };
        let link = token.map(|token| format!("{}{separator}token={}", letter.url, token.expose()));
        let link = link.unwrap_or_default();
        let from = self.0.from.to_string();
        let html = letter.html.render(&Values {
            to,
            from: &from,
            subject: letter.subject,
            user: username,
            content: &link,
            host: &letter.url,
        });
        let plain = format!("Hello {username},\n\n{}\n\n{link}\n", letter.about);
        let address: Address = to.parse().map_err(|_| refused("no address that mails can be sent to"))?;
        Message::builder()
            .from(self.0.from.clone())
            .to(Mailbox::new(None, address))
            .subject(letter.subject)
            .multipart(MultiPart::alternative_plain_html(plain, html))
            .map_err(Error::internal)
    }
}

/// What the mail server has said. Its words are left out, for they may name the address.
fn not_taken(error: smtp::Error) -> Error {
    match error.status() {
        // That it does not let us in (RFC 4954) is for the operator to mend, and no fault of the mail.
        Some(code) if code.severity == Severity::PermanentNegativeCompletion && !is_about_us(code) => {
            refused(&format!("status {code}"))
        }
        Some(code) => Error::unavailable(format!("the mail server answers with status {code}")),
        None => Error::unavailable(error),
    }
}

fn is_about_us(code: Code) -> bool {
    code.category == Category::Unspecified3
}

fn refused(why: &str) -> Error {
    Error::unprocessable("the mail server refuses a mail for good").cause(why)
}

fn parameters(host: &str) -> Result<TlsParameters> {
    TlsParameters::new(host.to_owned()).map_err(|error| {
        Error::invalid("`mail.host` and `mail.tls` cannot be used together, see that the host is a name")
            .cause(error)
    })
}
