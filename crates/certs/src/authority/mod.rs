//! The built-in certificate authority: it signs, in memory, at once.
//!
//! A root signs an intermediate, the intermediate signs devices. The keys lie sealed in the database ([`keeping`]) and
//! are opened at the start; the root's is needed only where an intermediate is made. Intermediates that sign no more
//! are kept for what they have signed: their revocation lists and answers ([`crate::ocsp`]) go on.

mod above;
mod existing;
#[cfg(test)]
mod hostile;
mod keeping;
pub(crate) mod making;
pub(crate) mod profile;
mod request;
pub(crate) mod revocation_list;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use kernel::{Error, Kind, Result, Secret, Timestamp};
use rcgen::{Issuer, KeyPair};
use tokio::sync::watch;

use crate::{
    model::{Issued, NewCertificate, hex},
    ocsp::Responder,
};

pub(crate) use above::Above;
pub(crate) use existing::{like, serial_of};
pub use keeping::{Imported, import};
pub use request::Request;

/// What an operator can set of the authority.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long a certificate is valid whose caller says nothing; 720 h.
    pub default_ttl: Duration,
    /// The longest that one may be valid; five years.
    pub max_ttl: Duration,
    /// Where others reach the routes of this crate, for the addresses of revocation list, answers and issuer that stand
    /// in each certificate; without it none does.
    pub url: Option<String>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            default_ttl: Duration::from_secs(720 * 3600),
            max_ttl: Duration::from_secs(5 * 365 * 24 * 3600),
            url: None,
        }
    }
}

impl Limits {
    /// What to say to who asks for more.
    pub(crate) fn too_long(&self) -> Error {
        Error::unprocessable(format!(
            "failed to create certificate: a certificate is valid for at most {}h, ask for less or raise `certs.max_ttl`",
            self.max_ttl.as_secs() / 3600
        ))
    }
}

fn not_reached() -> Error {
    Error::new(
        Kind::Unavailable,
        "the certificate authority (OpenBao) has not been reached yet, try again in a moment",
    )
}

/// The built-in authority, and what is known of one that signs in its place; cheap to clone.
#[derive(Clone)]
pub struct Authority(Arc<Inner>);

struct Inner {
    limits: Limits,
    tree: ArcSwap<Tree>,
    outside: ArcSwap<Outside>,
    trusted: watch::Sender<Arc<str>>,
}

/// Whether somebody else signs.
enum Outside {
    /// Nobody.
    None,
    /// It has not been reached yet.
    Awaited,
    /// This one.
    Known(Above),
}

/// All authorities of the installation at one moment.
pub(crate) struct Tree {
    /// The first one signs; the others have signed.
    pub(crate) issuers: Vec<Arc<Ca>>,
    /// PEM of every root.
    pub(crate) roots: Vec<String>,
}

impl Tree {
    /// PEM of all of them.
    fn trusted(&self) -> String {
        let issuers = self.issuers.iter().map(|ca| ca.certificate.as_str());
        self.roots.iter().map(String::as_str).chain(issuers).collect()
    }
}

/// One authority that signs devices.
pub(crate) struct Ca {
    pub(crate) id: String,
    /// Its own certificate, PEM.
    pub(crate) certificate: String,
    /// The same, DER.
    pub(crate) der: Vec<u8>,
    /// PEM of those above it.
    pub(crate) above: String,
    pub(crate) issuer: Issuer<'static, KeyPair>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) responder: Responder,
}

impl Ca {
    /// PEM of it and those above it.
    pub(crate) fn chain(&self) -> String {
        format!("{}{}", self.certificate, self.above)
    }
}

impl Authority {
    pub(crate) fn new(limits: Limits, tree: Tree) -> Self {
        let trusted = watch::Sender::new(tree.trusted().into());
        let (tree, outside) = (ArcSwap::from_pointee(tree), ArcSwap::from_pointee(Outside::None));
        Self(Arc::new(Inner { limits, tree, outside, trusted }))
    }

    pub(crate) fn tree(&self) -> Arc<Tree> {
        self.0.tree.load_full()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn replace(&self, tree: Tree) {
        self.0.tree.store(Arc::new(tree));
        self.tell_trusted();
    }

    /// From now on another authority signs, which is not known yet.
    pub(crate) fn await_outside(&self) {
        self.0.outside.store(Arc::new(Outside::Awaited));
    }

    /// This one signs.
    pub(crate) fn signed_by(&self, above: Above) {
        self.0.outside.store(Arc::new(Outside::Known(above)));
        self.tell_trusted();
    }

    fn tell_trusted(&self) {
        let mut now = self.tree().trusted();
        if let Outside::Known(above) = &**self.0.outside.load() {
            now.push_str(&above.chain);
        }
        self.0.trusted.send_if_modified(|before| {
            let is_new = **before != *now;
            *before = now.into();
            is_new
        });
    }

    /// Whether an authority that signs devices, here or outside, has this name: its SHA-256 in hexadecimal digits.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        let is_outside = match &**self.0.outside.load() {
            Outside::Known(above) => above.responder.is_named(name),
            Outside::None | Outside::Awaited => false,
        };
        is_outside || self.tree().issuers.iter().any(|ca| ca.responder.is_named(name))
    }

    /// A question in DER for the authority outside, about one certificate of its own.
    pub(crate) fn question_outside(&self, serial: &crate::model::Serial) -> Result<Vec<u8>> {
        match &**self.0.outside.load() {
            Outside::Known(above) => crate::ocsp::Question::about(serial, &above.responder)?.to_der(),
            Outside::None | Outside::Awaited => Err(not_reached()),
        }
    }

    /// The authority that signs at present.
    pub(crate) fn signing(&self) -> Result<Arc<Ca>> {
        let first = self.tree().issuers.first().cloned();
        first.ok_or_else(|| Error::internal("there is no certificate authority"))
    }

    /// PEM of the authority that signs, and of those above it.
    ///
    /// # Errors
    ///
    /// `Internal` where there is none, which the start prevents, and `Unavailable` where the one outside was not reached yet.
    pub fn chain(&self) -> Result<String> {
        match &**self.0.outside.load() {
            Outside::None => Ok(self.signing()?.chain()),
            Outside::Awaited => Err(not_reached()),
            Outside::Known(above) => Ok(above.chain.clone()),
        }
    }

    /// PEM of every root and intermediate, also of those that sign no more: what a listener trusts. It changes when an
    /// intermediate is replaced.
    pub fn trusted(&self) -> watch::Receiver<Arc<str>> {
        self.0.trusted.subscribe()
    }

    /// Until when the authority that signs is valid.
    ///
    /// # Errors
    ///
    /// As [`Authority::chain`].
    pub fn not_after(&self) -> Result<Timestamp> {
        match &**self.0.outside.load() {
            Outside::None => Ok(self.signing()?.not_after),
            Outside::Awaited => Err(not_reached()),
            Outside::Known(above) => Ok(above.not_after),
        }
    }

    /// Makes a key and a certificate for it.
    ///
    /// Pure computation, quick but for RSA keys ([`KeyType::is_slow`](crate::model::KeyType::is_slow)). It stores nothing.
    ///
    /// # Errors
    ///
    /// `Invalid` and `Unprocessable` for a name that may not stand there; `Unprocessable` for a time to live above the
    /// limit, an authority that has expired, and a clock that is before its beginning.
    pub(crate) fn issue(&self, new: NewCertificate, now: Timestamp) -> Result<Issued> {
        let key = making::key(new.key)?;
        let mut issued = self.sign(new, &key, now)?;
        issued.private_key = Some(Secret::new(key.serialize_pem()));
        Ok(issued)
    }

    /// Signs the key of a request. What stands in the request counts as little as it may: the caller has said in `new`
    /// whose the certificate is and what it is called.
    ///
    /// # Errors
    ///
    /// As [`Authority::issue`].
    pub(crate) fn issue_for(&self, request: &Request, new: NewCertificate, now: Timestamp) -> Result<Issued> {
        self.sign(new, request.key(), now)
    }

    fn sign(&self, new: NewCertificate, key: &impl rcgen::PublicKeyData, now: Timestamp) -> Result<Issued> {
        let new = new.checked()?;
        let ca = self.signing()?;
        let (not_before, not_after) = self.validity(&ca, &new, now)?;
        let serial = making::serial()?;
        let params =
            profile::leaf(&new, &serial, (not_before, not_after), self.0.limits.url.as_deref(), &ca.id, key)?;
        let signed = params.signed_by(key, &ca.issuer).map_err(not_signed)?;
        Ok(Issued {
            serial,
            client: new.client,
            common_name: new.subject.common_name,
            fingerprint: fingerprint(signed.der()),
            certificate: signed.pem(),
            chain: ca.chain(),
            issuing_ca: ca.certificate.clone(),
            private_key: None,
            not_before,
            not_after,
            issuer: ca.id.clone(),
        })
    }

    /// From when to when a new certificate is valid: exactly as long as asked, or an error.
    fn validity(&self, ca: &Ca, new: &NewCertificate, now: Timestamp) -> Result<(Timestamp, Timestamp)> {
        let refused = |why: String| Error::unprocessable(format!("failed to create certificate: {why}"));
        if now < ca.not_before {
            return Err(refused(format!(
                "the clock of this node shows {now}, which is before the certificate authority begins ({}), set the clock",
                ca.not_before
            )));
        }
        if now >= ca.not_after {
            return Err(refused(format!(
                "the certificate authority has expired on {}, import another with `trunkline certs import`",
                ca.not_after
            )));
        }
        let Limits { default_ttl, max_ttl, .. } = self.0.limits;
        let ttl = new.ttl.map_or(default_ttl, |ttl| ttl.0);
        if ttl > max_ttl {
            return Err(self.0.limits.too_long());
        }
        let whole = |at: Timestamp| Timestamp::from_micros(at.seconds().saturating_mul(1_000_000));
        let not_after = whole(now.after(ttl));
        if not_after > ca.not_after {
            let left = ca.not_after.since(now).as_secs() / 3600;
            return Err(refused(format!(
                "the certificate authority ends on {}, so ask for at most {left}h",
                ca.not_after
            )));
        }
        Ok((whole(now.before(SKEW)).max(ca.not_before), not_after))
    }
}

/// How much a device's clock may be behind: a certificate is valid from this long before it was made.
const SKEW: Duration = Duration::from_secs(300);

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

/// SHA-256 of a certificate in hexadecimal digits.
pub(crate) fn fingerprint(der: &[u8]) -> String {
    hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der).as_ref())
}

fn not_signed(error: rcgen::Error) -> Error {
    Error::unprocessable("failed to create certificate").cause(error)
}
