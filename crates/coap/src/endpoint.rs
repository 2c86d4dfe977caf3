//! The endpoint: requests come in, are worked on in tasks of their own, and are answered; observers get their messages.
//!
//! One task owns it, so nothing here is locked. What takes time is spawned and comes back as a [`Done`].

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use coap_lite::{CoapOption, Packet, ResponseType};
use messaging::{Ended, Engine, Identity, Reader};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::block::Block;
use crate::dtls::Shown;
use crate::failures::Failures;
use crate::layer::{Incoming, Layer, Ticket};
use crate::limits::Limits;
use crate::observers::{Beginning, Observers};
use crate::request::{Method, Observe, Request, Target};
use crate::service::{self, Caller, Outcome};
use crate::stats::{Stats, count};
use crate::uploads::{Step, Uploads};
use crate::wire::Reply;

/// Results that wait for the endpoint's task; their tasks wait when there are more.
const RESULTS: usize = 1_024;

/// What is here (RFC 6690): whoever looks for topics needs to know which.
const CORE: &str = "</health>,</m>;obs,</channels>;obs,</hc>";
/// Content format of [`CORE`].
const LINK_FORMAT: u32 = 40;

/// What was worked on in a task of its own.
#[derive(Debug)]
pub(crate) enum Done {
    /// A request has its answer.
    Answered { ticket: Ticket, block: Option<Block>, outcome: Outcome<Reply> },
    /// Whether somebody may begin to send a body in blocks.
    Admitted { ticket: Ticket, request: Box<Request>, block: Block, outcome: Outcome<()> },
    /// Whether somebody may observe.
    Observing { ticket: Ticket, request: Box<Request>, outcome: Outcome<Reader> },
    /// A message for an observer, or why there will be none.
    Message { peer: SocketAddr, number: u64, message: Result<Bytes, Ended> },
}

/// What comes back to the task that owns the endpoint.
#[derive(Debug)]
pub(crate) enum Event {
    /// For [`Endpoint::finish`].
    Done(Done),
    /// A key that was looked up for a handshake.
    Key(Shown),
    /// Whoever is at the other end of a secured connection may not be there any more.
    Over { peer: SocketAddr, number: u64 },
}

/// Who is at the other end of a secured connection.
#[derive(Debug)]
struct Secured {
    identity: Identity,
    watch: JoinHandle<()>,
}

impl Drop for Secured {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// The endpoint behind one socket.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) layer: Layer,
    engine: Engine,
    uploads: Uploads,
    observers: Observers,
    failures: Failures,
    /// Who is at the other end of secured connections.
    secured: HashMap<SocketAddr, Secured>,
    /// Places for requests that are being worked on: those of strangers, and those of known peers.
    stranger_places: Arc<Semaphore>,
    places: Arc<Semaphore>,
    last_number: u64,
    results: mpsc::Sender<Event>,
    limits: Arc<Limits>,
    stats: Arc<Stats>,
}

impl Endpoint {
    /// An endpoint, and where its results come out; they are to be given to [`Endpoint::finish`].
    pub(crate) fn new(
        engine: Engine,
        limits: Arc<Limits>,
        stats: Arc<Stats>,
    ) -> (Self, mpsc::Receiver<Event>) {
        let (results, done) = mpsc::channel(RESULTS);
        let endpoint = Self {
            layer: Layer::new(Arc::clone(&limits), Arc::clone(&stats)),
            engine,
            uploads: Uploads::new(Arc::clone(&limits)),
            observers: Observers::new(Arc::clone(&limits), Arc::clone(&stats)),
            failures: Failures::default(),
            secured: HashMap::new(),
            stranger_places: Arc::new(Semaphore::new(limits.stranger_requests)),
            places: Arc::new(Semaphore::new(limits.requests)),
            last_number: 0,
            results,
            limits,
            stats,
        };
        (endpoint, done)
    }

    /// Takes a datagram.
    pub(crate) fn receive(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) {
        match self.layer.receive(from, datagram, now) {
            Some(Incoming::Request(ticket, packet)) => self.requested(ticket, &packet, now),
            Some(Incoming::Settled { peer, id, fate }) => {
                self.observers.settled(peer, id, fate, &mut self.layer, now);
            }
            None => {}
        }
        self.forget_gone();
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Instant) {
        for ended in self.layer.tick(now) {
            if let Incoming::Settled { peer, id, fate } = ended {
                self.observers.settled(peer, id, fate, &mut self.layer, now);
            }
        }
    }

    /// Forgets what is too old to matter.
    pub(crate) fn sweep(&mut self, now: Instant) {
        self.uploads.sweep(now);
        self.observers.sweep(&mut self.layer, now);
        let (uploads, observers, secured) = (&self.uploads, &self.observers, &self.secured);
        self.layer.peers.sweep(now, |peer| {
            uploads.is_used_by(peer) || observers.has(peer) || secured.contains_key(&peer)
        });
        self.stats.peers.store(self.layer.peers.len() as u64, Relaxed);
    }

    /// Takes what a task has come to.
    pub(crate) fn finish(&mut self, done: Done, now: Instant) {
        match done {
            Done::Answered { ticket, block, outcome } => {
                self.settle(&ticket, &outcome);
                let mut reply = outcome.1.unwrap_or_else(|refusal| refusal);
                if let Some(block) = block {
                    reply = reply.with(CoapOption::Block1, block.write());
                }
                self.answer(&ticket, &reply, now);
            }
            Done::Admitted { ticket, request, block, outcome } => {
                self.settle(&ticket, &outcome);
                let step = outcome.1.and_then(|()| self.uploads.begin(ticket.peer, &request, block, now));
                self.take_step(ticket, *request, step, now);
            }
            Done::Observing { ticket, request, outcome } => {
                self.settle(&ticket, &outcome);
                match outcome.1 {
                    Ok(reader) => self.begin(&ticket, &request, reader, now),
                    Err(refusal) => {
                        // An earlier observation with this token does not hold either.
                        self.observers.end(ticket.peer, &ticket.token);
                        self.answer(&ticket, &refusal, now);
                    }
                }
            }
            Done::Message { peer, number, message: Ok(message) } => {
                self.observers.offer(peer, number, message, &mut self.layer, now);
            }
            Done::Message { peer, number, message: Err(ended) } => {
                self.observers.close(peer, number, &farewell(ended), &mut self.layer, now);
            }
        }
        self.forget_gone();
    }

    fn requested(&mut self, ticket: Ticket, packet: &Packet, now: Instant) {
        let request = match Request::read(packet) {
            Ok(request) => request,
            Err(refusal) => return self.answer(&ticket, &refusal, now),
        };
        match (&request.target, request.method) {
            (Target::Health, _) => {
                self.answer(&ticket, &Reply::text(ResponseType::Content, "healthy"), now);
            }
            (Target::Core, Method::Get) => self.answer(&ticket, &core(&request), now),
            (Target::Core, _) => {
                let refusal = Reply::text(ResponseType::MethodNotAllowed, "this can only be read");
                self.answer(&ticket, &refusal, now);
            }
            (Target::Topic { topic, .. }, Method::Get) if !is_health(topic) => {
                self.asked_to_read(ticket, request, now);
            }
            (Target::Topic { .. }, _) => self.asked_to_publish(ticket, request, now),
        }
    }

    fn asked_to_read(&mut self, ticket: Ticket, request: Request, now: Instant) {
        match request.observe {
            Some(Observe::Deregister) => {
                self.observers.end(ticket.peer, &ticket.token);
                self.answer(&ticket, &Reply::empty(ResponseType::Content), now);
            }
            Some(Observe::Register) if !self.observers.has_room(ticket.peer, &ticket.token) => {
                self.answer(&ticket, &busy("too many observations, end some and try again"), now);
            }
            Some(Observe::Register) => self.work(ticket, move |engine, caller, ticket| async move {
                let outcome = service::observe(&engine, &caller, &request).await;
                Done::Observing { ticket, request: Box::new(request), outcome }
            }),
            None => {
                let block = self.observers.further_block(ticket.peer, &request, now);
                let refusal = || {
                    Reply::text(ResponseType::BadOption, "messages can only be observed: add `Observe: 0`")
                };
                self.answer(&ticket, &block.unwrap_or_else(refusal), now);
                self.observers.resume(ticket.peer, &mut self.layer, now);
            }
        }
    }

    fn asked_to_publish(&mut self, ticket: Ticket, request: Request, now: Instant) {
        let Some(block) = request.block1 else { return self.publish(ticket, request, None) };
        if let Err(refusal) = self.uploads.check(&request, block) {
            return self.answer(&ticket, &refusal.with(CoapOption::Block1, block.write()), now);
        }
        match (block.number, block.more) {
            (0, false) => self.publish(ticket, request, Some(block)),
            (0, true) => self.work(ticket, move |engine, caller, ticket| async move {
                let outcome = service::admit(&engine, &caller, &request).await;
                Done::Admitted { ticket, request: Box::new(request), block, outcome }
            }),
            _ => {
                let step = self.uploads.add(ticket.peer, &request, block, now);
                self.take_step(ticket, request, step, now);
            }
        }
    }

    fn take_step(&mut self, ticket: Ticket, mut request: Request, step: Result<Step, Reply>, now: Instant) {
        match step {
            Ok(Step::Continue(block)) => {
                let reply = Reply::empty(ResponseType::Continue).with(CoapOption::Block1, block.write());
                self.answer(&ticket, &reply, now);
            }
            Ok(Step::Complete(block, body)) => {
                request.payload = body.into();
                self.publish(ticket, request, Some(block));
            }
            Err(refusal) => self.answer(&ticket, &refusal, now),
        }
    }

    fn publish(&mut self, ticket: Ticket, request: Request, block: Option<Block>) {
        if request.payload.len() > self.limits.message_bytes {
            return self.answer(&ticket, &self.uploads.too_large(), Instant::now());
        }
        let stats = Arc::clone(&self.stats);
        self.work(ticket, move |engine, caller, ticket| async move {
            let outcome = service::publish(&engine, &caller, &request).await;
            if outcome.1.is_ok() {
                count(&stats.published);
            }
            Done::Answered { ticket, block, outcome }
        });
    }

    /// Works on a request in a task of its own, unless too many are being worked on. Strangers do not take the room of
    /// those who are known.
    fn work<F>(&mut self, ticket: Ticket, work: impl FnOnce(Engine, Caller, Ticket) -> F)
    where
        F: Future<Output = Done> + Send + 'static,
    {
        let peer = self.layer.peers.get(ticket.peer);
        let is_known = peer.is_some_and(|peer| peer.is_known);
        let places = if is_known { &self.places } else { &self.stranger_places };
        let place = Arc::clone(places).try_acquire_owned().ok();
        let Some(place) =
            place.filter(|_| peer.is_some_and(|peer| peer.under_way <= self.limits.requests_per_peer))
        else {
            count(&self.stats.overloaded);
            return self.answer(&ticket, &busy("too many requests, try again later"), Instant::now());
        };
        let is_proven = peer.is_some_and(|peer| peer.is_proven);
        let now = Instant::now();
        if !is_proven && self.failures.are_too_many(ticket.peer.ip(), now) {
            self.layer.ask_for_proof(ticket.peer, now);
            let refusal = Reply::text(ResponseType::TooManyRequests, "too many failed attempts, try again")
                .with_number(CoapOption::MaxAge, 1);
            return self.answer(&ticket, &refusal, now);
        }
        let identity = self.secured.get(&ticket.peer).map(|secured| secured.identity.clone());
        let caller = Caller { address: ticket.peer.ip(), identity };
        let done = work(self.engine.clone(), caller, ticket);
        let results = self.results.clone();
        tokio::spawn(async move {
            let done = done.await;
            // The endpoint may have ended meanwhile.
            let _ended = results.send(Event::Done(done)).await;
            drop(place);
        });
    }

    /// Notes what a request says of its peer.
    fn settle<T>(&mut self, ticket: &Ticket, outcome: &Outcome<T>) {
        match outcome {
            (true, _) => self.layer.make_known(ticket.peer),
            (false, Err(refusal)) if refusal.code == ResponseType::Unauthorized => {
                self.failures.note(ticket.peer.ip(), Instant::now());
            }
            (false, _) => {}
        }
    }

    fn begin(&mut self, ticket: &Ticket, request: &Request, reader: Reader, now: Instant) {
        if self.layer.peers.get(ticket.peer).is_none() {
            return;
        }
        if !self.observers.has_room(ticket.peer, &ticket.token) {
            return self.answer(ticket, &busy("too many observations, end some and try again"), now);
        }
        self.last_number += 1;
        let number = self.last_number;
        let reading = tokio::spawn(read(reader, ticket.peer, number, self.results.clone()));
        let begun = Beginning { peer: ticket.peer, token: ticket.token.clone(), number, reading };
        let reply = self.observers.begin(begun, request, &self.layer);
        self.answer(ticket, &reply, now);
        self.observers.start(ticket.peer, number, &mut self.layer, now);
    }

    fn answer(&mut self, ticket: &Ticket, reply: &Reply, now: Instant) {
        let [clients, servers] = &self.stats.refused;
        match u8::from(coap_lite::MessageClass::Response(reply.code)) >> 5 {
            4 => count(clients),
            5 => count(servers),
            _ => {}
        }
        self.layer.answer(ticket, reply, now);
    }

    /// A secured connection is open, and `identity` at its other end; `watch` runs for as long as it may be.
    pub(crate) fn connected(
        &mut self,
        peer: SocketAddr,
        identity: Identity,
        watch: JoinHandle<()>,
        now: Instant,
    ) {
        let (remembered, gone) = self.layer.peers.heard(peer, now, &self.limits);
        remembered.is_proven = true;
        self.layer.gone.extend(gone);
        self.layer.make_known(peer);
        self.secured.insert(peer, Secured { identity, watch });
        self.forget_gone();
    }

    /// A connection has ended: everything of the peer goes.
    pub(crate) fn forget(&mut self, peer: SocketAddr) {
        self.secured.remove(&peer);
        self.uploads.forget(peer);
        self.observers.forget(peer);
        self.layer.peers.forget(peer);
    }

    /// Whether a peer observes anything.
    pub(crate) fn observes(&self, peer: SocketAddr) -> bool {
        self.observers.has(peer)
    }

    /// The engine.
    pub(crate) const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Where results go in.
    pub(crate) fn results(&self) -> mpsc::Sender<Event> {
        self.results.clone()
    }

    fn forget_gone(&mut self) {
        for peer in std::mem::take(&mut self.layer.gone) {
            self.uploads.forget(peer);
            self.observers.forget(peer);
        }
    }
}

/// Carries messages from the engine to the endpoint's task.
async fn read(mut reader: Reader, peer: SocketAddr, number: u64, results: mpsc::Sender<Event>) {
    loop {
        // A copy: the payload shares the buffer that it was read into.
        let message = reader.next().await.map(|publish| Bytes::copy_from_slice(&publish.payload));
        let is_last = message.is_err();
        let done = Event::Done(Done::Message { peer, number, message });
        if results.send(done).await.is_err() || is_last {
            return;
        }
    }
}

/// What an observer is told at the end (RFC 7641 §3.2: an error ends the observation).
fn farewell(ended: Ended) -> Reply {
    match ended {
        Ended::Revoked => Reply::text(ResponseType::Forbidden, "forbidden"),
        Ended::Expired => Reply::text(ResponseType::Unauthorized, "unauthorized"),
        Ended::TooSlow | Ended::ShuttingDown | Ended::Unavailable => busy("observe again later"),
    }
}

fn busy(text: &str) -> Reply {
    Reply::text(ResponseType::ServiceUnavailable, text).with_number(CoapOption::MaxAge, 5)
}

fn is_health(topic: &str) -> bool {
    topic.starts_with("hc/")
}

fn core(request: &Request) -> Reply {
    if request.accept.is_some_and(|accept| accept != LINK_FORMAT) {
        return Reply::text(ResponseType::NotAcceptable, "this is application/link-format");
    }
    Reply::text(ResponseType::Content, CORE).with_number(CoapOption::ContentFormat, LINK_FORMAT)
}
