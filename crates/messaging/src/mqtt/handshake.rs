//! From an accepted socket to a session: CONNECT, credentials, CONNACK.
//!
//! The race it must win: whoever connects and says nothing must cost next to nothing, and not for long. All of it
//! together, the gate's answer included, has [`Limits::handshake`](crate::Limits::handshake).

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use kernel::Kind;
use tokio::time::{Instant, timeout};

use super::explain::{self, explained};
use super::input::Rest;
use super::transport::{Peer, Ready, Transport};
use crate::engine::Core;
use crate::engine::connect::{Newcomer, NotAttached};
use crate::engine::disconnect::Departure;
use crate::engine::link::{Close, Link};
use crate::engine::output::Pipe;
use crate::engine::publish::Refusal;
use crate::engine::session::Session;
use crate::gate::{Action, Credentials, Identity};
use crate::protocol::Protocol;
use crate::topic::Address;
use crate::wire::{ConnAck, Connect, Decoder, Packet, ReasonCode, Text, Version, Violation, Will, encode};

/// A client that has been let in.
pub(super) struct Established {
    pub(super) transport: Transport,
    pub(super) session: Arc<Session>,
    pub(super) link: Arc<Link>,
    pub(super) identity: Identity,
    pub(super) decoder: Decoder,
    pub(super) rest: Rest,
    /// Bytes that came with the CONNECT.
    pub(super) input: Bytes,
    /// It wants reason strings.
    pub(super) explains: bool,
    /// One and a half times the keep alive ([MQTT-3.1.2-22]); `None`: silence is not limited.
    pub(super) silence: Option<Duration>,
    /// When the identity's token ends.
    pub(super) expires_at: Option<Instant>,
}

/// Why a client was not let in; for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotLetIn {
    /// It was told so.
    #[error("refused: {0}")]
    Refused(ReasonCode),
    /// It broke a rule of the protocol.
    #[error("{0}")]
    Violation(Violation),
    /// It took too long.
    #[error("no CONNECT in time")]
    TooSlow,
    /// It went away.
    #[error("closed before its CONNECT")]
    Closed,
    /// The socket failed.
    #[error("{0}")]
    Broken(#[from] io::Error),
    /// The node goes down.
    #[error("the node goes down")]
    ShuttingDown,
}

/// Reads the CONNECT and answers it.
pub(super) async fn let_in(
    core: &Arc<Core>,
    transport: Transport,
    peer: &Peer,
) -> Result<Established, NotLetIn> {
    let established = tokio::select! {
        biased;
        () = core.closing.cancelled() => return Err(NotLetIn::ShuttingDown),
        established = timeout(core.shared.limits.handshake, greet(core, transport, peer)) => established,
    };
    let established = established.map_err(|_| NotLetIn::TooSlow)??;
    if core.closing.is_cancelled() {
        established.link.close(Close::Told(ReasonCode::SERVER_SHUTTING_DOWN));
    }
    Ok(established)
}

async fn greet(core: &Arc<Core>, mut transport: Transport, peer: &Peer) -> Result<Established, NotLetIn> {
    let limits = &core.shared.limits;
    let mut decoder = Decoder::of_client(in_memory(limits.packet_bytes.min(limits.connect_bytes)));
    let mut rest = Rest::default();
    let (connect, input) = match first_packet(&mut transport, &mut decoder, &mut rest).await {
        Ok(first) => first,
        Err(NotLetIn::Violation(violation)) => {
            // A client of a version that we do not know is answered in 3.1.1 ([MQTT-3.1.2-2] of 3.1.1).
            let version = decoder.version().unwrap_or(Version::V311);
            core.shared.stats.violations.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let (reason, text) = (violation.reason_code(), Some(violation.text()));
            refuse(&mut transport, version, usize::MAX, reason, text).await;
            return Err(NotLetIn::Violation(violation));
        }
        Err(other) => return Err(other),
    };
    let version = connect.version;
    let admitted = loop {
        match admit(core, &connect, transport.pipe(), peer).await {
            Err(NotAttached::Outdated) => {}
            Err(NotAttached::Refused(reason)) => break Err(reason),
            Ok(admitted) => break Ok(admitted),
        }
    };
    let (session, link, identity) = match admitted {
        Ok(admitted) => admitted,
        Err(reason) => {
            let text = explain::refused(reason).filter(|_| connect.request_problem_information);
            refuse(&mut transport, version, largest_for(&connect), reason, text).await;
            transport.finish().await;
            return Err(NotLetIn::Refused(reason));
        }
    };
    decoder.set_maximum_packet_size(in_memory(limits.packet_bytes));
    let explains = connect.request_problem_information;
    session.flush(Instant::now());
    let keep_alive = granted_keep_alive(core, &connect);
    let silence = (keep_alive > 0).then(|| Duration::from_millis(u64::from(keep_alive) * 1_500));
    let expires_at = core.expiry_of(&identity);
    Ok(Established {
        transport,
        session,
        link,
        identity,
        decoder,
        rest,
        input,
        explains,
        silence,
        expires_at,
    })
}

/// Waits for the whole CONNECT; returns what came behind it too.
async fn first_packet(
    transport: &mut Transport,
    decoder: &mut Decoder,
    rest: &mut Rest,
) -> Result<(Box<Connect>, Bytes), NotLetIn> {
    loop {
        let Ready::Input(mut input) = transport.ready(false, true, rest).await? else { continue };
        if input.is_empty() {
            return Err(NotLetIn::Closed);
        }
        match decoder.decode(&mut input).map_err(NotLetIn::Violation)? {
            Some(Packet::Connect(connect)) => return Ok((connect, input)),
            // The decoder lets nothing else come first.
            Some(_) => return Err(NotLetIn::Violation(Violation::FirstPacketNotConnect)),
            None => rest.keep(input),
        }
    }
}

/// Decides about a CONNECT and attaches the session.
async fn admit(
    core: &Arc<Core>,
    connect: &Connect,
    pipe: Box<dyn Pipe>,
    peer: &Peer,
) -> Result<(Arc<Session>, Arc<Link>, Identity), NotAttached> {
    if connect.authentication_method.is_some() {
        return Err(ReasonCode::BAD_AUTHENTICATION_METHOD.into());
    }
    let mut connack = ConnAck::default();
    let client_id = client_id(core, connect, &mut connack)?;
    let revocations = core.revocations();
    let identity = authenticate(core, connect, peer).await?;
    if let Some(will) = &connect.will {
        check_will(core, &identity, will).await?;
    }
    let limits = &core.shared.limits;
    let expiry = connect.session_expiry.min(limits.session_expiry);
    connack.session_expiry = (expiry != connect.session_expiry).then_some(expiry);
    connack.receive_maximum = limits.receive_maximum;
    connack.maximum_packet_size = std::num::NonZeroU32::new(limits.packet_bytes);
    connack.topic_alias_maximum = limits.topic_aliases;
    let keep_alive = granted_keep_alive(core, connect);
    connack.server_keep_alive = (keep_alive != connect.keep_alive).then_some(keep_alive);
    let maximum_packet_size = largest_for(connect);
    fit(&mut connack, connect.version, maximum_packet_size)?;
    let claim = core.claim(&identity, &client_id, connect.clean_start).await?;
    let newcomer = Newcomer {
        identity: identity.clone(),
        revocations,
        client_id,
        clean_start: connect.clean_start,
        expiry,
        window: connect.receive_maximum.get().min(limits.inflight),
        version: connect.version,
        maximum_packet_size,
        topic_alias_maximum: connect.topic_alias_maximum,
        will: connect.will.clone().map(|will| Box::new(will.into())),
        connack,
        protocol: Protocol::Mqtt,
    };
    let (session, link) = core.attach(newcomer, pipe)?;
    if claim.is_some_and(|claim| claim.is_outdone()) {
        link.close(Close::TakenOver { farewell: true });
    }
    if core.store_attached(&session, &link).await.is_err() {
        // A session that is new ends again; one that was there before waits for better times.
        let expiry = session.is_blank().then_some(0);
        core.detach(&session, &link, Departure::Goodbye { expiry });
        return Err(ReasonCode::SERVER_UNAVAILABLE.into());
    }
    Ok((session, link, identity))
}

/// The client's identifier, or one of ours for a client that has none and needs none ([MQTT-3.1.3-6], in 3.1.1
/// [MQTT-3.1.3-8]).
fn client_id(core: &Core, connect: &Connect, connack: &mut ConnAck) -> Result<Text, ReasonCode> {
    if !connect.client_id.is_empty() {
        return Ok(connect.client_id.clone());
    }
    if !connect.version.is_v5() && !connect.clean_start {
        return Err(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
    }
    let number = core.rng.uuid().simple().to_string();
    let assigned = Text::from(format!("auto-{}", number.get(..16).unwrap_or(&number)));
    connack.assigned_client_id = Some(assigned.clone());
    Ok(assigned)
}

async fn authenticate(core: &Core, connect: &Connect, peer: &Peer) -> Result<Identity, ReasonCode> {
    let password = Credentials::Password {
        user_name: connect.user_name.as_ref().map_or("", Text::as_str),
        password: connect.password.as_ref().map_or(&[], |password| password.expose()),
    };
    let credentials = match &peer.certificate {
        None => password,
        Some(certificate) => Credentials::Certificate { certificate, with: Some(&password), domain: "" },
    };
    core.gate.authenticate(credentials, peer.address.ip()).await.map_err(|error| match error.kind() {
        Kind::Denied => ReasonCode::NOT_AUTHORIZED,
        Kind::Limited => ReasonCode::CONNECTION_RATE_EXCEEDED,
        Kind::Unavailable | Kind::Internal => {
            tracing::warn!(error = %error, cause = %error.chain(), "the gate could not authenticate");
            ReasonCode::SERVER_UNAVAILABLE
        }
        _ => ReasonCode::BAD_USER_NAME_OR_PASSWORD,
    })
}

/// A will is a message like any other: it needs a topic and the right to publish there.
async fn check_will(core: &Core, identity: &Identity, will: &Will) -> Result<(), ReasonCode> {
    let map = core.topic_map();
    let address = core.address(&map, identity, will.topic.as_str());
    let address = address.map_err(|_| ReasonCode::TOPIC_NAME_INVALID)?;
    let allowed = match address {
        Address::Figures { .. } => return Err(ReasonCode::TOPIC_NAME_INVALID),
        Address::Health { domain } => core.authorize_health(identity, domain).await,
        Address::Channel(address) => match core.room(identity, &address, Action::Publish).await {
            Ok(room) => core.authorize(identity, &room, Action::Publish).await,
            Err(refusal) => Err(refusal),
        },
    };
    allowed.map_err(|refusal| match refusal {
        Refusal::Unavailable => ReasonCode::SERVER_UNAVAILABLE,
        other => other.reason(),
    })
}

/// Leaves out of the CONNACK what the client can do without, if it accepts no packet as large as that
/// ([MQTT-3.1.2-24]). What it must know about the server cannot be left out.
fn fit(connack: &mut ConnAck, version: Version, maximum_packet_size: usize) -> Result<(), ReasonCode> {
    if fits(&Packet::ConnAck(Box::new(connack.clone())), version, maximum_packet_size) {
        return Ok(());
    }
    connack.topic_alias_maximum = 0;
    let spare = Packet::ConnAck(Box::new(connack.clone()));
    if fits(&spare, version, maximum_packet_size) { Ok(()) } else { Err(ReasonCode::PACKET_TOO_LARGE) }
}

fn fits(packet: &Packet, version: Version, maximum_packet_size: usize) -> bool {
    let mut out = Vec::new();
    maximum_packet_size == usize::MAX
        || (encode(packet, version, &mut out).is_ok() && out.len() <= maximum_packet_size)
}

/// The largest packet that the client accepts, in bytes.
fn largest_for(connect: &Connect) -> usize {
    connect.maximum_packet_size.map_or(usize::MAX, |size| in_memory(size.get()))
}

/// A size of the protocol as one of memory.
fn in_memory(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The client's keep alive within the server's; MQTT 3 cannot be told of another.
fn granted_keep_alive(core: &Core, connect: &Connect) -> u16 {
    let longest = core.shared.limits.keep_alive;
    match connect.keep_alive {
        wanted if !connect.version.is_v5() || longest == u16::MAX => wanted,
        0 => longest,
        wanted => wanted.min(longest),
    }
}

/// Answers with a failure, as far as the version has a word for it and the socket takes it at once.
async fn refuse(
    transport: &mut Transport,
    version: Version,
    maximum_packet_size: usize,
    reason: ReasonCode,
    text: Option<&'static str>,
) {
    // A will with a bad topic: "identifier rejected" is what clients of MQTT 3 have been told (reference 05 §4.2).
    let reason = match reason {
        ReasonCode::TOPIC_NAME_INVALID if !version.is_v5() => ReasonCode::CLIENT_IDENTIFIER_NOT_VALID,
        other => other,
    };
    let mut out = Vec::new();
    let packet = Packet::ConnAck(Box::new(ConnAck::refused(reason)));
    let encoded = encode(&explained(packet, text, version, maximum_packet_size), version, &mut out);
    if encoded.is_ok() && out.len() <= maximum_packet_size {
        transport.send_last(&out).await;
    }
}
