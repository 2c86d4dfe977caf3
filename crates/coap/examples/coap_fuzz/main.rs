//! Throws damaged datagrams at the CoAP endpoint for as long as it is told, and stops at the first thing that must not be.
//!
//! `cargo run --release -p trunkline-coap --example coap_fuzz -- [SECONDS] [SEED]` (60 seconds; the seed is printed)
//!
//! It begins with datagrams of every kind, right and wrong credentials among them, and changes them: bits, bytes, lengths,
//! pieces of others. Some of what the endpoint answers goes back to it too, as acknowledgements and resets do. Three peers
//! send: one that the endpoint knows, one that it does not, and a witness that sends nothing but good requests. What must
//! hold:
//!
//! - the witness is answered, so nothing has stopped;
//! - what the endpoint sends is CoAP, and repeats no secret;
//! - who is not known gets no more than three times what it has sent;
//! - what is remembered of peers stays within its bounds.

#![expect(clippy::print_stdout, reason = "a program that prints what it has found")]

mod corpus;
mod open;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use std::{env, io};

use coap::{Limits, Listener, Stats};
use coap_lite::{MessageClass, Packet};
use kernel::Clock;
use messaging::Engine;
use tokio_util::sync::CancellationToken;

use corpus::{Corpus, Dice};
use open::{Open, SECRET};

type Outcome<T> = Result<T, String>;

/// Datagrams between two questions of the witness.
const BURST: u64 = 256;
/// How often the witness asks before the endpoint counts as dead, and how long it waits each time.
const TRIES: usize = 20;
const PATIENCE: Duration = Duration::from_millis(500);

fn main() -> Outcome<()> {
    let mut arguments = env::args().skip(1);
    let seconds = number(arguments.next(), 60)?;
    let seed = number(arguments.next(), u64::from(std::process::id()))?;
    println!("seed {seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let stats = Arc::<Stats>::default();
    let server = runtime.block_on(serve(Arc::clone(&stats)))?;
    let mut fuzz = Fuzz::new(server, stats, seed).map_err(|error| error.to_string())?;
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        fuzz.burst()?;
    }
    fuzz.report();
    Ok(())
}

fn number(given: Option<String>, default: u64) -> Outcome<u64> {
    given.map_or(Ok(default), |text| text.parse().map_err(|_| format!("`{text}` is not a number")))
}

/// Starts an endpoint.
async fn serve(stats: Arc<Stats>) -> Outcome<SocketAddr> {
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(here).await.map_err(|error| error.to_string())?;
    let address = listener.local_addr();
    let engine = Engine::new(Arc::new(Open), Clock::system(), messaging::Limits::default());
    tokio::spawn(listener.serve(engine, limits(), stats, CancellationToken::new()));
    Ok(address)
}

/// Small enough to be reached.
fn limits() -> Limits {
    Limits { peers: 64, observations: 64, observations_per_peer: 8, ..Limits::default() }
}

/// A peer that sends damaged datagrams.
struct Attacker {
    socket: UdpSocket,
    /// Whether it may show credentials that hold.
    is_known: bool,
    sent: u64,
    received: u64,
}

struct Fuzz {
    dice: Dice,
    corpus: Corpus,
    attackers: [Attacker; 2],
    witness: UdpSocket,
    last_id: u16,
    stats: Arc<Stats>,
    steps: u64,
    codes: BTreeMap<String, u64>,
}

impl Fuzz {
    fn new(server: SocketAddr, stats: Arc<Stats>, seed: u64) -> io::Result<Self> {
        // Failures are counted by address, so each has one of its own.
        let open = |address| -> io::Result<UdpSocket> {
            let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, address), 0))?;
            socket.connect(server)?;
            Ok(socket)
        };
        let attacker = |address, is_known| -> io::Result<Attacker> {
            let socket = open(address)?;
            socket.set_nonblocking(true)?;
            Ok(Attacker { socket, is_known, sent: 0, received: 0 })
        };
        let witness = open(4)?;
        witness.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            dice: Dice::new(seed),
            corpus: Corpus::new(),
            attackers: [attacker(2, true)?, attacker(3, false)?],
            witness,
            last_id: 0,
            stats,
            steps: 0,
            codes: BTreeMap::new(),
        })
    }

    /// Sends a row of damaged datagrams and looks at what has come of it.
    fn burst(&mut self) -> Outcome<()> {
        for _ in 0..BURST {
            self.steps += 1;
            let attacker = self.dice.below(self.attackers.len());
            let Some(attacker) = self.attackers.get_mut(attacker) else { continue };
            let datagram = self.corpus.damaged(&mut self.dice, attacker.is_known);
            // A full buffer of the socket is a datagram that was lost.
            if attacker.socket.send(&datagram).is_ok() {
                attacker.sent += datagram.len() as u64;
            }
        }
        for attacker in &mut self.attackers {
            let mut buffer = [0; 65_536];
            while let Ok(length) = attacker.socket.recv(&mut buffer) {
                let answer = buffer.get(..length).unwrap_or_default();
                attacker.received += length as u64;
                let code = judge(answer)?;
                *self.codes.entry(code).or_default() += 1;
                if let [0x40, 0, high, low] = *answer
                    && attacker.is_known
                {
                    // It shows that it is there, so that its next attempts count.
                    let _lost_or_not = attacker.socket.send(&[0x70, 0, high, low]);
                }
                self.corpus.answered(&mut self.dice, answer);
            }
            if !attacker.is_known && attacker.received > 3 * attacker.sent {
                return Err(format!("a stranger sent {} bytes and got {}", attacker.sent, attacker.received));
            }
        }
        self.is_answered()?;
        let bounds = limits();
        for (what, gauge, most) in [
            ("peers", &self.stats.peers, bounds.peers),
            ("observations", &self.stats.observations, bounds.observations),
        ] {
            let now = gauge.load(Relaxed);
            if now > most as u64 {
                return Err(format!("{now} {what}, more than {most}"));
            }
        }
        Ok(())
    }

    /// The witness publishes a message and is told that it has been accepted.
    fn is_answered(&mut self) -> Outcome<()> {
        self.last_id = self.last_id.wrapping_add(1);
        let mut request = corpus::publish(self.last_id, SECRET, b"witness");
        let (mut buffer, mut last) = ([0; 2_048], String::new());
        for _ in 0..TRIES {
            self.witness.send(&request).map_err(|error| error.to_string())?;
            while let Ok(length) = self.witness.recv(&mut buffer) {
                let answer = buffer.get(..length).unwrap_or_default();
                if let [0x40, 0, high, low] = *answer {
                    // So many attempts from this address have failed that who is behind it must show that it is there.
                    self.witness.send(&[0x70, 0, high, low]).map_err(|error| error.to_string())?;
                    continue;
                }
                let answer = Packet::from_bytes(answer);
                let answer = answer.map_err(|error| format!("the witness got no CoAP: {error}"))?;
                if answer.header.message_id == self.last_id && answer.header.code.to_string() == "2.01" {
                    return Ok(());
                }
                last = answer.header.code.to_string();
            }
            self.last_id = self.last_id.wrapping_add(1);
            request = corpus::publish(self.last_id, SECRET, b"witness");
        }
        Err(format!("the witness is not answered any more; the last that it got was `{last}`"))
    }

    fn report(&self) {
        println!("{} datagrams; answers by code:", self.steps);
        for (code, count) in &self.codes {
            println!("  {code} {count}");
        }
        println!("{:?}", self.stats);
    }
}

/// What the endpoint sends must be CoAP, and none of ours to repeat. The code.
fn judge(answer: &[u8]) -> Outcome<String> {
    let wrong = |what: &str| format!("{what}: {answer:02x?}");
    let packet = Packet::from_bytes(answer).map_err(|error| wrong(&error.to_string()))?;
    if let MessageClass::Request(_) | MessageClass::Reserved(_) = packet.header.code {
        return Err(wrong("the endpoint sends no requests"));
    }
    if answer.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()) {
        return Err(wrong("an answer with a secret in it"));
    }
    Ok(packet.header.code.to_string())
}
