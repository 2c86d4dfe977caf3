//! Requests of those who mean harm: whatever is sent, it is refused with a word or certified for its own client alone.

use kernel::{ClientId, Kind, Timestamp};
use proptest::prelude::*;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{Authority, Limits, Request, Tree, keeping::made_up};
use crate::model::NewCertificate;

const NOW: Timestamp = Timestamp::from_micros(1_767_323_045_000_000);
const CLIENT: &str = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11";
const OTHER: &str = "0d8b9f3c-7c3a-4a8e-9d53-5f0b4e1c2a11";

fn authority() -> Authority {
    let ca = made_up(NOW).unwrap();
    Authority::new(Limits::default(), Tree { issuers: vec![ca.into()], roots: Vec::new() })
}

/// PEM of a request for what is asked.
fn request(params: &CertificateParams) -> String {
    let key = KeyPair::generate().unwrap();
    params.serialize_request(&key).unwrap().pem().unwrap()
}

fn pem(der: &[u8]) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let text = BASE64_STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n")
}

fn der(pem: &str) -> Vec<u8> {
    rustls::pki_types::CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

/// Has it certified as the service does; refusals must say something to the sender and be no fault of ours.
fn certified(authority: &Authority, pem: &str) -> Option<Vec<u8>> {
    let client: ClientId = CLIENT.parse().unwrap();
    let signed = Request::from_pem(pem).and_then(|request| {
        let mut new = NewCertificate::of_client(client, None);
        if let Some(subject) = request.subject() {
            new.subject = subject;
        }
        new.hosts = request.hosts().to_vec();
        authority.issue_for(&request, new, NOW)
    });
    match signed {
        Ok(issued) => {
            Some(CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap().as_ref().to_vec())
        }
        Err(error) => {
            assert!(
                matches!(error.kind(), Kind::Invalid | Kind::Unprocessable),
                "{error}: {}",
                error.chain()
            );
            assert!(error.to_string().len() < 400, "{error}");
            None
        }
    }
}

/// Whether it is a certificate of the client, and says nothing of another's.
fn is_harmless(der: &[u8]) {
    let (rest, certificate) = X509Certificate::from_der(der).unwrap();
    assert!(rest.is_empty());
    assert!(!certificate.is_ca());
    let usage = certificate.key_usage().unwrap().unwrap().value;
    assert!(!usage.key_cert_sign() && !usage.crl_sign());
    let names = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(names[0], GeneralName::URI(&format!("urn:uuid:{CLIENT}")));
    for name in &names[1..] {
        assert!(matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_)), "{name:?}");
    }
    assert!(!String::from_utf8_lossy(der).to_lowercase().contains(OTHER));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn bytes_that_mean_nothing_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let authority = authority();
        prop_assert!(certified(&authority, &pem(&bytes)).is_none());
        prop_assert!(certified(&authority, &String::from_utf8_lossy(&bytes)).is_none());
    }

    #[test]
    fn a_request_that_was_tampered_with_is_refused_or_its_frame_alone_was(
        places in proptest::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut params = CertificateParams::new(vec!["boiler.local".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "boiler");
        let good = der(&request(&params));
        let authority = authority();
        is_harmless(&certified(&authority, &pem(&good)).unwrap());
        let mut bad = good.clone();
        for (place, by) in places {
            let place = place.index(bad.len());
            bad[place] ^= by;
        }
        // The frame around what is signed is not signed itself.
        if let Some(der) = certified(&authority, &pem(&bad)) {
            is_harmless(&der);
        }
        prop_assert!(certified(&authority, &pem(&good[..cut.index(good.len())])).is_none());
        prop_assert!(certified(&authority, &pem(&[good.as_slice(), b"more"].concat())).is_none());
    }

    #[test]
    fn whatever_is_asked_for_names_no_other_client(
        common_name in prop_oneof![
            any::<String>(),
            Just(OTHER.to_owned()),
            Just(format!("urn:uuid:{OTHER}")),
            Just(OTHER.to_uppercase()),
            "[a-zA-Z0-9*. -]{0,80}",
        ],
        hosts in proptest::collection::vec(
            prop_oneof!["[a-z0-9*._-]{0,70}", Just(OTHER.to_owned()), Just(format!("*.{OTHER}"))], 0..4,
        ),
        uri in "[a-z]{1,5}:[!-~]{0,40}",
        organization in any::<String>(),
    ) {
        let mut params = CertificateParams::default();
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, common_name);
        name.push(DnType::OrganizationName, organization);
        params.distinguished_name = name;
        let dns = hosts.iter().filter_map(|host| Some(SanType::DnsName(host.as_str().try_into().ok()?)));
        params.subject_alt_names = dns.collect();
        for uri in [uri, format!("urn:uuid:{OTHER}")] {
            params.subject_alt_names.push(SanType::URI(uri.as_str().try_into().unwrap()));
        }
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        if let Some(der) = certified(&authority(), &request(&params)) {
            is_harmless(&der);
        }
    }
}
