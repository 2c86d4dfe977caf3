//! `trunkline certs issue` and the like: the certificates of clients, over the API of a running platform.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use clap::{Args, Subcommand};
use kernel::{ClientId, DomainId, Secret};
use sdk::{CertificateNames, CertificateQuery, Clients, IssuedCertificate, NewCertificate};

use super::certs_dev::write_new;
use super::listing::Paging;
use super::output::Shape;
use super::session::{InDomain, Remote, Session};
use super::{advised, open, resolve, terminal};

const SHAPE: Shape = Shape {
    list: "certificates",
    id: "/serial_number",
    columns: &[
        ("SERIAL", "/serial_number"),
        ("CLIENT", "/entity_id"),
        ("EXPIRES", "/expiry_time"),
        ("REVOKED", "/revoked"),
    ],
    fields: &[
        ("Serial", "/serial_number"),
        ("Client", "/entity_id"),
        ("Expires", "/expiry_time"),
        ("Revoked", "/revoked"),
    ],
};

/// What can be done with certificates.
#[derive(Debug, Subcommand)]
pub(crate) enum ManageCommand {
    /// Have a certificate made for a client, with a key or for the key of a request
    #[command(
        after_help = "Examples:\n  trunkline certs issue boiler --out boiler    # boiler.crt, boiler.key\n  \
                            trunkline certs issue boiler --csr boiler.csr --ttl 8760h --out boiler\n\n\
                            The certificate's file also holds those above it, up to the root."
    )]
    Issue(Issue),
    /// List the certificates of a domain, the newest first
    List(List),
    /// Show a certificate
    #[command(visible_alias = "get")]
    View(One),
    /// Have another one made with the same names and a new key; the old one stays valid
    Renew {
        #[command(flatten)]
        one: One,
        /// Write NAME.crt and NAME.key
        #[arg(long, value_name = "NAME")]
        out: PathBuf,
    },
    /// Take certificates back: no connection opens with them any more, and open ones end
    Revoke(Revoke),
    /// Download a certificate with its key and those above it, as a zip archive
    Download {
        #[command(flatten)]
        one: One,
        /// The file; without it certificates.zip
        #[arg(long, value_name = "FILE", default_value = "certificates.zip")]
        out: PathBuf,
    },
    /// Print the certificates of the authority in PEM, the one that signs first
    Ca(Remote),
    /// Print the list of revoked certificates in PEM
    Crl(Remote),
}

/// Where.
#[derive(Debug, Args)]
pub(crate) struct At {
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    domain: InDomain,
}

/// One certificate.
#[derive(Debug, Args)]
pub(crate) struct One {
    #[command(flatten)]
    at: At,
    /// Serial number, with or without colons
    #[arg(value_name = "SERIAL", value_parser = serial)]
    serial: String,
}

#[derive(Debug, Args)]
pub(crate) struct Issue {
    #[command(flatten)]
    at: At,
    /// The client by id, or by name if only one has it
    #[arg(value_name = "CLIENT")]
    client: String,
    /// A PKCS#10 request in PEM whose key is to be certified; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key_type", "common_name", "dns", "ip"])]
    csr: Option<PathBuf>,
    /// How long it is valid: 8760h, 90m, 30d; without it as long as the operator has set
    #[arg(long, value_name = "TIME", default_value = "")]
    ttl: String,
    /// ecdsa-p256, ecdsa-p384, ed25519, rsa-2048, rsa-3072 or rsa-4096
    #[arg(long, value_name = "KIND", default_value = "ecdsa-p256")]
    key_type: String,
    /// Common name; without it the client's id
    #[arg(long, value_name = "TEXT")]
    common_name: Option<String>,
    /// A DNS name by which the client is reached; may be repeated
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// An address, likewise
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<String>,
    /// Write NAME.crt and NAME.key; without it the answer is shown, with the key
    #[arg(long, value_name = "NAME")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    paging: Paging,
    /// Those of this client
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
    /// Only revoked ones, or only others
    #[arg(long, value_name = "BOOL")]
    revoked: Option<bool>,
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    at: At,
    /// Serial numbers
    #[arg(value_name = "SERIAL", value_parser = serial, required_unless_present = "client")]
    serials: Vec<String>,
    /// All certificates of this client
    #[arg(long, value_name = "CLIENT", conflicts_with = "serials")]
    client: Option<String>,
    /// With --client: the one that was made last stays
    #[arg(long, requires = "client")]
    keep_latest: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// A serial number, as it becomes a part of a path.
fn serial(text: &str) -> Result<String, String> {
    let fits = text.chars().any(|c| c.is_ascii_hexdigit())
        && text.chars().all(|c| c.is_ascii_hexdigit() || c == ':');
    if fits { Ok(text.to_owned()) } else { Err("not a serial number such as 20:f4:bd".to_owned()) }
}

/// Does it.
pub(crate) fn run(command: ManageCommand) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(execute(command))
}

async fn execute(command: ManageCommand) -> anyhow::Result<()> {
    match command {
        ManageCommand::Issue(issue) => {
            issue.at.run(async |session, domain| issue.run(session, domain).await).await
        }
        ManageCommand::List(list) => {
            list.at.run(async |session, domain| list.run(session, domain).await).await
        }
        ManageCommand::View(one) => {
            let view = async |session: &Session, domain| {
                session.api.certs(domain).view(&one.serial).await?;
                session.one(&SHAPE)
            };
            one.at.run(view).await
        }
        ManageCommand::Renew { one, out } => {
            let renew = async |session: &Session, domain| {
                let renewed = session.api.certs(domain).renew(&one.serial).await?;
                let chain = session.api.cert_authority().chain().await?;
                keep(&out, &renewed, &chain.certificate)?;
                session.done(&written(&out, &renewed))
            };
            one.at.run(renew).await
        }
        ManageCommand::Revoke(revoke) => {
            revoke.at.run(async |session, domain| revoke.run(session, domain).await).await
        }
        ManageCommand::Download { one, out } => {
            let download = async |session: &Session, domain| {
                let archive = session.api.certs(domain).download(&one.serial).await?;
                write_new(&out, &archive, 0o600)?;
                session.done(&format!("{} is written", out.display()))
            };
            one.at.run(download).await
        }
        ManageCommand::Ca(remote) => {
            let session = Session::open(&remote, None).await?;
            let chain = session.api.cert_authority().chain().await?;
            session.text(&chain.certificate)
        }
        ManageCommand::Crl(remote) => {
            let session = Session::open(&remote, None).await?;
            let list = session.api.cert_authority().revocation_list().await?;
            session.text(&pem_of_list(&list))
        }
    }
}

impl At {
    async fn run(&self, run: impl AsyncFn(&Session, DomainId) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let session = open(&self.remote, Some(&self.domain)).await?;
        let outcome = async { run(&session, session.domain().await?).await };
        advised(&session, outcome.await).await
    }
}

async fn client(
    session: &Session,
    domain: DomainId,
    named: &str,
    operation: &'static str,
) -> anyhow::Result<ClientId> {
    let client = resolve::thing::<Clients>(&session.api, domain, named).await?;
    session.aim(("clients", operation), format!("client:{client}"), Some(domain));
    Ok(client)
}

impl Issue {
    async fn run(&self, session: &Session, domain: DomainId) -> anyhow::Result<()> {
        let client = client(session, domain, &self.client, "issue_cert").await?;
        let certs = session.api.certs(domain);
        let issued = match &self.csr {
            Some(file) => certs.issue_from_csr(client, &read(file)?, &self.ttl).await?,
            None => {
                let names = CertificateNames {
                    common_name: self.common_name.clone().unwrap_or_else(|| client.to_string()),
                    dns_names: self.dns.clone(),
                    ip_addresses: self.ip.clone(),
                };
                let new =
                    NewCertificate { ttl: self.ttl.clone(), key_type: self.key_type.clone(), options: names };
                certs.issue(client, &new).await?
            }
        };
        let Some(out) = &self.out else { return session.one(&SHAPE) };
        let chain = match issued.ca_chain.concat() {
            chain if chain.is_empty() => session.api.cert_authority().chain().await?.certificate,
            chain => chain,
        };
        keep(out, &issued, &chain)?;
        session.done(&written(out, &issued))
    }
}

impl List {
    async fn run(&self, session: &Session, domain: DomainId) -> anyhow::Result<()> {
        let entity_id = match &self.client {
            Some(named) => Some(client(session, domain, named, "view_cert").await?),
            None => None,
        };
        let query = CertificateQuery { entity_id, revoked: self.revoked };
        let certs = session.api.certs(domain);
        session.list(&SHAPE, &self.paging, async |span| certs.list(span, &query).await).await
    }
}

impl Revoke {
    async fn run(&self, session: &Session, domain: DomainId) -> anyhow::Result<()> {
        let certs = session.api.certs(domain);
        if let Some(named) = &self.client {
            let client = client(session, domain, named, "revoke_cert").await?;
            self.confirm(&format!("Revoke the certificates of {named}?"))?;
            certs.revoke_all(client, self.keep_latest).await?;
            return session.done("the certificates are revoked");
        }
        self.confirm(&format!("Revoke {}?", self.serials.join(", ")))?;
        for serial in &self.serials {
            certs.revoke(serial).await.with_context(|| format!("the certificate {serial} is not revoked"))?;
        }
        session.done("revoked")
    }

    fn confirm(&self, question: &str) -> anyhow::Result<()> {
        if self.yes { Ok(()) } else { terminal::confirm(question) }
    }
}

/// A file, or standard input.
fn read(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
    } else {
        text = fs::read_to_string(file).with_context(|| format!("`{}` cannot be read", file.display()))?;
    }
    ensure!(text.contains("-----BEGIN"), "`{}` is not PEM of a certificate request", file.display());
    Ok(text)
}

/// The file of a certificate, or of its key.
fn file(out: &Path, ending: &str) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn keep(out: &Path, issued: &IssuedCertificate, chain: &str) -> anyhow::Result<()> {
    if let Some(key) = issued.key.as_ref().map(Secret::expose) {
        write_new(&file(out, ".key"), key.as_bytes(), 0o600)?;
    }
    let whole = format!("{}\n{chain}", issued.certificate.trim_end());
    write_new(&file(out, ".crt"), whole.as_bytes(), 0o644)
}

fn written(out: &Path, issued: &IssuedCertificate) -> String {
    let key =
        if issued.key.is_some() { format!(" and {}", file(out, ".key").display()) } else { String::new() };
    format!(
        "{} is valid until {}: {}{key}",
        issued.serial_number,
        issued.expiry_time,
        file(out, ".crt").display()
    )
}

fn pem_of_list(der: &[u8]) -> String {
    let mut text = "-----BEGIN X509 CRL-----\n".to_owned();
    let base64 = BASE64_STANDARD.encode(der);
    for line in base64.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str("-----END X509 CRL-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_is_taken_in_every_form_and_nothing_else_is() {
        for form in ["20:f4:bd", "20F4BD"] {
            assert_eq!(serial(form).as_deref(), Ok(form));
        }
        for wrong in ["", ":", "../x", "20 f4", "g"] {
            assert!(serial(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_revocation_list_is_lines_of_pem() {
        let pem = pem_of_list(&[7; 60]);
        assert!(pem.lines().all(|line| line.len() <= 64));
        assert_eq!(pem.lines().count(), 4);
    }
}
