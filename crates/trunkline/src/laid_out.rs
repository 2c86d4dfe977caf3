//! What every gateway consists of, from the settings and the file that they name.

use kernel::{Result, Secret};
use provision::{Credentials, Layout, layout::Beside};

use crate::config::Settings;

/// The layout. A file that is not there or is wrong gives the built-in one and a warning, as services that are replaced
/// start with the samples that came with them (reference 04 §2.2).
pub(crate) fn layout(settings: &Settings) -> Result<Layout> {
    let set = &settings.provision;
    let beside = Beside {
        certificates: set.x509_provisioning,
        configuration: set.bs_config_provisioning,
        whitelist: set.bs_auto_whitelist,
        profile: set.bs_profile_id.clone().unwrap_or_default(),
        content: set.bs_content.clone().unwrap_or_default(),
        ttl: set.certs_hours_valid.clone().unwrap_or_default(),
    };
    let built_in = Layout::built_in(&beside)?;
    let Some(path) = &set.config_file else { return Ok(built_in) };
    let read = std::fs::read_to_string(path).map_err(|error| error.to_string());
    let parsed = read.and_then(|text| Layout::parse(&text, &beside).map_err(|error| error.to_string()));
    Ok(parsed.unwrap_or_else(|error| {
        tracing::warn!(
            "gateways are laid out as without a file: `{}` cannot be used: {error}",
            path.display()
        );
        built_in
    }))
}

/// Those of requests without a token: a token before a login.
pub(crate) fn credentials(settings: &Settings) -> Credentials {
    let set = &settings.provision;
    let filled = |text: &Option<Secret<String>>| text.clone().filter(|text| !text.expose().is_empty());
    if let Some(token) = filled(&set.api_key) {
        return Credentials::Token(token);
    }
    match (&set.username, filled(&set.pass)) {
        (Some(name), Some(password)) if !name.is_empty() => Credentials::Login(name.clone(), password),
        _ => Credentials::None,
    }
}
