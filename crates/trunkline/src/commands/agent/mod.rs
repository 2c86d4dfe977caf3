//! `trunkline agent`: a device that is none. It fetches its configuration, connects with what it was given, sends
//! measurements and answers commands; the example for people who write devices.
//!
//! What it was given is [`configuration`], the way to the platform [`transport`], the life of one connection [`session`],
//! what is said on it [`senml`]. Here is what a device does between connections: it waits longer each time, with a little
//! chance in it so that a fleet does not come back all at once, and fetches its configuration anew where it is refused.

mod configuration;
mod senml;
mod session;
mod transport;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use access::crypto;
use anyhow::{Context, bail};
use clap::Args;
use kernel::Secret;
use tokio::time::sleep;

use self::configuration::Configuration;
use self::session::{End, Work};
use super::address;
use super::output::harmless;
use crate::quickstart::DEFAULT_URL;

/// The pause before the second try.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    /// Where the configuration is fetched from
    #[arg(long, value_name = "URL", env = "TRUNKLINE_URL", default_value = DEFAULT_URL)]
    url: String,
    /// What the device calls itself
    #[arg(long, value_name = "ID", env = "TRUNKLINE_AGENT_EXTERNAL_ID")]
    external_id: String,
    /// What it proves itself with
    #[arg(long, value_name = "KEY", env = "TRUNKLINE_AGENT_EXTERNAL_KEY", hide_env_values = true)]
    external_key: String,
    /// Fetch it encrypted, with the platform's `bootstrap.encrypt_key`
    #[arg(long, value_name = "KEY", env = "TRUNKLINE_AGENT_ENCRYPT_KEY", hide_env_values = true)]
    encrypt_key: Option<String>,
    /// PEM file with authorities that are trusted besides those of the machine and of the configuration
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Address of MQTT, such as mqtts://iot.example.org:8883; without it that of the configuration, or the host of the URL
    #[arg(long, value_name = "ADDR")]
    mqtt: Option<String>,
    /// Domain by id or route, where the configuration does not name it; without it topics have the older form
    #[arg(long, value_name = "DOMAIN", env = "TRUNKLINE_DOMAIN")]
    domain: Option<String>,
    /// Seconds between measurements
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    interval: u64,
    /// End when so many measurements are acknowledged; for scripts
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// End at the first failure instead of trying again; for scripts
    #[arg(long)]
    once: bool,
}

/// Lives as a device until it is told to end, or is refused.
pub(crate) fn run(args: &AgentArgs) -> anyhow::Result<()> {
    // An error means that a provider is installed already, and there is only one in the program.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Agent::new(args)?.live())
}

struct Agent<'a> {
    args: &'a AgentArgs,
    url: String,
    api: sdk::Api,
    external_key: Secret<String>,
    authorities: Vec<u8>,
    work: Work,
}

impl<'a> Agent<'a> {
    fn new(args: &'a AgentArgs) -> anyhow::Result<Self> {
        let url = address::normal(&args.url)?;
        let authorities = match &args.ca {
            Some(path) => std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?,
            None => Vec::new(),
        };
        let api = sdk::Api::trusting(sdk::Remotes::one(&url), &authorities)
            .with_context(|| "the authorities of --ca are no certificates in PEM")?;
        let external_key = Secret::new(args.external_key.clone());
        let work = Work::new(Duration::from_secs(args.interval), args.count);
        Ok(Self { args, url, api, external_key, authorities, work })
    }

    async fn live(mut self) -> anyhow::Result<()> {
        let (mut known, mut pause) = (None, PAUSE);
        loop {
            // What was fetched for an earlier connection may have changed since.
            let stale = known.is_some();
            let ended = match self.connection(&mut known).await {
                Ok((end, lasted)) => {
                    if lasted {
                        pause = PAUSE;
                    }
                    end
                }
                Err(error) => End::Lost(format!("{error:#}")),
            };
            match ended {
                End::Done => return Ok(()),
                End::Refused(why) if !stale => bail!("the platform refuses this device: {why}"),
                End::Refused(why) => {
                    say(&format!("refused: {why}; fetching the configuration anew"))?;
                    known = None;
                    continue;
                }
                End::Lost(why) if self.args.once => bail!("{why}"),
                End::Lost(why) => {
                    say(&format!("cut off: {why}; trying again in {:.1} s", pause.as_secs_f32()))?;
                }
                End::Reset => say("connecting anew, as I was told")?,
            }
            sleep(with_chance(pause)?).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One connection from its beginning to its end, and whether it came to one.
    async fn connection(&mut self, known: &mut Option<Configuration>) -> anyhow::Result<(End, bool)> {
        let configuration = match known {
            Some(configuration) => configuration,
            None => match configuration::fetch(&self.api, self.args, &self.external_key).await? {
                Ok(fetched) => known.insert(fetched),
                Err(refused) => return Ok((End::Refused(refused), false)),
            },
        };
        let wire =
            match transport::open(configuration, &self.url, self.args.mqtt.as_deref(), &self.authorities)
                .await
            {
                Ok(wire) => wire,
                Err(error) => return ended(error).map(|end| (end, false)),
            };
        match session::run(wire, configuration, &mut self.work).await {
            Ok(end) => Ok((end, true)),
            Err(error) => ended(error).map(|end| (end, false)),
        }
    }
}

/// What a failure means: a refusal of the certificate, or something that may pass.
fn ended(error: anyhow::Error) -> anyhow::Result<End> {
    transport::refusal(&error).map(End::Refused).ok_or(error)
}

/// Says what has happened, with one line.
fn say(sentence: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", harmless(sentence))?;
    Ok(out.flush()?)
}

/// At least half of a pause, at most all of it.
fn with_chance(pause: Duration) -> anyhow::Result<Duration> {
    let chance = u16::from_le_bytes(crypto::random::<2>()?);
    Ok(pause / 2 + pause.mul_f64(f64::from(chance) / f64::from(u16::MAX) / 2.0))
}
