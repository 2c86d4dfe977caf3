//! What devices do: fetch their configuration with an id and a key of their own.
//!
//! An id that is not known and a key that is wrong look the same: the same words, a comparison in either case, and an
//! attempt that counts for the id as it was given and for the address it came from.

use access::{RequestInfo, gates::Gate, limits::Account};
use db::Tx;
use kernel::{Error, Kind, ProfileId, Result, Secret, Status};

use super::{
    Bootstrap,
    configs::{scope, seal_context},
};
use crate::{
    cipher, events,
    model::{Config, Device, ExternalId, Profile, Snapshot},
    render::{self, Target},
    store::{self, configs::Kept},
};

impl Bootstrap {
    /// The configuration that waits for the device. Emits `bootstrap.client.bootstrap`, also where the device is known
    /// and refused.
    ///
    /// Denied for an id that is not known and for a wrong key; with the right one also where the configuration or its
    /// domain is out of use. Limited after too many failures. Unprocessable where the profile cannot be rendered.
    pub async fn fetch(
        &self,
        request: &RequestInfo,
        external_id: &str,
        key: &Secret<String>,
    ) -> Result<Device> {
        let wrong = "failed to get bootstrap configuration for given external key";
        self.fetch_or(request, external_id, key, wrong).await
    }

    /// As [`Bootstrap::fetch`], for a device that shows its key encrypted, in hexadecimal digits.
    pub async fn fetch_secure(
        &self,
        request: &RequestInfo,
        external_id: &str,
        shown: &str,
    ) -> Result<Device> {
        let message = cipher::from_hex(shown).unwrap_or_default();
        let key = self.cipher.decrypt(&message)?;
        // What is no text is no key of anybody.
        let key = Secret::new(String::from_utf8_lossy(key.expose()).into_owned());
        let wrong = "failed to get bootstrap configuration for given encrypted external key";
        self.fetch_or(request, external_id, &key, wrong).await
    }

    /// Encrypts an answer for a device that asks for secure bootstrap.
    pub fn encrypt(&self, answer: &[u8]) -> Result<Vec<u8>> {
        self.cipher.encrypt(answer)
    }

    async fn fetch_or(
        &self,
        request: &RequestInfo,
        external_id: &str,
        key: &Secret<String>,
        wrong: &'static str,
    ) -> Result<Device> {
        let external_id: ExternalId = external_id.parse()?;
        let account = Some(Account::Device(external_id.as_str()));
        let attempt = self.access.failures().attempt(account, request.peer, request.at).await?;
        let asked = external_id.as_str().to_owned();
        let found = self
            .access
            .db()
            .read(move |tx| Box::pin(async move { store::configs::of_device(tx, &asked).await }))
            .await;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                attempt.undecided();
                return Err(error);
            }
        };
        let digest = self.access.digester().digest(&scope(external_id.as_str()), key.expose());
        let (config, kept) = match found {
            Some((config, kept)) if digest.matches(&kept.digest) => (config, kept),
            Some((config, _)) => {
                // Told aside: an answer that waited for it would say that the id is known.
                tokio::spawn(self.clone().tell_refused(config, request.clone()));
                return Err(Error::new(Kind::Denied, wrong));
            }
            None => {
                // Takes as long as with a digest that was stored.
                let nobody = digest.matches(&[0; 32]);
                tracing::debug!(nobody, "a device that is not known asked for its configuration");
                return Err(Error::new(Kind::Denied, wrong));
            }
        };
        attempt.succeeded();
        let answer = self.answer(&config, kept).await;
        self.tell(config, answer.is_ok(), request).await?;
        answer
    }

    /// What the device gets, as everything is now.
    async fn answer(&self, config: &Config, kept: Kept) -> Result<Device> {
        self.in_use(config).await?;
        let client_key = kept
            .client_key
            .map(|sealed| self.access.sealer().open_text(&seal_context(config.id), &sealed))
            .transpose()?;
        let (bootstrap, config) = (self.clone(), config.clone());
        let (shown, template) = self
            .access
            .db()
            .read(move |tx| {
                Box::pin(async move {
                    let template = match config.profile {
                        Some(profile) => Some(bootstrap.template(tx, &config, profile).await?),
                        None => None,
                    };
                    Ok((bootstrap.with_what_it_knows(tx, config).await?, template))
                })
            })
            .await?;
        let content = match template {
            Some((profile, bound)) => render::rendered(profile, target(&shown.config), bound).await?,
            None => shown.config.content.clone(),
        };
        Ok(Device {
            config: shown.config,
            content,
            client_key,
            client: shown.client,
            channels: shown.channels,
        })
    }

    /// Says that a device has fetched its configuration, or was not given it.
    async fn tell(&self, config: Config, success: bool, request: &RequestInfo) -> Result<()> {
        let (access, at, request) = (self.access.clone(), request.at, request.id.clone());
        self.access
            .db()
            .write(move |tx| {
                Box::pin(
                    async move { access.emit(tx, events::fetched(&config, success, at, &request)).await },
                )
            })
            .await
    }

    async fn tell_refused(self, config: Config, request: RequestInfo) {
        if let Err(error) = self.tell(config, false, &request).await {
            tracing::error!(cause = %error.chain(), "a refused bootstrap could not be told");
        }
    }

    /// One that knows its client is fetched in either state: the state is that of the connections (reference 04 §3.1).
    async fn in_use(&self, config: &Config) -> Result<()> {
        if config.client.is_none() && config.status != Status::Enabled {
            return Err(Error::new(Kind::Denied, "the bootstrap configuration is disabled, enable it"));
        }
        match self.access.gates().get(self.access.db(), config.domain).await? {
            Some(Gate::Enabled) => Ok(()),
            _ => Err(Error::new(Kind::Denied, "the domain of the bootstrap configuration is not enabled")),
        }
    }

    async fn template(
        &self,
        tx: &mut Tx,
        config: &Config,
        profile: ProfileId,
    ) -> Result<(Profile, Vec<Snapshot>)> {
        let profile = store::profiles::get(tx, config.domain, profile).await?;
        let profile =
            profile.ok_or_else(|| Error::unprocessable("the profile is no more, assign another"))?;
        Ok((profile, self.snapshots(tx, config).await?))
    }
}

/// The device of a configuration, as templates see it.
pub(super) fn target(config: &Config) -> Target {
    Target {
        id: config.id.to_string(),
        external_id: config.external_id.as_str().to_owned(),
        domain: config.domain.to_string(),
        values: config.render_context.as_map().clone(),
    }
}
