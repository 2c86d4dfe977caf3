//! What the settings of certificates come to.

use std::path::PathBuf;

use ::certs::{OpenBaoOptions, SecretId};
use kernel::Secret;

use super::settings::CertsSettings;
use super::value::CertsBackend;

impl CertsSettings {
    /// The OpenBao that signs, if one is to.
    pub fn openbao(&self) -> Option<OpenBaoOptions> {
        if self.backend != CertsBackend::OpenBao {
            return None;
        }
        Some(OpenBaoOptions {
            host: self.openbao_host.clone(),
            namespace: self.openbao_namespace.clone(),
            mount: self.openbao_pki_path.clone(),
            role: self.openbao_role.clone(),
            role_id: self.openbao_app_role.clone()?,
            secret_id: secret_id(self.openbao_app_secret.clone(), self.openbao_secret_id_path.clone())?,
            authorities: self.openbao_ca_certs.clone(),
        })
    }

    /// The setting that is missing, and why.
    pub(super) fn contradiction(&self) -> Option<(&'static str, &'static str)> {
        let is_complete = self.backend == CertsBackend::Builtin || self.openbao().is_some();
        (!is_complete).then_some((
            "certs.backend",
            "`openbao` needs `certs.openbao_app_role`, and `certs.openbao_app_secret` or `certs.openbao_secret_id_path`",
        ))
    }
}

fn secret_id(given: Option<Secret<String>>, file: Option<PathBuf>) -> Option<SecretId> {
    given.map(SecretId::Given).or_else(|| file.map(SecretId::File))
}
