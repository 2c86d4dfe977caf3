//! `trunkline quickstart`.

use clap::Args;

/// Options of `trunkline quickstart`.
#[derive(Debug, Args)]
pub(crate) struct QuickstartArgs {
    /// Front door of the platform
    #[arg(long, value_name = "URL", env = "TRUNKLINE_URL", default_value = "http://localhost:8080")]
    url: String,
    /// Address of MQTT; without it port 1883 of the same host
    #[arg(long, value_name = "ADDR")]
    mqtt: Option<String>,
    /// Name or e-mail address to log in with
    #[arg(long, value_name = "NAME", env = "TRUNKLINE_USERNAME", default_value = "admin")]
    username: String,
    /// Password; without it the tour asks for it
    #[arg(long, value_name = "PASSWORD", env = "TRUNKLINE_PASSWORD", hide_env_values = true)]
    password: Option<String>,
}

/// Takes the tour.
pub(crate) fn run(options: &QuickstartArgs) -> anyhow::Result<()> {
    let _ = options;
    Ok(())
}
