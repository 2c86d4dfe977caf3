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

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::config::{self, Environment, Layers};

    const PROFILE: &str = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11";

    fn of(variables: &[(String, &str)]) -> (Layout, Credentials) {
        let pairs = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let loaded = config::load(&Layers::new(Environment::from_iter(pairs))).unwrap();
        laid_out(&loaded.settings).unwrap()
    }

    /// Variables of the provision service under a prefix of either generation.
    fn named<'a>(prefix: &str, rows: &[(&str, &'a str)]) -> Vec<(String, &'a str)> {
        rows.iter().map(|(name, value)| (format!("{prefix}_PROVISION_{name}"), *value)).collect()
    }

    #[test]
    fn every_variable_of_the_service_counts_in_both_generations() {
        for prefix in ["SMQ", "MG"] {
            let (layout, credentials) = of(&named(
                prefix,
                &[
                    ("X509_PROVISIONING", "true"),
                    ("BS_CONFIG_PROVISIONING", "true"),
                    ("BS_AUTO_WHITELIST", "false"),
                    ("BS_PROFILE_ID", PROFILE),
                    ("BS_CONTENT", r#"{"a":1}"#),
                    ("CERTS_HOURS_VALID", "48h"),
                    ("USERNAME", "olga"),
                    ("PASS", "a-long-password"),
                ],
            ));
            assert!(layout.certificates && layout.configuration && !layout.whitelist, "{prefix}");
            assert_eq!(layout.profile, Some(PROFILE.parse().unwrap()));
            assert_eq!(layout.content.as_ref().map(|content| content["a"].clone()), Some(1.into()));
            assert_eq!(layout.ttl().0.as_secs(), 48 * 3600);
            assert!(matches!(&credentials, Credentials::Login(name, _) if name == "olga"), "{credentials:?}");
            let (_, credentials) = of(&named(prefix, &[("API_KEY", "t"), ("USERNAME", "u"), ("PASS", "p")]));
            assert!(matches!(credentials, Credentials::Token(_)), "a token goes before a login");
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_gives_the_built_in_layout_and_the_credentials_of_the_settings() {
        let home = tempfile::tempdir().unwrap();
        let missing = home.path().join("missing.toml");
        let broken = home.path().join("broken.toml");
        // The sample of upstream has a text where a table is needed.
        std::fs::write(&broken, "[server]\nmg_api_key = \"of-the-file\"\n[bootstrap]\ncontent = \"\"\n")
            .unwrap();
        for path in [missing, broken] {
            let (layout, credentials) = of(&named(
                "MG",
                &[("CONFIG_FILE", path.to_str().unwrap()), ("USERNAME", "olga"), ("PASS", "a-long-password")],
            ));
            assert_eq!((layout.clients.len(), layout.channels.len()), (1, 2));
            assert!(matches!(credentials, Credentials::Login(..)), "{credentials:?}");
        }
    }

    #[test]
    fn credentials_of_the_file_go_before_those_of_the_settings() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("layout.toml");
        let settings =
            [("CONFIG_FILE", path.to_str().unwrap()), ("USERNAME", "olga"), ("PASS", "a-long-password")];
        for prefix in ["mg", "smq"] {
            std::fs::write(&path, format!("[server]\n{prefix}_username = \"paul\"\n{prefix}_pass = \"\"\n"))
                .unwrap();
            let (_, credentials) = of(&named("MG", &settings));
            let Credentials::Login(name, password) = credentials else { panic!("no login") };
            assert_eq!((&*name, password.expose().as_str()), ("paul", "a-long-password"));
            std::fs::write(&path, format!("[server]\n{prefix}_api_key = \"t\"\n")).unwrap();
            let (_, credentials) = of(&named("SMQ", &settings));
            assert!(
                matches!(&credentials, Credentials::Token(token) if token.expose() == "t"),
                "{credentials:?}"
            );
        }
    }
}
