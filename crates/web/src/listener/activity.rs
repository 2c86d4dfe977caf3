//! What a connection is doing, seen from its bytes and its requests, so that it cannot be held open for nothing.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::ListenerOptions;

/// Shared by the stream (bytes came), the service (requests begin and end) and the watch (is it time to close).
///
/// A request marks with plain atomics and sets no timer; the watch looks on its own beat.
#[derive(Debug)]
pub(super) struct Activity {
    accepted: Instant,
    /// Requests that were begun and whose answers are not yet handed over.
    in_flight: AtomicU32,
    /// Whether we are inside the head of a request (or before the first one).
    in_head: AtomicBool,
    /// When the present wait began, in milliseconds after `accepted`.
    since: AtomicU64,
    /// HTTP/2 sends frames between requests, so that bytes do not mean that a request begins.
    is_http2: AtomicBool,
}

/// What the watch finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing to object to.
    Fine,
    /// No request for too long: ask it to close.
    Idle,
    /// The head of a request does not come to its end: cut it.
    SlowHead,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            accepted: Instant::now(),
            in_flight: AtomicU32::new(0),
            in_head: AtomicBool::new(true),
            since: AtomicU64::new(0),
            is_http2: AtomicBool::new(false),
        })
    }

    pub(super) fn verdict(&self, options: &ListenerOptions) -> Verdict {
        if self.in_flight.load(Relaxed) > 0 {
            return Verdict::Fine;
        }
        let waited = Duration::from_millis(self.now().saturating_sub(self.since.load(Relaxed)));
        if self.in_head.load(Relaxed) {
            if waited >= options.header_timeout { Verdict::SlowHead } else { Verdict::Fine }
        } else if waited >= options.idle_timeout {
            Verdict::Idle
        } else {
            Verdict::Fine
        }
    }

    /// A request begins; dropping the result ends it.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        self.in_head.store(false, Relaxed);
        InFlight(Arc::clone(self))
    }

    fn bytes_came(&self, bytes: &[u8]) {
        let waiting = self.in_flight.load(Relaxed) == 0 && !self.is_http2.load(Relaxed);
        if !waiting {
            return;
        }
        if bytes.starts_with(b"PRI") {
            self.is_http2.store(true, Relaxed);
            self.in_head.store(false, Relaxed);
        } else if !self.in_head.swap(true, Relaxed) {
            self.since.store(self.now(), Relaxed);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.accepted.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// One request that has begun and not ended.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.since.store(self.0.now(), Relaxed);
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// The body of an answer, which keeps its request in flight until it was handed over.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) body: Body,
    pub(super) _in_flight: InFlight,
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The stream of a connection, which notes when bytes come.
#[derive(Debug)]
pub(super) struct Watched<IO> {
    pub(super) io: IO,
    pub(super) activity: Arc<Activity>,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        let came = buf.filled().get(before..).unwrap_or_default();
        if !came.is_empty() {
            self.activity.bytes_came(came);
        }
        polled
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
