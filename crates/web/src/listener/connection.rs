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
    ClientCertificate, Connection, ListenerOptions,
    activity::{Activity, Tracked, Verdict, Watched},
};
use crate::App;

/// The longest head of a request over HTTP/1, in bytes; above it 431. Many times what a token and its cookies need, and
/// what bounds the memory of a connection whose head never ends. Over HTTP/2 hyper's own bound is 16 KiB.
const MAX_HEAD: usize = 64 * 1024;

/// Serves one connection to its end: the client closes it, it is idle or too slow, or `shutdown` comes and its requests
/// in flight are answered.
pub(super) async fn serve<IO>(
    io: IO,
    connection: Connection,
    certificate: ClientCertificate,
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
        let certificate = certificate.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(connection);
            request.extensions_mut().insert(certificate);
            let answer = app.answer(request).await;
            Ok::<Response<Tracked>, Infallible>(answer.map(|body| Tracked { body, _in_flight: in_flight }))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // The watch below does what hyper's own timer would, and tells a slow head from an idle connection.
    builder.http1().header_read_timeout(None).max_buf_size(MAX_HEAD);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::Instant,
    };

    use super::*;
    use crate::AppInfo;

    fn open() -> DuplexStream {
        let (ours, theirs) = duplex(64 * 1024);
        let [version, commit, build_time, instance_id] = [const { String::new() }; 4];
        let app = App::new(Vec::new(), AppInfo { version, commit, build_time, instance_id });
        let options = ListenerOptions::default();
        let (connection, certificate) = (Connection::default(), ClientCertificate::default());
        tokio::spawn(serve(theirs, connection, certificate, app, options, CancellationToken::new()));
        ours
    }

    async fn ends_after(stream: &mut DuplexStream) -> (Duration, String) {
        let (start, mut text) = (Instant::now(), String::new());
        stream.read_to_string(&mut text).await.unwrap();
        (start.elapsed(), text)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_finish_its_head_is_cut() {
        for start in ["", "GET /health HTTP/1.1\r\nHos"] {
            let mut stream = open();
            stream.write_all(start.as_bytes()).await.unwrap();
            let (waited, answer) = ends_after(&mut stream).await;
            assert!((5..=8).contains(&waited.as_secs()), "{waited:?}");
            assert_eq!(answer, "");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_dribbles_its_head_is_cut_too() {
        let mut stream = open();
        let start = Instant::now();
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(start.elapsed().as_secs() <= 9, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_kept_for_a_minute() {
        let mut stream = open();
        let request = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = vec![0; 16 * 1024];
        let read = stream.read(&mut answer).await.unwrap();
        assert!(String::from_utf8_lossy(&answer[..read]).starts_with("HTTP/1.1 200 OK"));

        tokio::time::sleep(Duration::from_secs(50)).await;
        stream.write_all(request).await.unwrap();
        let (waited, again) = ends_after(&mut stream).await;
        assert!(again.starts_with("HTTP/1.1 200 OK"));
        assert!((60..=63).contains(&waited.as_secs()), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_request_must_finish_its_head_as_well() {
        let mut stream = open();
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 16 * 1024];
        assert!(stream.read(&mut answer).await.unwrap() > 0);
        stream.write_all(b"GET /he").await.unwrap();
        let (waited, _) = ends_after(&mut stream).await;
        assert!((5..=8).contains(&waited.as_secs()), "{waited:?}");
    }
}
