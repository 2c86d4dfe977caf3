//! What stands in a device's certificate (RFC 5280 §4).

use der::{Encode, asn1::Ia5String as Address, oid::ObjectIdentifier};
use kernel::{Error, Result, Timestamp};
use rcgen::{
    CertificateParams, CrlDistributionPoint, CustomExtension, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, string::Ia5String,
    string::PrintableString,
};
use x509_cert::ext::pkix::{AccessDescription, AuthorityInfoAccessSyntax, name::GeneralName};

use super::making::instant;
use crate::model::{Attribute, Host, NewCertificate, Serial, Subject};

/// The certificate of a client for its key. The first alternative name is the client's id.
pub(super) fn leaf(
    new: &NewCertificate,
    serial: &Serial,
    (not_before, not_after): (Timestamp, Timestamp),
    url: Option<&str>,
    issuer: &str,
    key: &impl PublicKeyData,
) -> Result<CertificateParams> {
    let mut params = wish(new, key)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial.bytes()));
    params.not_before = instant(not_before)?;
    params.not_after = instant(not_after)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    if let Some(url) = url {
        let url = url.trim_end_matches('/');
        params.crl_distribution_points =
            vec![CrlDistributionPoint { uris: vec![format!("{url}/certs/crl/{issuer}")] }];
        params.custom_extensions.push(whom_to_ask(url, issuer)?);
    }
    Ok(params)
}

/// What a request to another authority asks for: names and uses.
pub(crate) fn wish(new: &NewCertificate, key: &impl PublicKeyData) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(&new.subject)?;
    params.key_usages = key_usages(key);
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = vec![SanType::URI(ascii(&format!("urn:uuid:{}", new.client))?)];
    for host in &new.hosts {
        params.subject_alt_names.push(match host {
            Host::Dns(name) => SanType::DnsName(ascii(name)?),
            Host::Ip(ip) => SanType::IpAddress(*ip),
        });
    }
    Ok(params)
}

/// A key that signs signs; only RSA also encrypts (RFC 8813 §3).
fn key_usages(key: &impl PublicKeyData) -> Vec<KeyUsagePurpose> {
    let is_rsa = key.algorithm() == &rcgen::PKCS_RSA_SHA256;
    let further = is_rsa.then_some(KeyUsagePurpose::KeyEncipherment);
    std::iter::once(KeyUsagePurpose::DigitalSignature).chain(further).collect()
}

fn subject(subject: &Subject) -> Result<DistinguishedName> {
    let mut name = DistinguishedName::new();
    for (attribute, value) in &subject.attributes {
        match attribute {
            Attribute::Country => {
                let code = value.to_ascii_uppercase();
                let code = PrintableString::try_from(code).map_err(Error::internal)?;
                name.push(DnType::CountryName, DnValue::PrintableString(code));
            }
            Attribute::Province => name.push(DnType::StateOrProvinceName, value.as_str()),
            Attribute::Locality => name.push(DnType::LocalityName, value.as_str()),
            Attribute::StreetAddress => name.push(DnType::CustomDnType(vec![2, 5, 4, 9]), value.as_str()),
            Attribute::PostalCode => name.push(DnType::CustomDnType(vec![2, 5, 4, 17]), value.as_str()),
            Attribute::Organization => name.push(DnType::OrganizationName, value.as_str()),
            Attribute::OrganizationalUnit => name.push(DnType::OrganizationalUnitName, value.as_str()),
        }
    }
    name.push(DnType::CommonName, subject.common_name.as_str());
    Ok(name)
}

fn ascii(text: &str) -> Result<Ia5String> {
    Ia5String::try_from(text).map_err(Error::internal)
}

/// Authority information access (RFC 5280 §4.2.2.1): who answers whether it still holds, and where its issuer is.
fn whom_to_ask(url: &str, issuer: &str) -> Result<CustomExtension> {
    const EXTENSION: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
    const OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
    const ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");
    let at = |access_method, address: String| {
        let address = Address::new(&address).map_err(|error| {
            Error::invalid("`certs.url` takes an address of ASCII characters").cause(error)
        })?;
        Ok(AccessDescription {
            access_method,
            access_location: GeneralName::UniformResourceIdentifier(address),
        })
    };
    let both = AuthorityInfoAccessSyntax(vec![
        at(OCSP, format!("{url}/certs/ocsp"))?,
        at(ISSUERS, format!("{url}/certs/issuers/{issuer}"))?,
    ]);
    Ok(CustomExtension::from_oid_content(EXTENSION, both.to_der().map_err(Error::internal)?))
}
