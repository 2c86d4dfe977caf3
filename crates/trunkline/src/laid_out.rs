//! What every gateway consists of, from the settings and the file that they name.

use kernel::{Result, Secret};
use provision::{
    Credentials, Layout,
    layout::{Beside, File, unknown},
};

use crate::config::Settings;

/// What the operator has laid out, and in whose name requests without a token are carried out. A file that is not there or
/// is wrong gives the built-in layout and a warning, as services that are replaced start with the samples that came with
/// them (reference 04 §2.2).
pub(crate) fn laid_out(settings: &Settings) -> Result<(Layout, Credentials)> {
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
    let Some(path) = &set.config_file else { return Ok((built_in, credentials(settings, None))) };
    let used = std::fs::read_to_string(path).map_err(|error| error.to_string()).and_then(|text| {
        let file = File::parse(&text).map_err(|error| error.to_string())?;
        for sentence in unknown(&text) {
            tracing::warn!("`{}`, {sentence}", path.display());
        }
        let credentials = credentials(settings, Some(&file));
        Layout::of_file(file, &beside).map(|layout| (layout, credentials)).map_err(|error| error.to_string())
    });
    Ok(used.unwrap_or_else(|error| {
        tracing::warn!(
            "gateways are laid out as without a file: `{}` cannot be used: {error}",
            path.display()
        );
        (built_in, credentials(settings, None))
    }))
}

/// A token before a login; in each, what stands in the file before the settings.
fn credentials(settings: &Settings, file: Option<&File>) -> Credentials {
    let set = &settings.provision;
    let server = file.map(|file| &file.server);
    let filled = |texts: [Option<&Secret<String>>; 2]| {
        texts.into_iter().flatten().find(|text| !text.expose().is_empty()).cloned()
    };
    if let Some(token) = filled([server.and_then(|server| server.mg_api_key.as_ref()), set.api_key.as_ref()])
    {
        return Credentials::Token(token);
    }
    let names = [server.map(|server| &server.mg_username), set.username.as_ref()];
    let name = names.into_iter().flatten().find(|name| !name.is_empty());
    let password = filled([server.and_then(|server| server.mg_pass.as_ref()), set.pass.as_ref()]);
    match (name, password) {
        (Some(name), Some(password)) => Credentials::Login(name.clone(), password),
        _ => Credentials::None,
    }
}
