//! The names that stand in a certificate or a request.

use std::net::IpAddr;

use kernel::{ClientId, Error, Result};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate, X509Name},
    public_key::PublicKey,
    x509::AttributeTypeAndValue,
};

use crate::model::{Attribute, Host, KeyType, NewCertificate, Serial, Subject};

/// Another certificate of the same client, with the names and the kind of key of this one.
pub(crate) fn like(client: ClientId, pem: &str) -> Result<NewCertificate> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(Error::internal)?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| Error::internal(error.to_string()))?;
    let mut new = NewCertificate::of_client(client, None);
    if let Some(subject) = subject_of(parsed.subject())? {
        new.subject = subject;
    }
    if let Ok(Some(names)) = parsed.subject_alternative_name() {
        new.hosts = hosts_of(&names.value.general_names)?;
    }
    new.key = match parsed.public_key().parsed() {
        Ok(PublicKey::RSA(rsa)) if rsa.key_size() > 3072 => KeyType::Rsa4096,
        Ok(PublicKey::RSA(rsa)) if rsa.key_size() > 2048 => KeyType::Rsa3072,
        Ok(PublicKey::RSA(_)) => KeyType::Rsa2048,
        Ok(PublicKey::EC(point)) if point.key_size() > 256 => KeyType::P384,
        Ok(PublicKey::EC(_)) => KeyType::P256,
        _ => KeyType::Ed25519,
    };
    Ok(new)
}

/// The serial number of a certificate in PEM, whoever has signed it.
///
/// # Errors
///
/// `Invalid` for what is no certificate.
pub(crate) fn serial_of(pem: &str) -> Result<Serial> {
    let wrong =
        || Error::invalid("malformed entity specification: give a serial number or a certificate in PEM");
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| wrong())?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| wrong())?;
    Ok(Serial::from_bytes(parsed.raw_serial()))
}

/// The attributes that a certificate may have, others are passed over. None without a common name.
pub(super) fn subject_of(name: &X509Name<'_>) -> Result<Option<Subject>> {
    let Some(common_name) = name.iter_common_name().last().and_then(text).filter(|name| !name.is_empty())
    else {
        return Ok(None);
    };
    let mut subject = Subject::new(&common_name)?;
    for part in name.iter_attributes() {
        let Some(attribute) = attribute(&part.attr_type().to_id_string()) else { continue };
        // Of several of a kind the first.
        if let Some(value) = text(part).filter(|_| !subject.has(attribute)) {
            subject = subject.with(attribute, &[value])?;
        }
    }
    Ok(Some(subject))
}

fn text(part: &AttributeTypeAndValue<'_>) -> Option<String> {
    part.as_str().ok().map(str::to_owned)
}

fn attribute(oid: &str) -> Option<Attribute> {
    Some(match oid {
        "2.5.4.6" => Attribute::Country,
        "2.5.4.8" => Attribute::Province,
        "2.5.4.7" => Attribute::Locality,
        "2.5.4.9" => Attribute::StreetAddress,
        "2.5.4.17" => Attribute::PostalCode,
        "2.5.4.10" => Attribute::Organization,
        "2.5.4.11" => Attribute::OrganizationalUnit,
        _ => return None,
    })
}

/// The DNS names and addresses among alternative names.
pub(super) fn hosts_of(names: &[GeneralName<'_>]) -> Result<Vec<Host>> {
    let mut hosts = Vec::new();
    for name in names {
        match name {
            GeneralName::DNSName(name) => hosts.push(name.parse()?),
            GeneralName::IPAddress(bytes) => hosts.push(Host::Ip(address(bytes)?)),
            _ => {}
        }
    }
    Ok(hosts)
}

fn address(bytes: &[u8]) -> Result<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let address = four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
    address.map_err(|_| Error::invalid("an address among the alternative names has neither 4 nor 16 bytes"))
}
