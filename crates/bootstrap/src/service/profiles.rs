//! Profiles: making, viewing, changing, removing and assigning them, and how one would be rendered.

use std::sync::Arc;

use access::{Context, Object};
use kernel::{ConfigId, DomainId, Error, Page, ProfileId, Result};
use serde_json::json;

use super::{Bootstrap, held};
use crate::{
    events,
    model::{NewProfile, Profile, ProfileChange, ProfileQuery, Snapshot},
    operations,
    render::{self, Target},
    store,
};

/// What a preview is rendered for.
#[derive(Debug, Clone)]
pub enum Sample {
    /// A configuration that is there, with what stands in its slots.
    Stored(ConfigId),
    /// One that the caller makes up.
    MadeUp {
        /// The device.
        target: (String, String),
        /// Values for the template.
        values: serde_json::Map<String, serde_json::Value>,
        /// What would stand in the slots.
        bound: Vec<Snapshot>,
    },
}

impl Bootstrap {
    /// Makes a profile. Emits `bootstrap.profile.create`. Conflict where the name is taken in the domain.
    pub async fn create_profile(&self, cx: &Context, domain: DomainId, new: NewProfile) -> Result<Profile> {
        let told = json!({ "name": new.name });
        let permit = cx.authorize_with(operations::CREATE, Object::domain(domain), || told).await?;
        let new = new.checked()?;
        let profile = Profile {
            id: ProfileId::generate(self.access.rng()),
            domain,
            name: new.name,
            description: new.description,
            format: new.format,
            template: new.template,
            defaults: new.defaults,
            slots: new.slots,
            version: 1,
            created_at: permit.at(),
            updated_at: None,
        };
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                store::profiles::insert(tx, &profile).await?;
                access.emit(tx, events::profile(events::PROFILE_CREATE, &profile, &permit, &request)).await?;
                Ok(profile)
            })
        })
        .await
    }

    /// One profile.
    pub async fn view_profile(&self, cx: &Context, domain: DomainId, id: ProfileId) -> Result<Profile> {
        cx.authorize_with(operations::VIEW, Object::domain(domain), || json!({ "entity_id": id })).await?;
        cx.read(move |tx| Box::pin(async move { store::profiles::get(tx, domain, id).await }))
            .await?
            .ok_or_else(Error::not_found)
    }

    /// The profiles of a domain, newest first.
    pub async fn list_profiles(
        &self,
        cx: &Context,
        domain: DomainId,
        query: ProfileQuery,
    ) -> Result<Page<Profile>> {
        let told = json!({ "pagemeta": { "offset": query.page.offset, "limit": query.page.limit } });
        cx.authorize_with(operations::LIST, Object::domain(domain), || told).await?;
        cx.scan(move |tx| Box::pin(async move { store::profiles::list(tx, domain, &query).await })).await
    }

    /// Changes what is given of a profile. Emits `bootstrap.profile.update`. Conflict where the name is taken.
    pub async fn update_profile(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ProfileId,
        change: ProfileChange,
    ) -> Result<Profile> {
        let told = || json!({ "entity_id": id });
        let permit = cx.authorize_with(operations::UPDATE, Object::domain(domain), told).await?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let profile = store::profiles::get_for_update(tx, domain, id).await?;
                let profile = change.apply(profile.ok_or_else(Error::not_found)?, permit.at())?;
                store::profiles::update(tx, &profile).await?;
                access.emit(tx, events::profile(events::PROFILE_UPDATE, &profile, &permit, &request)).await?;
                Ok(profile)
            })
        })
        .await
    }

    /// Removes a profile; configurations that had it have none. Emits `bootstrap.profile.delete`. Nothing happens where
    /// there is none.
    pub async fn remove_profile(&self, cx: &Context, domain: DomainId, id: ProfileId) -> Result<()> {
        let told = || json!({ "entity_id": id });
        let permit = cx.authorize_with(operations::REMOVE, Object::domain(domain), told).await?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                if store::profiles::delete(tx, domain, id).await? {
                    store::configs::forget_profile(tx, id, permit.at()).await?;
                    access.emit(tx, events::profile_removed(domain, id, &permit, &request)).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Gives a configuration a profile. Emits `bootstrap.profile.assign`. NotFound where either is not in the domain.
    pub async fn assign_profile(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ConfigId,
        profile: ProfileId,
    ) -> Result<()> {
        let (permit, _) =
            self.authorize_on(cx, domain, id, (operations::UPDATE, clients::operations::UPDATE)).await?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                let mut config = held(tx, domain, id).await?;
                let assigned = store::profiles::get_held(tx, domain, profile).await?;
                assigned.ok_or_else(Error::not_found)?;
                config.profile = Some(profile);
                config.updated_at = Some(permit.at());
                store::configs::update(tx, &config).await?;
                access.emit(tx, events::assigned(&config, profile, &permit, &request)).await
            })
        })
        .await
    }

    /// What a device would get from a profile. Secrets in it are stars: a preview is for whoever writes templates.
    ///
    /// NotFound where the profile or the stored configuration is not in the domain. Unprocessable where the template
    /// cannot be rendered.
    pub async fn preview(
        &self,
        cx: &Context,
        domain: DomainId,
        id: ProfileId,
        sample: Sample,
    ) -> Result<String> {
        let mut wanted = vec![(operations::VIEW, Object::domain(domain))];
        if let Sample::Stored(config) = &sample {
            wanted.push((operations::VIEW, Object::config(domain, *config)));
        }
        cx.authorize_all(&wanted, || json!({ "entity_id": id })).await?;
        let bootstrap = self.clone();
        let (profile, target, mut bound) = cx
            .read(move |tx| {
                Box::pin(async move {
                    let profile = store::profiles::get(tx, domain, id).await?.ok_or_else(Error::not_found)?;
                    let (target, bound) = match sample {
                        Sample::Stored(config) => {
                            let config = store::configs::get(tx, domain, config).await?;
                            let config = config.ok_or_else(Error::not_found)?;
                            let bound = bootstrap.snapshots(tx, &config).await?;
                            (super::device::target(&config), bound)
                        }
                        Sample::MadeUp { target: (id, external_id), values, bound } => {
                            (Target { id, external_id, domain: domain.to_string(), values }, bound)
                        }
                    };
                    Ok((profile, target, bound))
                })
            })
            .await?;
        for bound in &mut bound {
            bound.secret = Some(kernel::Secret::new("***".to_owned()));
        }
        render::rendered(profile, target, bound).await
    }
}
