//! A gateway whose external id is taken: was it made by a request whose answer did not arrive?
//!
//! It is ours if the configuration has the name of the list and opens with our external key; what belongs to it was made in
//! the same instant. The gateway's own certificate comes with its configuration. The keys of the other clients were in the
//! lost answer alone, so these get further certificates.

use kernel::{ClientId, Secret, Timestamp};
use sdk::{Answers, Api, Config, ConfigChannel, ConfigQuery, DeviceConfig, Query};
use serde_json::{Map, Value, json};

use super::list::Row;
use super::making::{Failed, Maker};

impl Maker<'_> {
    /// What the platform would have answered; none where the external id is free or another domain's.
    pub(super) async fn recover(
        &self,
        at: (&Api, &Answers),
        row: &Row,
        key: &Secret<String>,
    ) -> Result<Option<Value>, Failed> {
        let Some((config, device)) = self.ours(at.0, row, key).await? else { return Ok(None) };
        let Some(id) = config.client_id else { return Err(not_ours("it knows no client")) };
        let (gateway, made) = self.client(at, id).await?;
        let mut found = Found { clients: vec![gateway], certs: Map::new(), keys: Map::new() };
        if self.plan.layout.certificates {
            found.certified(id, device.client_cert.as_ref(), device.client_key.as_ref());
        }
        for part in self.plan.layout.clients.iter().filter(|part| !part.is_gateway()) {
            let name = format!("{}_{}", row.name, part.name);
            let id = self.made_with(at.0, &name, made, &found.clients).await?;
            found.clients.push(self.client(at, id).await?.0);
            if self.plan.layout.certificates {
                let ttl = format!("{}s", self.plan.layout.ttl().0.as_secs());
                let ask = || async { at.0.provision(self.domain).certify(id, Some(&ttl)).await };
                let certified = self.answered(ask).await?;
                found.certified(id, Some(&certified.certificate), Some(&certified.key));
            }
        }
        let channels = self.channels(at, row, config.channels).await?;
        Ok(Some(self.answer(found, &channels, device.ca_cert)))
    }

    /// The configuration under the external id, if it is ours.
    async fn ours(
        &self,
        api: &Api,
        row: &Row,
        key: &Secret<String>,
    ) -> Result<Option<(Config, DeviceConfig)>, Failed> {
        let query = ConfigQuery {
            external_id: Some(row.external_id.clone()),
            status: Some("all".to_owned()),
            ..ConfigQuery::default()
        };
        let page = self.answered(|| async { api.configs(self.domain).list(&query).await }).await?;
        let Some(listed) = page.items.into_iter().next() else { return Ok(None) };
        if listed.name != row.name {
            return Err(not_ours(&format!("it is that of `{}`", listed.name)));
        }
        let config = self.answered(|| async { api.configs(self.domain).view(listed.id).await }).await?;
        match api.devices().fetch(&row.external_id, key).await {
            Err(sdk::Error::Refused { status: 401 | 403, .. }) => Err(not_ours(
                "it has another external key; a gateway of an earlier run is known by the results of that run",
            )),
            _ => {
                let ask = || async { api.devices().fetch(&row.external_id, key).await };
                Ok(Some((config, self.answered(ask).await?)))
            }
        }
    }

    /// A client as the platform shows it to those who have just made it, and when it was made.
    async fn client(
        &self,
        (api, answers): (&Api, &Answers),
        id: ClientId,
    ) -> Result<(Value, Timestamp), Failed> {
        let seen = self.answered(|| async { api.clients(self.domain).view(id).await }).await?;
        let mut shown = answers.take().unwrap_or_default();
        if let (Some(members), Some(secret)) = (shown.as_object_mut(), seen.credentials.secret) {
            members.insert("key".to_owned(), json!(secret.expose()));
        }
        Ok((shown, seen.created_at))
    }

    /// The channels in the order of the layout.
    async fn channels(
        &self,
        (api, answers): (&Api, &Answers),
        row: &Row,
        mut left: Vec<ConfigChannel>,
    ) -> Result<Vec<Value>, Failed> {
        let mut channels = Vec::new();
        for part in &self.plan.layout.channels {
            let name = format!("{}_{}", row.name, part.name);
            let Some(at) = left.iter().position(|channel| channel.name == name) else {
                return Err(not_ours(&format!("its channel `{name}` is not there any more")));
            };
            let id = left.remove(at).id;
            self.answered(|| async { api.channels(self.domain).view(id).await }).await?;
            channels.push(answers.take().unwrap_or_default());
        }
        Ok(channels)
    }

    /// The client of this name that was made in this instant and is none of those.
    async fn made_with(
        &self,
        api: &Api,
        name: &str,
        at: Timestamp,
        others: &[Value],
    ) -> Result<ClientId, Failed> {
        let mut query = Query {
            name: Some(name.to_owned()),
            status: Some("all".to_owned()),
            limit: Some(100),
            offset: Some(0),
            ..Query::default()
        };
        loop {
            let page = self.answered(|| async { api.clients(self.domain).list(&query).await }).await?;
            let known = |id: ClientId| others.iter().any(|other| other["id"] == id.to_string());
            let found = page.items.iter().find(|c| c.name == name && c.created_at == at && !known(c.id));
            if let Some(found) = found {
                return Ok(found.id);
            }
            let seen = page.offset + page.items.len() as u64;
            if page.items.is_empty() || seen >= page.total {
                return Err(not_ours(&format!("its client `{name}` is not there any more")));
            }
            query.offset = Some(seen);
        }
    }

    fn answer(&self, found: Found, channels: &[Value], authorities: Option<String>) -> Value {
        let Found { clients, certs, keys } = found;
        let mut answer = Map::from_iter([("channels".to_owned(), json!(channels))]);
        if self.plan.layout.certificates {
            answer.insert("client_cert".to_owned(), certs.into());
            answer.insert("client_key".to_owned(), keys.into());
            answer.insert("ca_cert".to_owned(), authorities.into());
        }
        if self.plan.layout.whitelist {
            let ids = clients.iter().filter_map(|client| client["id"].as_str());
            let all = Map::from_iter(ids.map(|id| (id.to_owned(), true.into())));
            answer.insert("whitelisted".to_owned(), all.into());
        }
        answer.insert("clients".to_owned(), clients.into());
        answer.into()
    }
}

/// What was found so far.
struct Found {
    clients: Vec<Value>,
    certs: Map<String, Value>,
    keys: Map<String, Value>,
}

impl Found {
    fn certified(&mut self, id: ClientId, certificate: Option<&String>, key: Option<&Secret<String>>) {
        self.certs.insert(id.to_string(), json!(certificate));
        self.keys.insert(id.to_string(), json!(key.map(Secret::expose)));
    }
}

fn not_ours(why: &str) -> Failed {
    Failed::Refused(409, why.to_owned())
}
