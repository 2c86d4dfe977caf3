//! Authorities in the database: made at the first start, replaced before they end, imported.

use std::sync::Arc;

use access::{Access, crypto::Sealer};
use kernel::{Error, Result, Rng, Timestamp};
use rcgen::{Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Authority, Ca, Limits, Tree, making};
use crate::{
    model::{NewCertificate, Ttl},
    ocsp::Responder,
    store::authorities::{self, Kind, Row},
};

/// What the subjects of authorities that we make begin with.
const NAME: &str = "Trunkline";

impl Authority {
    /// Reads the authorities; makes a root and an intermediate where there are none, and the next intermediate where the
    /// present one ends too soon for the longest certificate.
    ///
    /// # Errors
    ///
    /// Those of the database, and `Internal` where a key does not open.
    pub async fn open(access: &Access, limits: Limits) -> Result<Self> {
        let authority = Self::new(limits, Tree { issuers: Vec::new(), roots: Vec::new() });
        authority.refresh(access).await?;
        Ok(authority)
    }

    /// Reads them again, and makes what is due.
    pub(crate) async fn refresh(&self, access: &Access) -> Result<()> {
        let now = access.clock().now();
        let rows = all(access).await?;
        let rows = match self.due(&rows, access, now)? {
            due if due.is_empty() => rows,
            due => {
                // Another node may have been quicker: then its authorities are in the table, and these are dropped.
                let write =
                    access.db().write(move |tx| Box::pin(async move { authorities::add(tx, due).await }));
                write.await?;
                all(access).await?
            }
        };
        self.replace(tree(access.sealer(), rows)?);
        Ok(())
    }

    /// The authorities that are to be made.
    fn due(&self, rows: &[Row], access: &Access, now: Timestamp) -> Result<Vec<Row>> {
        let (sealer, rng) = (access.sealer(), access.rng());
        let newest = |kind| rows.iter().filter(move |row| row.kind == kind).max_by_key(|row| row.generation);
        let mut due = Vec::new();
        let root = match newest(Kind::Root) {
            Some(root) => root.clone(),
            // An imported intermediate has come without the root's key, and needs none.
            None if newest(Kind::Intermediate).is_some() => return Ok(due),
            None => {
                let id = rng.uuid().to_string();
                let made = making::root(&format!("{NAME} Root CA {}", short(&id)), now)?;
                let root = sealed(sealer, Kind::Root, 1, None, id, made, now)?;
                due.push(root.clone());
                root
            }
        };
        let present = newest(Kind::Intermediate);
        let lasts = |row: &Row| {
            let is_of_root = row.parent.as_deref() == Some(root.id.as_str());
            is_of_root && row.not_after >= now.after(self.limits().max_ttl).min(root.not_after)
        };
        // One that the operator has brought along is replaced by the operator alone.
        if present.is_some_and(|row| row.imported() || lasts(row)) {
            return Ok(due);
        }
        let Some(key) = opened(sealer, &root)? else { return Ok(due) };
        if root.not_after <= now {
            return Ok(due);
        }
        let generation = present.map_or(1, |row| row.generation + 1);
        due.push(next(sealer, rng, &root, key, generation, now)?);
        Ok(due)
    }
}

/// The intermediate that a root signs next.
fn next(
    sealer: &Sealer,
    rng: &Rng,
    root: &Row,
    key: KeyPair,
    generation: i64,
    now: Timestamp,
) -> Result<Row> {
    let id = rng.uuid().to_string();
    let name = format!("{NAME} Intermediate CA {}", short(&id));
    let made = making::intermediate(&name, (&root.certificate, key), root.not_after, now)?;
    sealed(sealer, Kind::Intermediate, generation, Some(root.id.clone()), id, made, now)
}

/// Enough of an id to tell authorities of one installation apart: their subjects must differ.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn sealed(
    sealer: &Sealer,
    kind: Kind,
    generation: i64,
    parent: Option<String>,
    id: String,
    made: making::Made,
    now: Timestamp,
) -> Result<Row> {
    let key = sealer.seal(&seal_context(&id), made.key.serialize_pem().as_bytes())?;
    Ok(Row {
        id,
        kind,
        generation,
        parent,
        certificate: made.certificate,
        key: Some(key),
        not_after: made.not_after,
        created_at: now,
    })
}

fn opened(sealer: &Sealer, row: &Row) -> Result<Option<KeyPair>> {
    let Some(key) = &row.key else { return Ok(None) };
    let pem = sealer.open_text(&seal_context(&row.id), key)?;
    KeyPair::from_pem(pem.expose()).map(Some).map_err(Error::internal)
}

fn seal_context(id: &str) -> String {
    format!("certificate_authority:{id}")
}

async fn all(access: &Access) -> Result<Vec<Row>> {
    access.db().read(|tx| Box::pin(async move { authorities::all(tx).await })).await
}

/// The authorities as they are used; the newest intermediate signs.
fn tree(sealer: &Sealer, rows: Vec<Row>) -> Result<Tree> {
    let (mut intermediates, roots): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.kind == Kind::Intermediate);
    intermediates.sort_by_key(|row| std::cmp::Reverse(row.generation));
    let mut issuers = Vec::with_capacity(intermediates.len());
    for row in &intermediates {
        let key = opened(sealer, row)?
            .ok_or_else(|| Error::internal(format!("the authority {} has no key", row.id)))?;
        let above = roots.iter().find(|root| Some(&root.id) == row.parent.as_ref());
        issuers.push(Arc::new(ca(row, key, above.map(|root| root.certificate.as_str()))?));
    }
    let imported = intermediates.iter().filter(|row| row.imported()).map(|row| row.certificate.clone());
    let roots = roots.into_iter().map(|row| row.certificate).chain(imported).collect();
    Ok(Tree { issuers, roots })
}

fn ca(row: &Row, key: KeyPair, root: Option<&str>) -> Result<Ca> {
    let (own, above) = split(&row.certificate);
    let der = CertificateDer::from_pem_slice(own.as_bytes()).map_err(Error::internal)?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| Error::internal(error.to_string()))?;
    let seconds = |at: i64| Timestamp::from_micros(at.saturating_mul(1_000_000));
    Ok(Ca {
        id: row.id.clone(),
        above: root.map_or(above, str::to_owned),
        not_before: seconds(parsed.validity().not_before.timestamp()),
        not_after: seconds(parsed.validity().not_after.timestamp()),
        responder: Responder::new(
            parsed.subject().as_raw(),
            parsed.public_key().subject_public_key.data.as_ref(),
        ),
        issuer: Issuer::from_ca_cert_der(&der, key).map_err(Error::internal)?,
        certificate: own,
        der: der.to_vec(),
    })
}

/// An authority that is kept nowhere.
#[cfg(test)]
pub(super) fn made_up(now: Timestamp) -> Result<Ca> {
    let made = making::root("nowhere", now)?;
    let row = Row {
        id: "nowhere".to_owned(),
        kind: Kind::Root,
        generation: 1,
        parent: None,
        certificate: made.certificate,
        key: None,
        not_after: made.not_after,
        created_at: now,
    };
    ca(&row, made.key, None)
}

/// The first certificate of a PEM text, and what follows it.
fn split(pem: &str) -> (String, String) {
    const END: &str = "-----END CERTIFICATE-----";
    let end = pem.find(END).map_or(pem.len(), |at| at + END.len());
    let (own, above) = pem.split_at_checked(end).unwrap_or((pem, ""));
    let above = above.trim_start();
    let above =
        if above.is_empty() || above.ends_with('\n') { above.to_owned() } else { format!("{above}\n") };
    (format!("{}\n", own.trim()), above)
}

/// What an operator brings along: PEM of an authority, of those above it, and of its key.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The authority's certificate, and those between it and its root, the root last. A root stands alone.
    pub certificate: String,
    /// Its private key: PKCS#8, or the older forms of OpenSSL.
    pub key: kernel::Secret<String>,
}

/// Makes the operator's authority the one that signs: a root signs a new intermediate, an intermediate signs devices
/// itself. Those that were there before remain trusted for what they have signed.
///
/// # Errors
///
/// `Invalid`, saying what is wrong with certificate or key; `Unprocessable` for one that has expired.
pub async fn import(access: &Access, imported: Imported) -> Result<()> {
    let now = access.clock().now();
    let (own, above) = split(&imported.certificate);
    let key = KeyPair::from_pem(imported.key.expose()).map_err(|error| {
        refused("the key is not PEM of a private key (ECDSA, Ed25519 or RSA)").cause(error)
    })?;
    let der = CertificateDer::from_pem_slice(own.as_bytes())
        .map_err(|error| refused("the certificate is not PEM of a certificate").cause(error))?;
    let (_, parsed) = X509Certificate::from_der(&der)
        .map_err(|error| refused("the certificate cannot be read").cause(error.to_string()))?;
    let not_after = fit(&parsed, &key, now)?;
    let is_root = parsed.subject().as_raw() == parsed.issuer().as_raw();
    if !is_root {
        leads_up(&parsed, &above)?;
    }
    signs_in_its_name(&parsed, &der, imported.key.expose(), now)?;
    let rows = all(access).await?;
    let kind = if is_root { Kind::Root } else { Kind::Intermediate };
    let generation = |kind: Kind| {
        rows.iter().filter(|row| row.kind == kind).map(|row| row.generation).max().unwrap_or(0) + 1
    };
    let id = access.rng().uuid().to_string();
    let made = making::Made { certificate: format!("{own}{above}"), key, not_after };
    let row = sealed(access.sealer(), kind, generation(kind), None, id, made, now)?;
    let mut due = vec![row.clone()];
    if is_root && let Some(key) = opened(access.sealer(), &row)? {
        let generation = generation(Kind::Intermediate);
        due.push(next(access.sealer(), access.rng(), &row, key, generation, now)?);
    }
    access.db().write(move |tx| Box::pin(async move { authorities::add(tx, due).await })).await
}

fn refused(why: &str) -> Error {
    Error::invalid(format!("the authority cannot be imported: {why}"))
}

/// Whether it may sign, now, and the key is its own. Until when it is valid.
fn fit(certificate: &X509Certificate<'_>, key: &KeyPair, now: Timestamp) -> Result<Timestamp> {
    use rcgen::PublicKeyData;
    let constraints = certificate.basic_constraints().ok().flatten();
    if !constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err(refused(
            "the certificate is none of an authority (basic constraints say `CA:FALSE` or nothing)",
        ));
    }
    let usage = certificate.key_usage().ok().flatten();
    if usage.is_some_and(|usage| !usage.value.key_cert_sign() || !usage.value.crl_sign()) {
        return Err(refused("its key usage allows no signing of certificates and revocation lists"));
    }
    if certificate.public_key().raw != key.subject_public_key_info() {
        return Err(refused("the key is not that of the certificate"));
    }
    let not_after =
        Timestamp::from_micros(certificate.validity().not_after.timestamp().saturating_mul(1_000_000));
    if not_after <= now {
        return Err(Error::unprocessable(format!(
            "the authority cannot be imported: it has expired on {not_after}"
        )));
    }
    if certificate.subject().iter().any(|part| part.iter().count() != 1) {
        return Err(refused("its subject has a part with several attributes"));
    }
    Ok(not_after)
}

/// Whether the certificates above an intermediate lead from it to a root.
fn leads_up(certificate: &X509Certificate<'_>, above: &str) -> Result<()> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(above.as_bytes())
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| refused("what follows the certificate is not PEM of certificates").cause(error))?;
    let mut issuer = certificate.issuer().as_raw().to_vec();
    let mut ended = false;
    for der in &chain {
        let (_, next) = X509Certificate::from_der(der)
            .map_err(|error| refused("a certificate above it cannot be read").cause(error.to_string()))?;
        if next.subject().as_raw() != issuer {
            return Err(refused("the certificates above it are not in the order in which they have signed"));
        }
        issuer = next.issuer().as_raw().to_vec();
        ended = next.subject().as_raw() == next.issuer().as_raw();
    }
    if ended {
        Ok(())
    } else {
        Err(refused("an intermediate needs those above it up to its root in the same file"))
    }
}

/// Signs for a try: what bears another name than the authority's, because its subject is written in a way that we do not
/// write, would be good nowhere.
fn signs_in_its_name(
    certificate: &X509Certificate<'_>,
    der: &CertificateDer<'_>,
    key: &str,
    now: Timestamp,
) -> Result<()> {
    let key = KeyPair::from_pem(key).map_err(Error::internal)?;
    let issuer = Issuer::from_ca_cert_der(der, key)
        .map_err(|error| refused("its subject or key usage cannot be read").cause(error))?;
    let device = making::key(crate::model::KeyType::P256)?;
    let nobody = kernel::ClientId::from_uuid(uuid::Uuid::nil());
    let new = NewCertificate::of_client(nobody, None::<Ttl>);
    let serial = making::serial()?;
    let params = super::profile::leaf(&new, &serial, (now, now.after(super::SKEW)), None, "", &device)?;
    let signed =
        params.signed_by(&device, &issuer).map_err(|error| refused("its key does not sign").cause(error))?;
    let (_, leaf) =
        X509Certificate::from_der(signed.der()).map_err(|error| Error::internal(error.to_string()))?;
    if leaf.issuer().as_raw() != certificate.subject().as_raw() {
        return Err(refused("its subject has the same attribute more than once"));
    }
    leaf.verify_signature(Some(certificate.public_key()))
        .map_err(|error| refused("what its key signs does not verify").cause(error))
}
