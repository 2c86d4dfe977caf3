//! What a request asks for: path, credentials and options, in the words of both generations (reference 05 §7).

use std::fmt;

use bytes::Bytes;
use coap_lite::{CoapOption, MessageClass, Packet, RequestType, ResponseType};

use crate::block::Block;
use crate::wire::{Reply, read_number};

/// Critical options that are understood; any other is refused (RFC 7252 §5.4.1).
const UNDERSTOOD: [CoapOption; 7] = [
    CoapOption::UriHost,
    CoapOption::UriPort,
    CoapOption::UriPath,
    CoapOption::UriQuery,
    CoapOption::Accept,
    CoapOption::Block1,
    CoapOption::Block2,
];
/// Critical options of a forward proxy, which this is not.
const OF_PROXIES: [CoapOption; 2] = [CoapOption::ProxyUri, CoapOption::ProxyScheme];
/// Options that may stand more than once.
const REPEATABLE: [CoapOption; 2] = [CoapOption::UriPath, CoapOption::UriQuery];
/// Options that do not tell one body from another (RFC 7959 §2.3, RFC 7641 §2).
const NOT_IN_KEY: [CoapOption; 5] =
    [CoapOption::Block1, CoapOption::Block2, CoapOption::Size1, CoapOption::Size2, CoapOption::Observe];

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Put,
}

/// What it is to be done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// `/health`: whether the endpoint is there.
    Health,
    /// `/.well-known/core`: what is here.
    Core,
    /// A topic or a filter.
    Topic {
        /// Its text.
        topic: String,
        /// Whether it came below `/mqtt/publish`, whose callers expect another answer.
        below_publish: bool,
    },
}

/// Whether and how a GET observes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Observe {
    Register,
    Deregister,
}

/// Credentials of the query; `Debug` hides them.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// `auth`: a secret that is unique in the domain, or a personal access token.
    pub(crate) auth: Option<String>,
    /// `username`: a client's id.
    pub(crate) username: Option<String>,
    /// `password` or `authorization`: its secret.
    pub(crate) password: Option<String>,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown(…)")
    }
}

/// A request that makes sense in itself.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) shown: Shown,
    pub(crate) observe: Option<Observe>,
    pub(crate) accept: Option<u32>,
    pub(crate) content_format: Option<u32>,
    pub(crate) block1: Option<Block>,
    pub(crate) block2: Option<Block>,
    /// The size of the whole body, as the sender announces it.
    pub(crate) size1: Option<u32>,
    /// What is the same for all blocks of one body.
    pub(crate) key: Vec<u8>,
    pub(crate) payload: Bytes,
}

impl Request {
    /// Reads a packet with a request code.
    ///
    /// # Errors
    ///
    /// The answer: 4.02 for a critical option that is not understood or has no meaning, 4.05 for another method, 5.05 for
    /// a request to a proxy, 4.00 for a path or query that is none.
    pub(crate) fn read(packet: &Packet) -> Result<Self, Reply> {
        check_options(packet)?;
        let method = match packet.header.code {
            MessageClass::Request(RequestType::Get) => Method::Get,
            MessageClass::Request(RequestType::Post) => Method::Post,
            MessageClass::Request(RequestType::Put) => Method::Put,
            _ => {
                return Err(Reply::text(ResponseType::MethodNotAllowed, "use GET with Observe, POST or PUT"));
            }
        };
        let number = |option: CoapOption| -> Result<Option<u32>, Reply> {
            let value = packet.get_first_option(option);
            value.map(|value| read_number(value).ok_or_else(bad_option)).transpose()
        };
        let block = |option: CoapOption| -> Result<Option<Block>, Reply> {
            let value = packet.get_first_option(option);
            value.map(|value| Block::read(value).ok_or_else(bad_option)).transpose()
        };
        // An elective option that has no meaning is passed over.
        let observe = match number(CoapOption::Observe).unwrap_or(None) {
            Some(0) => Some(Observe::Register),
            Some(_) => Some(Observe::Deregister),
            None => None,
        };
        Ok(Self {
            method,
            target: Target::read(packet)?,
            shown: Shown::read(packet)?,
            observe: observe.filter(|_| method == Method::Get),
            accept: number(CoapOption::Accept)?,
            content_format: number(CoapOption::ContentFormat).unwrap_or(None),
            block1: block(CoapOption::Block1)?,
            block2: block(CoapOption::Block2)?,
            size1: number(CoapOption::Size1).unwrap_or(None),
            key: key(packet),
            payload: Bytes::copy_from_slice(&packet.payload),
        })
    }
}

fn bad_option() -> Reply {
    Reply::text(ResponseType::BadOption, "an option has a value that it cannot have")
}

fn check_options(packet: &Packet) -> Result<(), Reply> {
    for (number, values) in packet.options() {
        let option = CoapOption::from(*number);
        if OF_PROXIES.contains(&option) {
            return Err(Reply::text(ResponseType::ProxyingNotSupported, "this is no proxy"));
        }
        let is_critical = number % 2 == 1;
        let is_repeated = values.len() > 1 && !REPEATABLE.contains(&option);
        if is_critical && (is_repeated || !UNDERSTOOD.contains(&option)) {
            return Err(Reply::text(ResponseType::BadOption, format!("option {number} is not understood")));
        }
    }
    Ok(())
}

/// Everything that tells one resource from another, in a form that cannot be read two ways.
fn key(packet: &Packet) -> Vec<u8> {
    let mut key = vec![u8::from(packet.header.code)];
    for (number, values) in packet.options() {
        if NOT_IN_KEY.contains(&CoapOption::from(*number)) {
            continue;
        }
        for value in values {
            key.extend_from_slice(&number.to_be_bytes());
            key.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
            key.extend_from_slice(value);
        }
    }
    key
}

fn texts(packet: &Packet, option: CoapOption) -> impl Iterator<Item = Result<&str, Reply>> {
    let values = packet.get_option(option).into_iter().flatten();
    values.map(|value| {
        std::str::from_utf8(value)
            .map_err(|_| Reply::text(ResponseType::BadRequest, "path and query must be UTF-8"))
    })
}

impl Target {
    fn read(packet: &Packet) -> Result<Self, Reply> {
        let mut segments = texts(packet, CoapOption::UriPath).collect::<Result<Vec<_>, _>>()?;
        match *segments.as_slice() {
            ["health"] => return Ok(Self::Health),
            [".well-known", "core"] => return Ok(Self::Core),
            _ => {}
        }
        let below_publish = matches!(segments.as_slice(), ["mqtt", "publish", ..]);
        if below_publish {
            segments.drain(..2);
        }
        if segments.iter().all(|segment| segment.is_empty()) {
            return Err(Reply::text(ResponseType::BadRequest, "topic is required in path"));
        }
        if !below_publish && segments.first() == Some(&"mqtt") {
            return Err(Reply::text(ResponseType::BadRequest, "invalid path"));
        }
        let mut topic = segments.join("/");
        if let Some(&("m" | "hc" | "channels")) = segments.iter().find(|segment| !segment.is_empty()) {
            // Options are not percent-encoded, the platform's topics may be.
            topic = topic.replace('%', "%25");
        }
        Ok(Self::Topic { topic, below_publish })
    }
}

impl Shown {
    fn read(packet: &Packet) -> Result<Self, Reply> {
        let mut shown = Self::default();
        for query in texts(packet, CoapOption::UriQuery) {
            let (name, value) = query?.split_once('=').unwrap_or_default();
            let place = match name {
                "auth" => &mut shown.auth,
                "username" => &mut shown.username,
                "password" | "authorization" => &mut shown.password,
                _ => continue,
            };
            if place.replace(value.to_owned()).is_some() {
                return Err(Reply::text(ResponseType::BadRequest, "credentials are given twice"));
            }
        }
        Ok(shown)
    }

    /// Whether there is nothing that could hold.
    pub(crate) fn is_empty(&self) -> bool {
        let given = |value: &Option<String>| value.as_ref().is_some_and(|value| !value.is_empty());
        !given(&self.auth) && !given(&self.password)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(code: RequestType, path: &[&str], query: &[&str]) -> Packet {
        let mut packet = Packet::new();
        packet.header.code = MessageClass::Request(code);
        for segment in path {
            packet.add_option(CoapOption::UriPath, segment.as_bytes().to_vec());
        }
        for query in query {
            packet.add_option(CoapOption::UriQuery, query.as_bytes().to_vec());
        }
        packet
    }

    fn target(path: &[&str]) -> Result<Target, ResponseType> {
        Request::read(&packet(RequestType::Post, path, &[]))
            .map(|request| request.target)
            .map_err(|reply| reply.code)
    }

    #[test]
    fn paths_of_both_generations_are_topics() {
        let topic = |topic: &str, below_publish| Ok(Target::Topic { topic: topic.into(), below_publish });
        assert_eq!(target(&["m", "d", "c", "ch", "a"]), topic("m/d/c/ch/a", false));
        assert_eq!(target(&["mqtt", "publish", "m", "d", "c", "ch"]), topic("m/d/c/ch", true));
        assert_eq!(target(&["channels", "id", "messages"]), topic("channels/id/messages", false));
        assert_eq!(target(&["m", "d", "c", "ch", "100%"]), topic("m/d/c/ch/100%25", false));
        assert_eq!(target(&["health"]), Ok(Target::Health));
        assert_eq!(target(&[".well-known", "core"]), Ok(Target::Core));
        assert_eq!(target(&["tele", "100%"]), topic("tele/100%", false));
        for none in [&["mqtt"] as &[_], &["mqtt", "publish"], &["mqtt", "other"], &[""], &[]] {
            assert_eq!(target(none), Err(ResponseType::BadRequest), "{none:?}");
        }
    }

    #[test]
    fn credentials_have_the_names_of_both_generations_and_stand_once() {
        let shown = |query: &[&str]| {
            Request::read(&packet(RequestType::Post, &["m", "d", "c", "ch"], query))
                .map(|request| request.shown)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(shown(&["x=1", "auth=s=t"]).unwrap().auth, some("s=t"));
        let both = shown(&["username=u", "authorization=p", "client_id=c"]).unwrap();
        assert_eq!((both.username, both.password), (some("u"), some("p")));
        assert!(shown(&["auth=", "username=u", "auth"]).unwrap().is_empty());
        assert_eq!(shown(&["auth=a", "auth=b"]).unwrap_err().code, ResponseType::BadRequest);
        assert_eq!(format!("{:?}", shown(&["auth=secret"]).unwrap()), "Shown(…)");
    }

    #[test]
    fn critical_options_that_are_not_understood_are_refused_and_elective_ones_passed_over() {
        let refusal = |option: u16| {
            let mut packet = packet(RequestType::Get, &["health"], &[]);
            packet.add_option(CoapOption::from(option), vec![0]);
            Request::read(&packet).err().map(|reply| reply.code)
        };
        assert_eq!(refusal(9), Some(ResponseType::BadOption), "OSCORE");
        assert_eq!(refusal(1), Some(ResponseType::BadOption), "If-Match");
        assert_eq!(refusal(2_053), Some(ResponseType::BadOption));
        assert_eq!(refusal(35), Some(ResponseType::ProxyingNotSupported));
        assert_eq!(refusal(2_054), None);
        assert_eq!(refusal(60), None);

        let mut twice = packet(RequestType::Get, &["health"], &[]);
        twice.add_option(CoapOption::Accept, vec![50]);
        twice.add_option(CoapOption::Accept, vec![60]);
        assert_eq!(Request::read(&twice).unwrap_err().code, ResponseType::BadOption);
    }

    #[test]
    fn only_a_get_observes() {
        let observe = |code, value| {
            let mut packet = packet(code, &["m", "d", "c", "ch"], &[]);
            packet.add_option(CoapOption::Observe, value);
            Request::read(&packet).unwrap().observe
        };
        assert_eq!(observe(RequestType::Get, vec![]), Some(Observe::Register));
        assert_eq!(observe(RequestType::Get, vec![7]), Some(Observe::Deregister));
        assert_eq!(observe(RequestType::Get, vec![0; 9]), None);
        assert_eq!(observe(RequestType::Post, vec![]), None);
    }
}
