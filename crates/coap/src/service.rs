//! What requests do: who asks, then publish or observe. Who may do what is asked of the engine's gate, for every message
//! and every observation.

use std::net::IpAddr;

use coap_lite::{CoapOption, ResponseType};
use kernel::{Error, Kind, Result};
use messaging::topic::Address;
use messaging::wire::{MessageProperties, MessageProperty, Publish, Text};
use messaging::{Credentials, Engine, Identity, Protocol, Reader, Reading};

use crate::content_format;
use crate::request::{Method, Request, Shown, Target};
use crate::wire::Reply;

/// How personal access tokens begin.
const TOKEN_BEGINS: &str = "pat_";

/// Who a request comes from, apart from what it says itself.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) address: IpAddr,
    /// Who has been shown to be at the other end of a secured connection.
    pub(crate) identity: Option<Identity>,
}

/// An answer, and whether the caller is one whose credentials held.
pub(crate) type Outcome<T> = (bool, std::result::Result<T, Reply>);

/// Publishes the body to the topic of the path.
pub(crate) async fn publish(engine: &Engine, caller: &Caller, request: &Request) -> Outcome<Reply> {
    let Target::Topic { topic, below_publish } = &request.target else {
        return (false, Err(not_allowed()));
    };
    let identity = match authenticate(engine, caller, topic, &request.shown).await {
        Ok(identity) => identity,
        Err(error) => return (false, Err(refusal(&error))),
    };
    let media_type = request.content_format.and_then(content_format::media_type);
    let message = Publish {
        topic: Text::from(topic.as_str()),
        payload: request.payload.clone(),
        properties: MessageProperties::new(media_type.map(MessageProperty::ContentType)),
        ..Publish::default()
    };
    let published = engine.publish(&identity, Protocol::Coap, &message).await;
    let success = match request.method {
        _ if *below_publish => Reply::text(ResponseType::Changed, "ok"),
        Method::Get => Reply::empty(ResponseType::Content),
        Method::Post => Reply::empty(ResponseType::Created),
        Method::Put => Reply::empty(ResponseType::Changed),
    };
    (true, published.map(|()| success).map_err(|error| refusal(&error)))
}

/// Looks whether somebody who is known begins to send a body, so that nobody else's blocks are kept. The right to
/// publish is asked for when the body is complete.
pub(crate) async fn admit(engine: &Engine, caller: &Caller, request: &Request) -> Outcome<()> {
    let Target::Topic { topic, .. } = &request.target else { return (false, Err(not_allowed())) };
    match authenticate(engine, caller, topic, &request.shown).await {
        Ok(_) => (true, Ok(())),
        Err(error) => (false, Err(refusal(&error))),
    }
}

/// Subscribes to the filter of the path.
pub(crate) async fn observe(engine: &Engine, caller: &Caller, request: &Request) -> Outcome<Reader> {
    let Target::Topic { topic, .. } = &request.target else { return (false, Err(not_allowed())) };
    loop {
        // Before the gate is asked, so that a revocation meanwhile is noticed.
        let epoch = engine.epoch();
        let identity = match authenticate(engine, caller, topic, &request.shown).await {
            Ok(identity) => identity,
            Err(error) => return (false, Err(refusal(&error))),
        };
        match engine.attach_reader(epoch, &identity, Protocol::Coap) {
            Ok(Some(mut reader)) => {
                let subscribed = reader.subscribe(topic, Reading::default()).await;
                return (true, subscribed.map(|()| reader).map_err(|error| refusal(&error)));
            }
            Ok(None) => {}
            Err(error) => return (true, Err(refusal(&error))),
        }
    }
}

/// Who is asking (reference 05 §3.3). What a request shows counts before who a secured connection belongs to: a gateway
/// has one connection for many devices.
async fn authenticate(engine: &Engine, caller: &Caller, topic: &str, shown: &Shown) -> Result<Identity> {
    // A filter may have wildcards, which do not matter here; its own rules are looked at when it is used.
    let address = engine.filter_of(topic).map_err(|error| Error::invalid(error.to_string()))?.address;
    if shown.is_empty() {
        return caller
            .identity
            .clone()
            .ok_or_else(|| Error::invalid("credentials are missing: add `?auth=<secret>` to the path"));
    }
    let domain = domain_of(engine, &address).await?;
    let credentials = match shown {
        Shown { auth: Some(token), .. } if token.starts_with(TOKEN_BEGINS) => {
            Credentials::Bearer { token, user_name: "", domain: &domain }
        }
        Shown { auth: Some(secret), .. } => Credentials::Secret { secret, domain: &domain },
        Shown { username, password, .. } => Credentials::Basic {
            id: username.as_deref().unwrap_or_default(),
            secret: password.as_deref().unwrap_or_default(),
            domain: &domain,
        },
    };
    engine.gate().authenticate(credentials, caller.address).await
}

/// The domain of a topic. Legacy topics do not name it: there it is that of the channel, or none.
async fn domain_of(engine: &Engine, address: &Address<'_>) -> Result<String> {
    match address {
        Address::Channel(legacy) if legacy.domain.is_empty() => {
            let found = engine.gate().resolve("", &legacy.channel).await?;
            Ok(found.map(|(domain, _)| domain.to_string()).unwrap_or_default())
        }
        named => Ok(named.domain().to_owned()),
    }
}

fn not_allowed() -> Reply {
    Reply::text(ResponseType::MethodNotAllowed, "this can only be read")
}

/// The answer to a request that failed.
pub(crate) fn refusal(error: &Error) -> Reply {
    let text = |code| Reply::text(code, error.public());
    match error.kind() {
        Kind::Invalid => text(ResponseType::BadRequest),
        Kind::Unauthenticated => Reply::text(ResponseType::Unauthorized, "unauthorized"),
        Kind::Denied => Reply::text(ResponseType::Forbidden, "forbidden"),
        Kind::NotFound => text(ResponseType::NotFound),
        Kind::Conflict => text(ResponseType::Conflict),
        Kind::TooLarge => text(ResponseType::RequestEntityTooLarge),
        Kind::MediaType => text(ResponseType::UnsupportedContentFormat),
        Kind::Unprocessable => text(ResponseType::UnprocessableEntity),
        Kind::Limited => {
            let seconds = error.retry_after().map_or(60, |wait| wait.as_secs().saturating_add(1));
            text(ResponseType::TooManyRequests)
                .with_number(CoapOption::MaxAge, u32::try_from(seconds).unwrap_or(u32::MAX))
        }
        Kind::Unavailable => {
            tracing::warn!(cause = %error.chain(), "a CoAP request could not be carried out");
            text(ResponseType::ServiceUnavailable).with_number(CoapOption::MaxAge, 5)
        }
        Kind::Internal => {
            tracing::error!(cause = %error.chain(), "a CoAP request failed");
            text(ResponseType::InternalServerError)
        }
    }
}
