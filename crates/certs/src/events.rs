//! What others learn of certificates. Never a key.

use access::Permit;
use events::Event;
use kernel::{ClientId, DomainId, Timestamp};

use crate::model::{Certificate, Issued, Serial};

/// Events of one client's certificates keep their order.
fn entity(client: ClientId) -> String {
    format!("certificates_of:{client}")
}

pub(crate) fn issued(domain: DomainId, issued: &Issued, permit: &Permit, request: &str) -> Event {
    access::event("certificate.issue", entity(issued.client), permit, request)
        .with("serial_number", &issued.serial)
        .with("entity_id", issued.client)
        .with("domain", domain)
        .with("common_name", &issued.common_name)
        .with("expiry_time", issued.not_after)
}

pub(crate) fn revoked(certificate: &Certificate, permit: &Permit, request: &str) -> Event {
    access::event("certificate.revoke", entity(certificate.client), permit, request)
        .with("serial_number", &certificate.serial)
        .with("entity_id", certificate.client)
        .with("domain", certificate.domain)
        .with("fingerprint", &certificate.fingerprint)
}

/// A certificate ends soon, or has ended; nobody has done anything.
pub(crate) fn ending(
    (serial, client, domain): (&Serial, ClientId, DomainId),
    end: Timestamp,
    now: Timestamp,
) -> Event {
    let operation = if end <= now { "certificate.expired" } else { "certificate.expiring" };
    Event::new(operation, entity(client), now)
        .with("serial_number", serial)
        .with("entity_id", client)
        .with("domain", domain)
        .with("expiry_time", end)
}
