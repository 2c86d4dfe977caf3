//! Gateways, each made by one request with all that belongs to it (reference 04 §2).

use std::collections::BTreeMap;

use kernel::{ClientId, DomainId, Metadata, Secret};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::Api;
use crate::channels::Channel;
use crate::clients::{Client, exposed};
use crate::error::Result;

/// Operations on the gateways of a domain.
#[derive(Clone, Copy, Debug)]
pub struct Provision<'a> {
    api: &'a Api,
    domain: DomainId,
}

/// What it takes to make a gateway.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewGateway {
    /// What people call it.
    pub name: String,
    /// What it calls itself.
    pub external_id: String,
    /// What it proves itself with.
    #[serde(serialize_with = "exposed")]
    pub external_key: Option<Secret<String>>,
    /// More about it: stands in its client's metadata, and is there for the template.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// What it consists of, where that is not what the operator has laid out: the layout file as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Value>,
}

/// What was made for a gateway.
#[derive(Clone, Debug, Deserialize)]
pub struct Gateway {
    /// The clients with their secrets.
    pub clients: Vec<Client>,
    /// The channels.
    pub channels: Vec<Channel>,
    /// Certificates in PEM, by client.
    #[serde(default)]
    pub client_cert: BTreeMap<ClientId, String>,
    /// Their private keys in PEM, by client.
    #[serde(default)]
    pub client_key: BTreeMap<ClientId, Secret<String>>,
    /// The authorities in PEM.
    #[serde(default)]
    pub ca_cert: String,
}

/// A certificate for a client.
#[derive(Clone, Debug, Deserialize)]
pub struct Certified {
    /// In PEM.
    pub certificate: String,
    /// Its private key in PEM.
    pub key: Secret<String>,
}

impl<'a> Provision<'a> {
    pub(crate) const fn new(api: &'a Api, domain: DomainId) -> Self {
        Self { api, domain }
    }

    /// Makes a gateway, all of it or nothing.
    pub async fn create(&self, new: &NewGateway) -> Result<Gateway> {
        let path = format!("/{}/mapping", self.domain);
        self.api.request(Method::POST, &self.api.remotes().provision, &path).json(new).answer().await
    }

    /// What the configurations of gateways hold that the operator has laid out; `null` where that is nothing.
    pub async fn content(&self) -> Result<Value> {
        let path = format!("/{}/mapping", self.domain);
        self.api.request(Method::GET, &self.api.remotes().provision, &path).answer().await
    }

    /// Has a certificate made for a client; `ttl` such as `2400h`.
    pub async fn certify(&self, client: ClientId, ttl: Option<&str>) -> Result<Certified> {
        let path = format!("/{}/cert", self.domain);
        let body = json!({ "client_id": client, "ttl": ttl });
        self.api.request(Method::POST, &self.api.remotes().provision, &path).json(&body).answer().await
    }
}
