//! One connection, whatever carries its bytes.

use std::{convert::Infallible, pin::pin, sync::Arc};

use axum::body::Body;
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    Connection, ListenerOptions,
    activity::{Activity, Tracked, Verdict, Watched},
};
use crate::App;

/// Serves one connection to its end: the client closes it, it is idle or too slow, or `shutdown` comes and its requests
/// in flight are answered.
pub(super) async fn serve<IO>(
    io: IO,
    connection: Connection,
    app: App,
    options: ListenerOptions,
    shutdown: CancellationToken,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Activity::new();
    let io = TokioIo::new(Watched { io, activity: Arc::clone(&activity) });
    let service = service_fn(|request: Request<Incoming>| {
        let (app, in_flight) = (app.clone(), activity.begin());
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(connection);
            let answer = app.answer(request).await;
            Ok::<Response<Tracked>, Infallible>(answer.map(|body| Tracked { body, _in_flight: in_flight }))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // The watch below does what hyper's own timer would, and tells a slow head from an idle connection.
    builder.http1().header_read_timeout(None);
    let mut serving = pin!(builder.serve_connection_with_upgrades(io, service));

    let mut beat = interval(options.header_timeout / 2);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut closing = false;
    loop {
        tokio::select! {
            ended = serving.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(peer = %connection.peer, %error, "a connection ended early");
                }
                return;
            }
            () = shutdown.cancelled(), if !closing => {
                closing = true;
                serving.as_mut().graceful_shutdown();
            }
            _ = beat.tick() => match activity.verdict(&options) {
                Verdict::Fine => {}
                Verdict::SlowHead => {
                    tracing::debug!(peer = %connection.peer, "a client was too slow to send its request and is cut");
                    return;
                }
                // Asked to close a whole beat ago and still here: it does not read what we send.
                Verdict::Idle if closing => return,
                Verdict::Idle => {
                    closing = true;
                    serving.as_mut().graceful_shutdown();
                }
            },
        }
    }
}
