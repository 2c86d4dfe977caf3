//! The same questions in the words of other brokers (reference 08 §12).
//!
//! None of them asks before each delivery, so that whoever subscribes must also be allowed to read all of it. The
//! `Authorization` header is the broker's here, not the client's. Where a broker takes an error for "ask the next", the
//! answer is a no.

mod emqx;
mod fluxmq;
mod params;
mod rabbitmq;
#[cfg(test)]
mod tests;
mod vernemq;

use http::{HeaderMap, Uri};
use web::{Connection, Guard, Routes, Rule};

use super::Served;
use crate::{
    Action, Actions,
    identity::Identity,
    service::{Asking, Outcome, Shown},
};
use params::Params;

const RULE: Rule =
    Rule::Public("the answer is about the client whose token or login it names, and tells nothing else");

pub(super) fn routes() -> Routes<Served> {
    emqx::routes().merge(rabbitmq::routes()).merge(vernemq::routes()).merge(fluxmq::routes())
}

/// One question of a broker.
struct Question<'a> {
    served: &'a Served,
    guard: &'a Guard,
    from: Connection,
    source: &'static str,
    broker: String,
    params: Params,
}

impl<'a> Question<'a> {
    /// Reads it; otherwise what is told to a broker that may not ask, that asks too much, or whose question cannot be read.
    fn read(
        served: &'a Served,
        guard: &'a Guard,
        from: Connection,
        source: &'static str,
        (uri, headers, body): (&Uri, &HeaderMap, &[u8]),
    ) -> Result<Self, Outcome> {
        let query = uri.query().unwrap_or_default();
        served.admits(from.peer.ip(), headers, query)?;
        let broker = super::broker(query, from.peer.ip());
        let unread = || Outcome::Malformed("the question cannot be read".into());
        let params = Params::read(headers, query, body).ok_or_else(unread)?;
        Ok(Self { served, guard, from, source, broker, params })
    }

    fn get(&self, name: &str) -> &str {
        self.params.get(name)
    }

    fn asking(&self) -> Asking<'_> {
        Asking {
            broker: &self.broker,
            peer: self.from.peer.ip(),
            request_id: self.guard.request_id().as_str(),
            source: self.source,
        }
    }

    /// The client as this broker calls its parts.
    fn shown<'b>(&'b self, clientid: &str) -> Shown<'b> {
        Shown {
            bearer: None,
            username: self.get("username"),
            password: self.get("password"),
            clientid: self.get(clientid),
        }
    }

    async fn log_in(&self, shown: &Shown<'_>) -> Outcome {
        self.served.policy.user(&self.asking(), shown).await
    }

    /// Whether the client may publish to a topic, or subscribe to a filter and read all of it.
    async fn may(&self, shown: &Shown<'_>, action: Action, topic: &str) -> Outcome {
        self.served.policy.acl_without_delivery(&self.asking(), shown, topic, Actions::from(action)).await
    }

    /// Who is behind the client, if it has logged in.
    async fn identity(&self, shown: &Shown<'_>) -> Option<Identity> {
        self.served.policy.behind(&self.asking(), shown, Some(shown.clientid)).await.ok()
    }
}
