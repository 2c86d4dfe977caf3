//! A connection from its CONNACK to its end: one task.
//!
//! It reads what is there, handles every packet of the read, and then writes what the packets caused, to everybody
//! once. Between reads it holds no buffer.
//!
//! The race it must win is the one of back-pressure. While a subscriber's queue is full, this publisher must not
//! bring more; but it must still see the acknowledgements that its own client sends, or two clients that publish to
//! each other would wait for each other for ever. So while it waits it goes on reading: acknowledgements are handled
//! at once, everything else is held in order, up to a bound. Only then does it stop reading, and TCP slows the client.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hashbrown::HashMap;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, timeout};

use super::explain::{self, explained};
use super::handshake::Established;
use super::input::Rest;
use super::transport::{Ready, Transport};
use crate::engine::Core;
use crate::engine::commit::{self, NotStored};
use crate::engine::disconnect::Departure;
use crate::engine::fanout::Work;
use crate::engine::link::{Close, Link};
use crate::engine::output::recycle;
use crate::engine::publish::Ticket;
use crate::engine::rate::Meter;
use crate::engine::session::Session;
use crate::engine::subscribe::Owed;
use crate::gate::Identity;
use crate::protocol::Protocol;
use crate::stats::count;
use crate::wire::{Decoder, Disconnect, Packet, PacketId, QoS, ReasonCode, Text, Violation, encode};

/// Time for the last bytes of a connection that the server closes.
const FAREWELL: Duration = Duration::from_secs(2);

/// A day: how long the timer sleeps when there is nothing to wait for.
const IDLE: Duration = Duration::from_secs(24 * 3_600);

/// Bytes after which a connection lets others have their turn: whoever sends without a pause is read without one too.
const TURN: usize = 16 << 10;

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum Exit {
    /// The client or the network closed it.
    Closed,
    /// The client said goodbye.
    Disconnect(Disconnect),
    /// The server says why, where the version has a packet for it.
    Told(ReasonCode),
    /// The client broke a rule of the protocol.
    Violation(Violation),
    /// Somebody else asked for it.
    Asked(Close),
}

/// What stands between the connection and its socket.
#[derive(Debug, Default)]
struct OutputState {
    /// The socket takes no more.
    blocked: bool,
    /// So much waits that nothing more may be read.
    backed_up: bool,
    /// Since when the socket has taken nothing.
    stuck_since: Option<Instant>,
}

/// The acknowledgement of a message that is being stored.
#[derive(Debug)]
pub(super) struct Uncommitted {
    pub(super) packet_id: PacketId,
    pub(super) qos: QoS,
    pub(super) reason: ReasonCode,
}

/// A connection.
pub(super) struct Connection {
    pub(super) core: Arc<Core>,
    pub(super) session: Arc<Session>,
    pub(super) link: Arc<Link>,
    pub(super) identity: Identity,
    /// Topics that have been admitted.
    pub(super) topics: HashMap<Text, Ticket>,
    /// Topic aliases that the client has set; number 1 is the first.
    pub(super) aliases: Vec<Text>,
    /// Packets of the connection itself, for the end of the batch.
    pub(super) answers: Vec<u8>,
    /// The client wants reason strings.
    pub(super) explains: bool,
    /// What the client may publish in a second; `None`: no limit.
    pub(super) meter: Option<Box<Meter>>,
    /// Acknowledgements that wait until the batch is stored.
    pub(super) uncommitted: Vec<Uncommitted>,
    /// Told when it is.
    commit: Option<oneshot::Receiver<commit::Stored>>,
    transport: Transport,
    decoder: Decoder,
    rest: Rest,
    /// Packets that wait for a subscriber's queue, and their size.
    held: VecDeque<(Packet, usize)>,
    held_bytes: usize,
    /// Retained messages that are still to be sent, before anything that is held.
    pub(super) owed: VecDeque<Owed>,
    /// Ends when the queues that this publisher filled have room again.
    stall: Option<BoxFuture<'static, ()>>,
    end_of_stream: bool,
    last_seen: Instant,
    silence: Option<Duration>,
    expires_at: Option<Instant>,
    /// How the session is told of the end, whichever way it comes.
    departure: Departure,
}

/// Serves a client until it goes, and takes its leave.
pub(super) async fn serve(core: Arc<Core>, established: Established) {
    let Established {
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
    } = established;
    let meter = Meter::new(core.shared.limits.rate, Instant::now()).map(Box::new);
    let mut connection = Connection {
        core,
        session,
        link,
        identity,
        topics: HashMap::new(),
        aliases: Vec::new(),
        answers: Vec::new(),
        explains,
        meter,
        uncommitted: Vec::new(),
        commit: None,
        transport,
        decoder,
        rest,
        held: VecDeque::new(),
        held_bytes: 0,
        owed: VecDeque::new(),
        stall: None,
        end_of_stream: false,
        last_seen: Instant::now(),
        silence,
        expires_at,
        departure: Departure::WithWill { expiry: None },
    };
    let first = if input.is_empty() { Ok(()) } else { connection.batch(input).await };
    let exit = match first {
        Ok(()) => connection.run().await,
        Err(exit) => exit,
    };
    Box::pin(connection.leave(exit)).await;
}

impl Connection {
    async fn run(&mut self) -> Exit {
        let mut timer = std::pin::pin!(tokio::time::sleep_until(self.next_deadline()));
        loop {
            if let Some(close) = self.link.closing() {
                return Exit::Asked(close);
            }
            if self.end_of_stream && self.held.is_empty() {
                return Exit::Closed;
            }
            self.take_turn();
            let OutputState { blocked, backed_up, stuck_since } = self.output_state();
            if let Some(at) = stuck_since.map(|since| since + self.patience())
                && at < timer.deadline()
            {
                timer.as_mut().reset(at);
            }
            let reads =
                !self.end_of_stream && !backed_up && self.held_bytes < self.core.shared.limits.held_bytes;
            let step = tokio::select! {
                biased;
                () = self.link.wake.notified() => Ok(()),
                () = wait(&mut self.stall) => {
                    self.stall = None;
                    self.resume().await
                }
                stored = stored(&mut self.commit) => {
                    self.commit = None;
                    match self.committed(stored) {
                        Ok(()) => self.resume().await,
                        Err(exit) => Err(exit),
                    }
                }
                ready = self.transport.ready(blocked, reads, &mut self.rest) => match ready {
                    Ok(ready) => self.go_on(ready).await,
                    Err(_) => Err(Exit::Closed),
                },
                () = timer.as_mut() => self.time_passed(timer.as_mut(), reads),
            };
            if let Err(exit) = step {
                return exit;
            }
        }
    }

    fn output_state(&self) -> OutputState {
        let state = self.session.state.lock();
        if !state.is_current(&self.link) {
            return OutputState::default();
        }
        OutputState {
            blocked: state.output.blocked,
            backed_up: state.output.len() > self.core.shared.limits.output_bytes,
            stuck_since: if self.transport.is_plain() {
                state.output.stuck_since
            } else {
                self.transport.stuck_since()
            },
        }
    }

    /// Takes what waits, if it is this task alone that may send it.
    fn take_turn(&mut self) {
        if self.transport.wants_turn()
            && let Some(turn) = self.session.begin_turn(&self.link)
        {
            self.transport.send(turn);
        }
    }

    /// Goes on with what the stream has made possible.
    async fn go_on(&mut self, ready: Ready) -> Result<(), Exit> {
        match ready {
            Ready::Input(input) if input.is_empty() => self.end_of_stream = true,
            Ready::Input(input) => {
                let size = input.len();
                let outcome = self.batch(input).await;
                if size >= TURN {
                    tokio::task::yield_now().await;
                }
                return outcome;
            }
            Ready::Writable => self.session.unblock(&self.link, Instant::now()),
            Ready::Sent(buffer, written) => {
                let next = self.session.end_turn(&self.link, buffer, written, Instant::now());
                if let Some(turn) = next {
                    self.transport.send(turn);
                }
            }
        }
        Ok(())
    }

    /// Handles every whole packet of `input`.
    async fn batch(&mut self, mut input: Bytes) -> Result<(), Exit> {
        let mut work = Work::begin(Protocol::Mqtt);
        self.last_seen = work.now;
        let outcome = loop {
            let before = input.len();
            match self.decoder.decode(&mut input) {
                Ok(Some(packet)) => {
                    let size = before - input.len();
                    if let Err(exit) = self.packet(packet, size, &mut work).await {
                        break Err(exit);
                    }
                }
                Ok(None) => break Ok(()),
                Err(violation) => break Err(Exit::Violation(violation)),
            }
        };
        self.finish(work);
        self.rest.keep(input);
        outcome
    }

    /// Handles one packet now, or holds it while a subscriber's queue is full.
    async fn packet(&mut self, packet: Packet, size: usize, work: &mut Work) -> Result<(), Exit> {
        if (self.stall.is_some() || self.commit.is_some()) && !may_overtake(&packet) {
            self.held_bytes += size;
            self.held.push_back((packet, size));
            return Ok(());
        }
        self.handle(packet, work).await?;
        if !work.full.is_empty() || work.until.is_some() {
            self.begin_stall(work);
        }
        Ok(())
    }

    fn begin_stall(&mut self, work: &mut Work) {
        let full = std::mem::take(&mut work.full);
        if !full.is_empty() {
            self.stall_for(full);
        }
        if let Some(until) = work.until.take() {
            count(&self.core.shared.stats.slowed);
            let earlier = self.stall.take();
            self.stall = Some(Box::pin(async move {
                tokio::time::sleep_until(until).await;
                if let Some(earlier) = earlier {
                    earlier.await;
                }
            }));
        }
    }

    fn stall_for(&mut self, full: Vec<Arc<Session>>) {
        let core = Arc::clone(&self.core);
        count(&core.shared.stats.stalls);
        self.stall = Some(Box::pin(async move { core.wait_for_room(full).await }));
    }

    /// The batch is stored, or cannot be: its publishers are told, in the order of their messages.
    fn committed(&mut self, stored: commit::Stored) -> Result<(), Exit> {
        let uncommitted = std::mem::take(&mut self.uncommitted);
        let failed = stored.is_err() && !uncommitted.is_empty();
        for Uncommitted { packet_id, qos, reason } in uncommitted {
            let taken = stored.is_ok() || reason.is_failure();
            let reason = if taken { reason } else { ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR };
            if taken || self.link.version.is_v5() {
                self.acknowledge_with(packet_id, qos, reason);
            }
        }
        self.send_answers();
        self.session.flush(Instant::now());
        if failed && !self.link.version.is_v5() {
            // MQTT 3 has no words for it; the client sends again what is not acknowledged.
            return Err(Exit::Told(ReasonCode::SERVER_UNAVAILABLE));
        }
        let full = stored.unwrap_or_default();
        if !full.is_empty() {
            match self.stall.take() {
                // What is waited for already is waited for longer than the new ones, or as long.
                Some(earlier) => {
                    let core = Arc::clone(&self.core);
                    self.stall = Some(Box::pin(async move {
                        earlier.await;
                        core.wait_for_room(full).await;
                    }));
                }
                None => self.stall_for(full),
            }
        }
        Ok(())
    }

    /// Goes on with what had to wait, until a queue is full again or something is to be stored.
    async fn resume(&mut self) -> Result<(), Exit> {
        if self.stall.is_some() || self.commit.is_some() {
            return Ok(());
        }
        let mut work = Work::begin(Protocol::Mqtt);
        let mut outcome = Ok(());
        self.send_owed(&mut work).await;
        if !work.full.is_empty() {
            self.begin_stall(&mut work);
        }
        while self.stall.is_none() && outcome.is_ok() {
            let Some((packet, size)) = self.held.pop_front() else {
                self.held = VecDeque::new();
                break;
            };
            self.held_bytes -= size;
            outcome = self.packet(packet, size, &mut work).await;
        }
        self.finish(work);
        outcome
    }

    /// Writes what the batch has caused.
    fn finish(&mut self, mut work: Work) {
        self.send_answers();
        work.flush();
        self.session.flush(work.now);
        work.settle(&self.core.shared.stats);
        // While something is being stored, nothing comes that is to be stored.
        if let Some(stored) = self.core.store(std::mem::take(&mut work.batch)) {
            self.commit = Some(stored);
        }
    }

    /// Puts the packets of the connection itself into its output.
    pub(super) fn send_answers(&mut self) {
        if !self.answers.is_empty() {
            self.session.reply(&self.link, &self.answers);
            recycle(std::mem::take(&mut self.answers));
        }
    }

    fn next_deadline(&self) -> Instant {
        let silent = self.silence.map(|silence| self.last_seen + silence);
        let fallback = Instant::now() + IDLE;
        silent.into_iter().chain(self.expires_at).min().unwrap_or(fallback)
    }

    /// How long the socket may take nothing: as long as the client may be silent.
    fn patience(&self) -> Duration {
        self.silence.unwrap_or(self.core.shared.limits.slow_subscriber)
    }

    /// A deadline may have come; `reads`: silence is the client's, not ours.
    fn time_passed(&mut self, timer: std::pin::Pin<&mut Sleep>, reads: bool) -> Result<(), Exit> {
        let now = Instant::now();
        if self.expires_at.is_some_and(|at| at <= now) {
            return Err(Exit::Told(ReasonCode::NOT_AUTHORIZED));
        }
        // Only then is it not read, so its silence proves nothing, but its socket does.
        if self.output_state().stuck_since.is_some_and(|since| since + self.patience() <= now) {
            tracing::info!(client = ?self.session.identity, "closed a connection whose socket takes nothing");
            count(&self.core.shared.stats.slow_closed);
            return Err(Exit::Asked(Close::Broken));
        }
        if !reads {
            self.last_seen = now;
        }
        if self.silence.is_some_and(|silence| self.last_seen + silence <= now) {
            return Err(Exit::Told(ReasonCode::KEEP_ALIVE_TIMEOUT));
        }
        timer.reset(self.next_deadline());
        Ok(())
    }

    /// Says why and lets the last bytes out.
    async fn leave(mut self, exit: Exit) {
        if let Some(commit) = self.commit.take()
            && let Ok(stored) = timeout(FAREWELL, commit::answer(commit)).await
        {
            // It ends anyway, for the reason that it has.
            let _ends = self.committed(stored);
        }
        self.send_answers();
        let reason = match exit {
            Exit::Closed | Exit::Asked(Close::Broken) => None,
            Exit::Disconnect(packet) => {
                self.departure = departure(&packet);
                None
            }
            Exit::Told(reason) | Exit::Asked(Close::Told(reason)) => Some((reason, explain::closed(reason))),
            Exit::Violation(violation) => {
                count(&self.core.shared.stats.violations);
                tracing::debug!(client = ?self.session.identity, %violation, "closed an MQTT connection");
                Some((violation.reason_code(), Some(violation.text())))
            }
            Exit::Asked(Close::TakenOver { farewell }) => {
                if farewell {
                    let reason = ReasonCode::SESSION_TAKEN_OVER;
                    let goodbye = self.goodbye(reason, explain::closed(reason));
                    self.transport.send_last(&goodbye).await;
                }
                None
            }
        };
        if let Some((reason, text)) = reason {
            self.session.say_goodbye(&self.link, &self.goodbye(reason, text));
            self.session.flush(Instant::now());
            // A client that does not take its last bytes in time goes without them.
            let _drained = timeout(FAREWELL, self.drain()).await;
        }
        self.transport.finish().await;
    }

    /// A DISCONNECT; nothing in MQTT 3, whose servers just close.
    fn goodbye(&self, reason: ReasonCode, text: Option<&'static str>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let Link { version, maximum_packet_size, .. } = *self.link;
        if version.is_v5() {
            let text = text.filter(|_| self.explains);
            let packet = Packet::Disconnect(Disconnect::new(reason));
            // A reason without words always fits.
            let _encoded =
                encode(&explained(packet, text, version, maximum_packet_size), version, &mut bytes);
        }
        bytes
    }

    /// Waits until the output is empty or the socket is gone.
    async fn drain(&mut self) {
        loop {
            {
                let state = self.session.state.lock();
                if !state.is_current(&self.link) || state.output.is_empty() {
                    return;
                }
            }
            self.take_turn();
            if self.link.closing() == Some(Close::Broken) {
                return;
            }
            match self.transport.ready(true, false, &mut self.rest).await {
                Ok(ready) => {
                    // Nothing is read, so that no packet can fail.
                    let _sent = Box::pin(self.go_on(ready)).await;
                }
                Err(_) => return,
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Connection {
    /// Gives the session back, also when the task is dropped or fails.
    fn drop(&mut self) {
        self.core.detach(&self.session, &self.link, self.departure);
    }
}

/// How a DISCONNECT of the client ends things (MQTT 5.0 §3.14).
fn departure(packet: &Disconnect) -> Departure {
    let expiry = packet.session_expiry;
    if packet.reason == ReasonCode::SUCCESS {
        Departure::Goodbye { expiry }
    } else {
        Departure::WithWill { expiry }
    }
}

/// Waits for the stall to end; for ever when there is none.
async fn wait(stall: &mut Option<BoxFuture<'static, ()>>) {
    match stall {
        Some(stall) => stall.await,
        None => std::future::pending().await,
    }
}

/// Waits until the batch is stored; for ever when there is none.
async fn stored(commit: &mut Option<oneshot::Receiver<commit::Stored>>) -> commit::Stored {
    match commit {
        Some(stored) => stored.await.unwrap_or(Err(NotStored)),
        None => std::future::pending().await,
    }
}

/// Packets whose order towards messages does not matter.
const fn may_overtake(packet: &Packet) -> bool {
    matches!(
        packet,
        Packet::PubAck(_) | Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_) | Packet::PingReq
    )
}
