//! `trunkline quickstart`: the platform's main job against a running node, from the login to a refused message.
//!
//! Each step prints the command that does the same by hand (curl, mosquitto's clients) and the answer. The requests
//! themselves are made by this program (the SDK, and [`device`](crate::device) with the platform's own codec), so that the tour needs
//! nothing installed. What it makes stays, so that the printed commands work afterwards; a second tour makes its own.

mod narrator;
mod tour;

use anyhow::Context;
use clap::Args;
use kernel::Secret;

use crate::commands::{address, terminal};
use crate::device::Endpoint;
use narrator::Narrator;

/// Where the tour looks for the platform: the front door of a node without configuration.
pub(crate) const DEFAULT_URL: &str = "http://localhost:8080";

/// The port of MQTT, on the host of the front door.
pub(crate) const DEFAULT_MQTT_PORT: u16 = 1883;

/// Options of `trunkline quickstart`.
#[derive(Debug, Args)]
pub(crate) struct QuickstartArgs {
    /// Front door of the platform
    #[arg(long, value_name = "URL", env = "TRUNKLINE_URL", default_value = DEFAULT_URL)]
    url: String,
    /// Address of MQTT; without it port 1883 on the host of the front door
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
pub(crate) fn run(options: QuickstartArgs) -> anyhow::Result<()> {
    let url = address::normal(&options.url)?;
    let host =
        address::host(&url).with_context(|| format!("`{url}` is not an address such as `{DEFAULT_URL}`"))?;
    let mqtt = options.mqtt.unwrap_or_else(|| format!("{host}:{DEFAULT_MQTT_PORT}"));
    let mqtt = Endpoint::parse(&mqtt, DEFAULT_MQTT_PORT)
        .with_context(|| format!("`{mqtt}` is not an address such as `localhost:{DEFAULT_MQTT_PORT}`"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the tour's runtime")?;
    let api = sdk::Api::new(sdk::Remotes::one(&url))?;
    let mut narrator = Narrator::new(std::io::stdout());
    runtime.block_on(async {
        tour::greet(&mut narrator, &api, &url).await?;
        let password = match options.password {
            Some(password) => Secret::new(password),
            None => terminal::ask_password(&options.username)
                .context("no password; give it with --password or TRUNKLINE_PASSWORD")?,
        };
        tour::Tour { narrator: &mut narrator, url: &url, mqtt: &mqtt }
            .take(api, &options.username, &password)
            .await
    })
}
