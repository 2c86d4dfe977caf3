//! The message load: publishers at full speed, subscribers that check what arrives, and the server's CPU.
//!
//! All connections live on one thread, so that the generator never takes more than one core from the server.
//! A run warms up, measures until the server has used the wanted CPU time (or the time limit is reached),
//! stops the publishers and waits for the messages on their way. Two windows pace it: at QoS 0 a publisher
//! may be so many *deliveries* ahead of its subscribers, at QoS 1 so many *acknowledgements*; a server
//! that falls behind with deliveries at QoS 1 must slow its publishers down by itself, or hold the messages.
//!
//! Every message carries a [`Stamp`]; a subscriber counts a jump of the sequence as lost messages and
//! a step back as a duplicate, and fails the run when topic or payload are not the ones that were sent.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use hdrhistogram::Histogram;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::callers::{first_failure, latencies};
use crate::link::{Link, Reader};
use crate::meter::{Extent, Meter, Reading};
use crate::mqtt::{self, Batch, Incoming, Party, Stamp};
use crate::process::Process;
use crate::target::{Over, Server};

/// Bytes of each payload, as the budgets say.
pub(crate) const PAYLOAD: usize = 128;
/// One read of the generator.
const READ_BUFFER: usize = 64 * 1024;
/// A run counts from here on: connections, caches and the server's buffers have found their size.
const WARM_UP: Duration = Duration::from_millis(500);
/// A QoS 0 publisher that has been held up for so long takes the missing messages for lost.
const QOS0_PATIENCE: Duration = Duration::from_millis(500);

/// What to send where. As many publishers as subscribers make pairs with a topic each; otherwise all
/// publishers send to one topic that all subscribers receive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Publishing connections.
    pub(crate) publishers: usize,
    /// Subscribing connections.
    pub(crate) subscribers: usize,
    /// Of publishes and subscriptions: 0 or 1.
    pub(crate) qos: u8,
    /// Messages that each publisher may be ahead.
    pub(crate) window: u64,
    /// Messages in one write.
    pub(crate) batch: u64,
    /// How the connections are made.
    pub(crate) over: Over,
    /// The subscribers' sessions outlive their connections, so that what is for them is stored.
    pub(crate) durable: bool,
    /// Messages of all publishers in a second; `None`: as many as the window allows.
    pub(crate) pace: Option<u64>,
}

impl Shape {
    fn in_pairs(self) -> bool {
        self.publishers == self.subscribers
    }

    /// Deliveries that each publish causes.
    fn copies(self) -> u64 {
        if self.in_pairs() { 1 } else { self.subscribers as u64 }
    }

    /// The index of the topic that the publisher or subscriber number `index` uses.
    fn topic(self, index: usize) -> usize {
        if self.in_pairs() { index } else { 0 }
    }
}

/// What a run measured.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Messages that subscribers received while measuring.
    pub(crate) delivered: u64,
    /// Messages that never came, warm-up included.
    pub(crate) lost: u64,
    /// Messages that came more than once or late, warm-up included.
    pub(crate) duplicates: u64,
    /// The server's use, from the end of the warm-up to the last message.
    pub(crate) reading: Reading,
    latencies_us: Histogram<u64>,
}

impl Outcome {
    /// Messages delivered per second of wall time.
    pub(crate) fn per_second(&self) -> f64 {
        self.delivered as f64 / self.reading.wall.as_secs_f64()
    }

    /// The time from the moment a message was due to its arrival that this share of messages (0 to 1) kept, in ms.
    pub(crate) fn latency_ms(&self, share: f64) -> f64 {
        self.latencies_us.value_at_quantile(share) as f64 / 1e3
    }

    /// CPU time of the server for each message delivered, in µs; `None` when it cannot be observed.
    pub(crate) fn cpu_us_each(&self) -> Option<f64> {
        self.reading.cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / self.delivered.max(1) as f64)
    }
}

/// One publisher's account.
#[derive(Default)]
struct Flow {
    /// Deliveries that its publishes must cause.
    due: Cell<u64>,
    /// Deliveries seen.
    delivered: Cell<u64>,
    /// Deliveries given up (QoS 0 only).
    forgiven: Cell<u64>,
    /// Publishes written.
    sent: Cell<u64>,
    /// Publishes acknowledged (QoS 1 only).
    acknowledged: Cell<u64>,
    /// A delivery or an acknowledgement has come.
    moved: Notify,
}

struct Board {
    shape: Shape,
    flows: Vec<Flow>,
    duplicates: Cell<u64>,
    stop: Cell<bool>,
    begin: Instant,
    latencies_us: RefCell<Histogram<u64>>,
}

fn add(cell: &Cell<u64>, amount: u64) {
    cell.set(cell.get() + amount);
}

impl Board {
    fn total(&self, of: impl Fn(&Flow) -> &Cell<u64>) -> u64 {
        self.flows.iter().map(|flow| of(flow).get()).sum()
    }

    fn missing(&self) -> u64 {
        self.total(|flow| &flow.due).saturating_sub(self.total(|flow| &flow.delivered))
    }
}

/// Runs one load against `server`.
///
/// # Errors
/// When the server refuses or ends a connection, or delivers something that was not sent.
pub(crate) async fn run(shape: Shape, server: &Server, extent: Extent) -> Result<Outcome> {
    let board = Rc::new(Board {
        shape,
        flows: (0..shape.publishers).map(|_| Flow::default()).collect(),
        duplicates: Cell::new(0),
        stop: Cell::new(false),
        begin: Instant::now(),
        latencies_us: RefCell::new(latencies()?),
    });
    let door = server.door(shape.over)?;
    let mut tasks = JoinSet::new();
    for index in 0..shape.subscribers {
        let topic = server.topic(shape.topic(index));
        let party = Party { lasting: shape.durable, ..server.party(index)? };
        let mut link = Link::open(&door, &party, READ_BUFFER).await?;
        link.subscribe(&topic, shape.qos).await?;
        tasks.spawn_local(receive(Rc::clone(&board), link, topic));
    }
    for index in 0..shape.publishers {
        let topic = server.topic(shape.topic(index));
        let party = server.party(shape.subscribers + index)?;
        let link = Link::open(&door, &party, READ_BUFFER).await?;
        let batch = Batch::new(&topic, shape.qos, PAYLOAD, shape.batch)?;
        tasks.spawn_local(publish(Rc::clone(&board), index, link, batch));
    }
    tokio::select! {
        outcome = conduct(&board, server.process, extent) => outcome,
        error = first_failure(&mut tasks) => Err(error),
    }
}

async fn conduct(board: &Board, process: Option<Process>, extent: Extent) -> Result<Outcome> {
    sleep(WARM_UP).await;
    let delivered_before = board.total(|flow| &flow.delivered);
    board.latencies_us.borrow_mut().reset();
    let mut meter = Meter::start(process)?;
    meter.wait(extent).await?;
    board.stop.set(true);
    board.flows.iter().for_each(|flow| flow.moved.notify_one());
    drain(board, extent.wall).await;
    Ok(Outcome {
        delivered: board.total(|flow| &flow.delivered) - delivered_before,
        lost: board.missing(),
        duplicates: board.duplicates.get(),
        reading: meter.read()?,
        latencies_us: board.latencies_us.borrow().clone(),
    })
}

/// Waits for the messages on their way, for as long as some arrive.
async fn drain(board: &Board, limit: Duration) {
    const PATIENCE: Duration = Duration::from_secs(3);
    let (started, mut progress) = (Instant::now(), Instant::now());
    let mut missing = board.missing();
    while missing > 0 && progress.elapsed() < PATIENCE && started.elapsed() < limit {
        sleep(Duration::from_millis(5)).await;
        if board.missing() != missing {
            (missing, progress) = (board.missing(), Instant::now());
        }
    }
}

async fn publish(board: Rc<Board>, index: usize, link: Link, mut batch: Batch) -> Result<()> {
    let Link { reader, mut writer } = link;
    let flow = board.flows.get(index).context("a publisher without account")?;
    let sending = async {
        let mut pace = Pace::of(&board, index, batch.count());
        while wait_for_room(&board, flow, batch.count()).await {
            let due_us = pace.wait(&board).await;
            writer.write_all(batch.stamped(index as u64, flow.sent.get(), due_us)).await?;
            add(&flow.sent, batch.count());
            add(&flow.due, batch.count() * board.shape.copies());
        }
        anyhow::Ok(())
    };
    // The answers are read to the end of the run: the connection must stay open for the last of them.
    tokio::try_join!(sending, acknowledgements(flow, reader)).map(|_| ())
}

/// When the next write of a publisher is due.
struct Pace {
    next: Instant,
    between: Option<Duration>,
}

impl Pace {
    /// Publishers take turns, so that they do not all write at once.
    fn of(board: &Board, index: usize, batch: u64) -> Self {
        let publishers = board.shape.publishers as u64;
        let between = board
            .shape
            .pace
            .map(|pace| Duration::from_secs(1) * (batch * publishers) as u32 / pace.max(1) as u32);
        let turn = between.unwrap_or_default() / publishers.max(1) as u32;
        Self { next: Instant::now() + turn * index as u32, between }
    }

    /// Waits for the next write; when it is due, in µs since the beginning of the run.
    async fn wait(&mut self, board: &Board) -> u64 {
        let due = match self.between {
            // A write that comes late makes those behind it late, and that counts.
            Some(between) => {
                tokio::time::sleep_until(self.next.into()).await;
                let due = self.next;
                self.next += between;
                due
            }
            None => Instant::now(),
        };
        due.duration_since(board.begin).as_micros() as u64
    }
}

/// Waits until `count` more messages fit the window; false when the run is over.
async fn wait_for_room(board: &Board, flow: &Flow, count: u64) -> bool {
    let Shape { qos, window, .. } = board.shape;
    let copies = board.shape.copies();
    loop {
        if board.stop.get() {
            return false;
        }
        let ahead = match qos {
            0 => (flow.due.get() - flow.forgiven.get()).saturating_sub(flow.delivered.get()) / copies,
            _ => flow.sent.get() - flow.acknowledged.get(),
        };
        if ahead + count <= window {
            return true;
        }
        if timeout(QOS0_PATIENCE, flow.moved.notified()).await.is_err() && qos == 0 {
            add(&flow.forgiven, (flow.due.get() - flow.forgiven.get()).saturating_sub(flow.delivered.get()));
        }
    }
}

async fn acknowledgements(flow: &Flow, mut reader: Reader) -> Result<()> {
    loop {
        reader.fill().await?;
        while let Some(incoming) = reader.next()? {
            ensure!(incoming == Incoming::PubAck, "a publisher receives {incoming:?}");
            add(&flow.acknowledged, 1);
        }
        ensure!(flow.acknowledged.get() <= flow.sent.get(), "more PUBACKs than publishes");
        flow.moved.notify_one();
    }
}

async fn receive(board: Rc<Board>, link: Link, topic: String) -> Result<()> {
    let Link { mut reader, mut writer } = link;
    let mut expected = vec![0; board.flows.len()];
    let mut answers = Vec::new();
    loop {
        reader.fill().await?;
        let mut last = None;
        let now_us = board.begin.elapsed().as_micros() as u64;
        while let Some(incoming) = reader.next()? {
            let Incoming::Publish { topic: arrived, packet_id, payload } = incoming else {
                bail!("a subscriber receives {incoming:?}");
            };
            ensure!(arrived == topic.as_bytes() && payload.len() == PAYLOAD, "a message that nobody sent");
            let stamp = Stamp::decode(payload).context("a payload without stamp")?;
            let publisher = usize::try_from(stamp.publisher)?;
            let flow = board.flows.get(publisher).context("a message from nobody")?;
            let next = expected.get_mut(publisher).context("a message from nobody")?;
            if stamp.sequence >= *next {
                *next = stamp.sequence + 1;
                add(&flow.delivered, 1);
                board.latencies_us.borrow_mut().saturating_record(now_us.saturating_sub(stamp.due_us));
            } else {
                add(&board.duplicates, 1);
            }
            if let Some(id) = packet_id {
                mqtt::puback(id, &mut answers);
            }
            // Once per row of messages is enough: the publisher runs when this task waits again.
            if last.replace(publisher) != Some(publisher) {
                flow.moved.notify_one();
            }
        }
        if !answers.is_empty() {
            writer.write_all(&answers).await?;
            answers.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufStream};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::LocalSet;

    use super::*;

    const PAIR: Shape = Shape {
        publishers: 1,
        subscribers: 1,
        qos: 0,
        window: 64,
        batch: 8,
        over: Over::Tcp,
        durable: false,
        pace: None,
    };

    /// One packet: first byte and body; lengths in these tests take at most two bytes.
    async fn packet(from: &mut BufStream<TcpStream>) -> Result<(u8, Vec<u8>)> {
        let (first, mut length) = (from.read_u8().await?, usize::from(from.read_u8().await?));
        if length > 127 {
            length += usize::from(from.read_u8().await?) * 128 - 128;
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body).await?;
        Ok((first, body))
    }

    async fn greeted(listener: &TcpListener) -> Result<BufStream<TcpStream>> {
        let mut link = BufStream::new(listener.accept().await?.0);
        packet(&mut link).await?;
        link.write_all(&[0x20, 2, 0, 0]).await?;
        link.flush().await?;
        Ok(link)
    }

    /// A server for one pair that passes message number `n` on `copies(n)` times.
    async fn relay(listener: TcpListener, copies: fn(u64) -> u64) -> Result<()> {
        let mut subscriber = greeted(&listener).await?;
        packet(&mut subscriber).await?;
        subscriber.write_all(&[0x90, 3, 0, 1, 0]).await?;
        subscriber.flush().await?;
        let mut publisher = greeted(&listener).await?;
        for number in 0.. {
            let (first, body) = packet(&mut publisher).await?;
            let length = [(body.len() % 128) as u8 | 128, (body.len() / 128) as u8];
            for _ in 0..copies(number) {
                subscriber.write_all(&[&[first], &length[..], &body].concat()).await?;
            }
            subscriber.flush().await?;
        }
        Ok(())
    }

    fn run_against(copies: fn(u64) -> u64) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let server = Server::at(listener.local_addr().unwrap(), None);
            tokio::task::spawn_local(relay(listener, copies));
            let extent = Extent { cpu: Duration::MAX, wall: Duration::from_millis(200) };
            run(PAIR, &server, extent).await.unwrap()
        })
    }

    #[test]
    fn a_faithful_server_loses_and_repeats_nothing() {
        let outcome = run_against(|_| 1);
        assert!(outcome.delivered > 0, "{outcome:?}");
        assert_eq!((outcome.lost, outcome.duplicates), (0, 0));
    }

    #[test]
    fn a_message_that_never_comes_is_counted_as_lost() {
        let outcome = run_against(|number| u64::from(number != 100));
        assert_eq!((outcome.lost, outcome.duplicates), (1, 0));
    }

    #[test]
    fn a_message_that_comes_twice_is_counted_as_a_duplicate() {
        let outcome = run_against(|number| if number == 100 { 2 } else { 1 });
        assert_eq!((outcome.lost, outcome.duplicates), (0, 1));
    }
}
