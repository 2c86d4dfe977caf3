//! What is to be said to one node, in order.
//!
//! Whoever says something does not wait: it is appended to what waits already, so that many small things travel as one
//! message of the link. What is said without anybody waiting for it to arrive has a bound; who does wait brings nothing
//! more meanwhile, which is a bound, too.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use bytes::BytesMut;
use cluster::{NodeId, Peers, Unsent};
use tokio::sync::{Notify, oneshot};

use super::frame::Frame;
use crate::lock::Lock;

/// Bytes of frames that go together, unless a single one is longer.
const TOGETHER: usize = 64 << 10;
/// Bytes that may wait before messages are dropped that may be.
const MOST: usize = 4 << 20;

/// The way to one node.
#[derive(Debug)]
pub(crate) struct Post {
    pub(super) node: NodeId,
    queue: Lock<Queue>,
    wake: Notify,
    /// The other node has said Hello: it is waited for.
    pub(super) greeted: AtomicBool,
    /// It has said Welcome: it waits for this one.
    pub(super) welcomed: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<Batch>,
    bytes: usize,
    closed: bool,
}

#[derive(Debug, Default)]
struct Batch {
    frames: BytesMut,
    waiting: Vec<oneshot::Sender<()>>,
}

/// Ends when the other node has done what it was told to, or is no more.
pub(crate) type Told = oneshot::Receiver<()>;

impl Post {
    pub(super) fn new(node: NodeId) -> Self {
        let (greeted, welcomed) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { node, queue: Lock::default(), wake: Notify::new(), greeted, welcomed }
    }

    /// Says something.
    pub(super) fn say(&self, frame: &Frame) {
        self.queue.lock().append(frame);
        self.wake.notify_one();
    }

    /// Says something that may be lost; `false`: it is.
    pub(super) fn say_perhaps(&self, frame: &Frame) -> bool {
        let mut queue = self.queue.lock();
        if queue.bytes >= MOST {
            return false;
        }
        queue.append(frame);
        drop(queue);
        self.wake.notify_one();
        true
    }

    /// To wait until the other node has done all that was said so far.
    pub(crate) fn told(&self) -> Told {
        let (done, told) = oneshot::channel();
        let mut queue = self.queue.lock();
        if !queue.closed {
            // What has left already is done before whatever comes behind it.
            if queue.batches.is_empty() {
                queue.batches.push_back(Batch::default());
            }
            if let Some(last) = queue.batches.back_mut() {
                last.waiting.push(done);
            }
            self.wake.notify_one();
        }
        told
    }

    /// Whether the other node takes part: one that has said nothing yet has nobody who could miss anything.
    pub(super) fn takes_part(&self) -> bool {
        self.greeted.load(SeqCst)
    }

    /// Whether the other node knows that this one takes part.
    pub(super) fn knows(&self) -> bool {
        self.greeted.load(SeqCst) && self.welcomed.load(SeqCst)
    }

    /// The node is no more: nobody waits for it any longer.
    pub(super) fn close(&self) {
        let closed = Queue { closed: true, ..Queue::default() };
        let waiting = std::mem::replace(&mut *self.queue.lock(), closed);
        drop(waiting);
        self.wake.notify_one();
    }

    fn next(&self) -> Option<Batch> {
        let mut queue = self.queue.lock();
        let batch = queue.batches.pop_front()?;
        queue.bytes -= batch.frames.len();
        Some(batch)
    }

    /// Sends what is said, until the node is no more.
    pub(super) async fn run(self: Arc<Self>, peers: Peers) {
        loop {
            let Some(batch) = self.next() else {
                if self.queue.lock().closed {
                    return;
                }
                self.wake.notified().await;
                continue;
            };
            let Batch { frames, waiting } = batch;
            match peers.send(self.node, frames.freeze()).await {
                Ok(sent) if waiting.is_empty() => drop(sent),
                Ok(sent) => {
                    tokio::spawn(async move {
                        // Either way nobody has to wait any longer.
                        let _gone = sent.processed().await;
                        for waiting in waiting {
                            let _heard = waiting.send(());
                        }
                    });
                }
                Err(Unsent::Gone) => self.close(),
                Err(error @ Unsent::TooLong) => {
                    tracing::error!(node = %self.node, %error, "something was not said to another node");
                }
            }
        }
    }
}

impl Queue {
    fn append(&mut self, frame: &Frame) {
        if self.closed {
            return;
        }
        if self.batches.back().is_none_or(|last| last.frames.len() >= TOGETHER) {
            self.batches.push_back(Batch::default());
        }
        if let Some(last) = self.batches.back_mut() {
            let before = last.frames.len();
            frame.append_to(&mut last.frames);
            self.bytes += last.frames.len() - before;
        }
    }
}
