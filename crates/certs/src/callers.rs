//! Who may call the services of the installation: never a device, whoever has signed its certificate.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use crate::{Authority, Certs, Revoked};

/// Looks at the certificates of callers of gRPC, who can act as any user. An operator may let them in by an authority that
/// also stands above ours, such as a root that was imported; what we have signed does not pass all the same.
///
/// Until [`Callers::open`] nobody passes. A clone is the same.
#[derive(Clone, Default)]
pub struct Callers(Arc<OnceLock<(Authority, Revoked)>>);

/// What the first alternative name of every certificate that we sign begins with.
const DEVICE: &str = "urn:uuid:";

impl Callers {
    /// Goes by what these sign, also by authorities that they will sign with later.
    pub fn open(&self, certs: &Certs) {
        // Opened a second time it is the same again.
        let _ = self.0.set((certs.authority().clone(), certs.revoked().clone()));
    }
}

impl tls::Revocations for Callers {
    fn is_revoked(&self, certificate: &tls::Certificate) -> bool {
        self.0.get().is_some_and(|(_, revoked)| revoked.contains(&certificate.serial))
    }

    fn is_welcome(&self, certificate: &tls::Certificate) -> bool {
        self.0.get().is_some_and(|(authority, _)| {
            let is_ours = authority.is_named(&certificate.issuer_name);
            let names_a_device =
                certificate.names.iter().any(|name| name.to_ascii_lowercase().starts_with(DEVICE));
            !is_ours && !names_a_device
        })
    }
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Callers").field(&self.0.get().is_some()).finish()
    }
}
