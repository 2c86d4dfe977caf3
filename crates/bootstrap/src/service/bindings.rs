//! What stands in the slots of a configuration.

use std::sync::Arc;

use access::{Context, Object};
use db::Tx;
use kernel::{ConfigId, DomainId, Error, Result};
use serde_json::{Map, Value, json};

use super::{Bootstrap, held};
use crate::{
    events,
    model::{Binding, Config, NewBinding, Profile, Resource, Snapshot},
    operations, store,
};

/// The most slots that one request fills.
const BINDINGS_MAX: usize = 128;

impl Bootstrap {
    /// Puts clients, channels and certificates into the slots of a configuration. Emits `bootstrap.bindings.bind`.
    ///
    /// Denied unless the caller may view each of them; a certificate is for those to view who may view its client. NotFound where the configuration has no profile; Unprocessable for
    /// a slot that the profile does not have, for a thing of another type than the slot's, and while a required slot
    /// stays empty.
    pub async fn bind(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ConfigId,
        new: Vec<NewBinding>,
    ) -> Result<()> {
        let mut wanted = vec![(operations::UPDATE, Object::config(domain, id))];
        wanted.extend(new.iter().take(BINDINGS_MAX).filter_map(|new| match &new.resource {
            Resource::Client(id) => Some((clients::operations::VIEW, Object::client(domain, *id))),
            Resource::Channel(id) => Some((channels::operations::VIEW, Object::channel(domain, *id))),
            Resource::Certificate(_) => None,
        }));
        let permit = cx.authorize_all(&wanted, || json!({ "entity_id": id })).await?;
        match new.len() {
            0 => return Err(Error::invalid("empty list provided")),
            1..=BINDINGS_MAX => {}
            _ => {
                return Err(Error::invalid(format!(
                    "too many bindings in one request, at most {BINDINGS_MAX}"
                )));
            }
        }
        for new in &new {
            if let Resource::Certificate(serial) = &new.resource {
                self.certs.view(cx, domain, serial.clone()).await?;
            }
        }
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let config = held(tx, domain, id).await?;
                let profile = config.profile.ok_or_else(Error::not_found)?;
                let profile = store::profiles::get_held(tx, domain, profile).await?;
                let there = store::bindings::of(tx, id).await?;
                fitting(&profile.ok_or_else(Error::not_found)?, &there, &new)?;
                store::bindings::put(tx, id, &new, permit.at()).await?;
                access.emit(tx, events::bound(&config, &new, &permit, &request)).await
            })
        })
        .await
    }

    /// What stands in the slots, without secrets.
    pub async fn list_bindings(&self, cx: &Context, domain: DomainId, id: ConfigId) -> Result<Vec<Snapshot>> {
        cx.authorize(operations::VIEW, Object::config(domain, id)).await?;
        let bootstrap = self.clone();
        cx.read(move |tx| {
            Box::pin(async move {
                let config = store::configs::get(tx, domain, id).await?.ok_or_else(Error::not_found)?;
                bootstrap.snapshots(tx, &config).await
            })
        })
        .await
    }

    /// Says that what stands in the slots is what it is now, which it always is. Emits `bootstrap.bindings.refresh`.
    pub async fn refresh_bindings(&self, cx: &Context, domain: DomainId, id: ConfigId) -> Result<()> {
        let permit = cx.authorize(operations::UPDATE, Object::config(domain, id)).await?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let config = held(tx, domain, id).await?;
                access.emit(tx, events::refreshed(&config, &permit, &request)).await
            })
        })
        .await
    }

    /// What is known of the things in the slots; what is no more is left out.
    pub(super) async fn snapshots(&self, tx: &mut Tx, config: &Config) -> Result<Vec<Snapshot>> {
        let mut snapshots = Vec::new();
        for binding in store::bindings::of(tx, config.id).await? {
            let known = match &binding.resource {
                Resource::Client(id) => self.clients.view_in(tx, config.domain, *id).await?.map(|found| {
                    let entry = &found.client.entry;
                    let mut known = Map::new();
                    known.insert("id".to_owned(), json!(entry.id));
                    known.insert("name".to_owned(), json!(entry.name));
                    if !found.client.identity.is_empty() {
                        known.insert("identity".to_owned(), json!(found.client.identity));
                    }
                    known.insert("domain_id".to_owned(), json!(entry.domain));
                    (known, Some(found.secret))
                }),
                Resource::Channel(id) => {
                    let found =
                        registry::store::get::<channels::model::Channel>(tx, config.domain, *id).await?;
                    found.map(|channel| (described(&channel), None))
                }
                Resource::Certificate(serial) => {
                    let found = self.certs.view_in(tx, config.domain, serial).await?;
                    let chain = self.certs.authority().chain()?;
                    found.map(|certificate| (certified(&certificate, &chain), None))
                }
            };
            snapshots.extend(known.map(|(known, secret)| Snapshot {
                kind: binding.resource.kind().word().to_owned(),
                id: binding.resource.id(),
                slot: binding.slot,
                known,
                secret,
                updated_at: binding.updated_at,
            }));
        }
        Ok(snapshots)
    }
}

fn described(channel: &channels::model::Channel) -> Map<String, Value> {
    let entry = &channel.entry;
    let mut known = Map::new();
    known.insert("id".to_owned(), json!(entry.id));
    known.insert("name".to_owned(), json!(entry.name));
    if let Some(route) = &channel.route {
        known.insert("topic".to_owned(), json!(route));
    }
    known.insert("domain_id".to_owned(), json!(entry.domain));
    if !entry.metadata.is_empty() {
        known.insert("metadata".to_owned(), json!(entry.metadata));
    }
    known
}

/// Its private key is with whoever had it made: the platform keeps none.
fn certified(certificate: &certs::model::Certificate, chain: &str) -> Map<String, Value> {
    let mut known = Map::new();
    known.insert("serial_number".to_owned(), json!(certificate.serial));
    known.insert("certificate".to_owned(), json!(certificate.pem));
    known.insert("ca_cert".to_owned(), json!(chain));
    known.insert("expiry_time".to_owned(), json!(certificate.not_after));
    known.insert("revoked".to_owned(), json!(certificate.revoked.is_some()));
    known.insert("entity_id".to_owned(), json!(certificate.client));
    known
}

/// Whether these bindings fit the profile's slots, beside those that are there.
fn fitting(profile: &Profile, there: &[Binding], new: &[NewBinding]) -> Result<()> {
    for (at, binding) in new.iter().enumerate() {
        if new.iter().take(at).any(|earlier| earlier.slot == binding.slot) {
            return Err(Error::unprocessable(format!("the slot `{}` is there twice", binding.slot)));
        }
    }
    if profile.slots.is_empty() {
        return Ok(());
    }
    for binding in new {
        let slot = profile
            .slots
            .iter()
            .find(|slot| slot.name == binding.slot)
            .ok_or_else(|| Error::unprocessable(format!("the profile has no slot `{}`", binding.slot)))?;
        let kind = binding.resource.kind().word();
        if slot.kind != kind {
            return Err(Error::unprocessable(format!(
                "the slot `{}` takes a {}, not a {kind}",
                slot.name, slot.kind
            )));
        }
    }
    let is_filled = |name: &str| {
        new.iter().any(|binding| binding.slot == name) || there.iter().any(|binding| binding.slot == name)
    };
    match profile.slots.iter().find(|slot| slot.required && !is_filled(&slot.name)) {
        Some(slot) => {
            Err(Error::unprocessable(format!("the slot `{}` is required, bind it as well", slot.name)))
        }
        None => Ok(()),
    }
}
