//! `trunkline certs dev`: certificates for development, in files named as `docker/ssl` of SuperMQ names them.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use certs::development::{self, Pair, Purpose};
use certs::model::Host;
use clap::{Args, ValueEnum};
use kernel::{Clock, Secret, Timestamp};

/// What is to be made, and where.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// What to make
    #[arg(value_enum, value_name = "WHAT", default_value = "all")]
    what: Vec<What>,
    /// Directory of the files
    #[arg(long, value_name = "DIR", default_value = "certs")]
    out: PathBuf,
    /// Name or address by which the servers are reached; may be repeated
    #[arg(long, value_name = "HOST", default_values = ["localhost", "127.0.0.1", "::1"])]
    host: Vec<Host>,
    /// Id of a client: its certificate for mTLS is made, too
    #[arg(long, value_name = "ID")]
    client: Option<String>,
}

/// The targets of `docker/ssl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "snake_case")]
enum What {
    /// Everything but a client's, which needs --client
    All,
    /// The authority that signs the others; one that is there is kept
    Ca,
    /// For HTTPS and MQTT over TLS
    ServerCert,
    /// For a device; needs --client
    ClientCert,
    /// For gRPC of authentication: server and client
    AuthGrpcCerts,
    /// The same of users
    UsersGrpcCerts,
    /// The same of domains
    DomainsGrpcCerts,
    /// The same of groups
    GroupsGrpcCerts,
    /// The same of clients
    ClientsGrpcCerts,
    /// The same of channels
    ChannelsGrpcCerts,
    /// For CoAP over DTLS
    CoapDtlsCerts,
}

impl What {
    /// The service of a pair for gRPC.
    const fn service(self) -> Option<&'static str> {
        Some(match self {
            Self::AuthGrpcCerts => "auth",
            Self::UsersGrpcCerts => "users",
            Self::DomainsGrpcCerts => "domains",
            Self::GroupsGrpcCerts => "groups",
            Self::ClientsGrpcCerts => "clients",
            Self::ChannelsGrpcCerts => "channels",
            _ => return None,
        })
    }
}

/// Makes the files and names them.
pub(crate) fn run(arguments: &DevArgs) -> anyhow::Result<()> {
    let out = &arguments.out;
    fs::create_dir_all(out).with_context(|| format!("cannot make the directory `{}`", out.display()))?;
    let mut wanted: BTreeSet<What> = arguments.what.iter().copied().collect();
    if wanted.remove(&What::All) {
        wanted.extend(
            What::value_variants().iter().filter(|what| !matches!(what, What::All | What::ClientCert)),
        );
    }
    if arguments.client.is_some() {
        wanted.insert(What::ClientCert);
    }
    let now = Clock::system().now();
    let maker = Maker { authority: authority(out, now)?, arguments, now };
    let mut made = vec!["ca".to_owned()];
    for what in wanted {
        maker.make(what, &mut made)?;
    }
    let mut told = io::stdout().lock();
    for name in made {
        writeln!(told, "{}", out.join(format!("{name}.crt")).display())?;
    }
    Ok(told.flush()?)
}

struct Maker<'a> {
    authority: Pair,
    arguments: &'a DevArgs,
    now: Timestamp,
}

impl Maker<'_> {
    fn make(&self, what: What, made: &mut Vec<String>) -> anyhow::Result<()> {
        let hosts = &self.arguments.host;
        let mut sign = |name: String, common_name: &str, purpose: &Purpose| {
            let pair = development::signed(&self.authority, common_name, purpose, self.now)?;
            keep(&self.arguments.out, &name, &pair)?;
            made.push(name);
            anyhow::Ok(())
        };
        let first = hosts.first().map(Host::to_string).unwrap_or_default();
        match what {
            // It is there already.
            What::All | What::Ca => Ok(()),
            What::ServerCert => sign("magistrala-server".to_owned(), &first, &Purpose::Server(hosts.clone())),
            What::CoapDtlsCerts => sign("coap-server".to_owned(), &first, &Purpose::Server(hosts.clone())),
            What::ClientCert => match &self.arguments.client {
                Some(client) => sign("client".to_owned(), client, &Purpose::Device),
                None => bail!("`client_cert` needs the id of the client: --client ID"),
            },
            _ => {
                let service = what.service().unwrap_or_default();
                let named = [vec![service.parse()?], hosts.clone()].concat();
                sign(format!("{service}-grpc-server"), service, &Purpose::GrpcServer(named))?;
                sign(format!("{service}-grpc-client"), service, &Purpose::GrpcClient)
            }
        }
    }
}

/// The authority that is in the directory, or a new one.
fn authority(out: &Path, now: Timestamp) -> anyhow::Result<Pair> {
    let read = |file: &Path| match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", file.display())),
    };
    let [certificate, key] = ["ca.crt", "ca.key"].map(|name| out.join(name));
    match (read(&certificate)?, read(&key)?) {
        (Some(certificate), Some(key)) => Ok(Pair { certificate, key: Secret::new(key) }),
        (None, None) => {
            let made = development::authority(now)?;
            keep(out, "ca", &made)?;
            Ok(made)
        }
        _ => bail!(
            "of `{}` and `{}` only one is there; put the other beside it, or remove it to have a new authority made",
            certificate.display(),
            key.display()
        ),
    }
}

/// Writes `{name}.crt` and `{name}.key`; the key is for its owner alone.
fn keep(out: &Path, name: &str, pair: &Pair) -> anyhow::Result<()> {
    for (ending, text, mode) in
        [("key", pair.key.expose().as_str(), 0o600), ("crt", &pair.certificate, 0o644)]
    {
        write_new(&out.join(format!("{name}.{ending}")), text.as_bytes(), mode)?;
    }
    Ok(())
}

/// Writes a file of this mode in place of one that is there.
pub(super) fn write_new(file: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let wrong = || format!("cannot write `{}`", file.display());
    // A new file: one that is there may be readable for others, or be a link to elsewhere.
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).with_context(wrong),
        _ => {}
    }
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    opened.and_then(|mut opened| opened.write_all(bytes)).with_context(wrong)
}
