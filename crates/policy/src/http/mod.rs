//! The service over HTTP: what brokers ask, what programs ask, and what operators look at (reference 08 §3).

mod admin;
pub(crate) mod body;
mod brokers;
mod mqtt;
#[cfg(test)]
mod tests;
mod wider;

use std::{net::IpAddr, sync::Arc};

use http::HeaderMap;
use kernel::Secret;
use web::{Network, Routes};

use crate::{Outcome, Policy};

/// How brokers are met.
#[derive(Debug, Clone, Default)]
pub struct HttpOptions {
    /// Whether a yes is the two bytes `ok` instead of JSON; a request asks for it with `?response=text`.
    pub text: bool,
    /// What a broker must bring: as `secret` in the query of the address that it was configured with, or as the password
    /// of `Authorization: Basic`.
    pub broker_secret: Option<Secret<String>>,
    /// The addresses that brokers have; none: any.
    pub brokers: Vec<Network>,
}

/// What the handlers know.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) policy: Policy,
    pub(crate) options: Arc<HttpOptions>,
}

/// The routes of the service, for a port of its own.
pub fn routes(policy: Policy, options: HttpOptions) -> Routes {
    let served = Served { policy, options: Arc::new(options) };
    mqtt::routes().merge(brokers::routes()).merge(admin::routes()).merge(wider::routes()).with(served)
}

impl Served {
    /// Whether the broker at this address may ask now; otherwise what it is told.
    fn admits(&self, from: IpAddr, headers: &HeaderMap, query: &str) -> Result<(), Outcome> {
        if !self.options.admits(from, headers, query) {
            return Err(Outcome::denied("this broker may not ask"));
        }
        self.policy.takes_question(from)
    }
}

impl HttpOptions {
    /// Whether the broker at this address may ask, with what it brings.
    pub fn admits(&self, from: IpAddr, headers: &HeaderMap, query: &str) -> bool {
        let Self { broker_secret, brokers, .. } = self;
        let is_near = brokers.is_empty() || brokers.iter().any(|network| network.contains(from));
        let knows = broker_secret.as_ref().is_none_or(|secret| {
            let in_query = || parameter(query, "secret").is_some_and(|given| Secret::new(given) == *secret);
            let in_header = || basic_password(headers).is_some_and(|given| Secret::new(given) == *secret);
            in_query() || in_header()
        });
        is_near && knows
    }
}

/// Which broker asks: the one of an address, or by the name that the address it asks at has in its query. A name is marked, so that
/// it is never taken for an address or for what is known by other means.
fn broker(query: &str, from: IpAddr) -> String {
    parameter(query, "broker").map_or_else(|| from.to_string(), |name| format!("?{name}"))
}

/// One parameter of the query.
pub(crate) fn parameter(query: &str, name: &str) -> Option<String> {
    if query.is_empty() {
        return None;
    }
    web::form_fields(query).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The password of `Authorization: Basic`.
fn basic_password(headers: &HeaderMap) -> Option<String> {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    let pair =
        scheme.eq_ignore_ascii_case("basic").then(|| BASE64_STANDARD.decode(encoded.trim()).ok())??;
    let pair = String::from_utf8(pair).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}
