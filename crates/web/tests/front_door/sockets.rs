//! Over real sockets: HTTP/1 and HTTP/2, and an orderly end.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use web::{App, Listener, ListenerOptions, TrustedProxies};

use crate::sample::{Sample, app, info, routes};

async fn serve(app: App) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
    let options = ListenerOptions { service: "channels", ..ListenerOptions::default() };
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), options).await.unwrap();
    let (address, shutdown) = (listener.local_addr(), CancellationToken::new());
    let serving = tokio::spawn(listener.serve(app, shutdown.clone()));
    (address, shutdown, serving)
}

fn request(path: &str) -> Request<Empty<Bytes>> {
    Request::get(path).header("host", "localhost").body(Empty::new()).unwrap()
}

async fn text(response: http::Response<hyper::body::Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn one_connection_serves_many_requests_and_knows_its_peer_and_port() {
    let (address, shutdown, serving) = serve(app()).await;
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut client, connection) = http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..3 {
        let response = client.send_request(request("/whoami")).await.unwrap();
        assert!(response.headers().contains_key("x-request-id"));
        let body: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!((body["loopback"].as_bool(), body["service"].as_str()), (Some(true), Some("channels")));
    }
    let health = client.send_request(request("/health")).await.unwrap();
    assert!(text(health).await.contains("channels service"));
    shutdown.cancel();
    serving.await.unwrap();
}

#[tokio::test]
async fn http2_is_spoken_with_prior_knowledge() {
    let (address, shutdown, serving) = serve(app()).await;
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let uri = format!("http://{address}/health");
    let head = Request::head(&uri).body(Empty::<Bytes>::new()).unwrap();
    let response = client.send_request(head).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
    assert_eq!(text(response).await, "");
    shutdown.cancel();
    serving.await.unwrap();
}

#[tokio::test]
async fn who_sends_a_body_that_is_too_large_to_its_end_reads_the_refusal() {
    const BODY: usize = 12 << 20;
    let (address, shutdown, serving) = serve(app()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("POST /bytes HTTP/1.1\r\nhost: x\r\ncontent-length: {BODY}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; BODY]).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    drop(stream);
    shutdown.cancel();
    serving.await.unwrap();
}

#[tokio::test]
async fn shutdown_answers_what_is_in_flight_and_then_ends() {
    let sample = Sample::default();
    let app = App::new(vec![routes(sample.clone())], info());
    let (address, shutdown, serving) = serve(app).await;
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut client, connection) = http1::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut idle = TcpStream::connect(address).await.unwrap();

    let answer = tokio::spawn(async move { client.send_request(request("/slow")).await.unwrap().status() });
    sample.entered.notified().await;
    shutdown.cancel();
    sample.go.notify_one();

    assert_eq!(answer.await.unwrap(), 200);
    serving.await.unwrap();
    connection.await.unwrap().unwrap();
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0, "a connection without a request is closed");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_outlives_the_grace_period_is_cut() {
    let sample = Sample::default();
    let (address, shutdown, serving) = serve(App::new(vec![routes(sample.clone())], info())).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    sample.entered.notified().await;
    shutdown.cancel();
    serving.await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap_or_default();
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let (address, shutdown, serving) = serve(app()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"\x16\x03\x01 this is no request\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    shutdown.cancel();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_head_that_does_not_end_is_refused() {
    let (address, shutdown, serving) = serve(app()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("GET /health HTTP/1.1\r\nhost: x\r\ncookie: {}", "x".repeat(64 * 1024));
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
    shutdown.cancel();
    serving.await.unwrap();
}

/// What `/whoami` says to somebody who begins with `first`, on a port that believes `trusted`.
async fn whoami(trusted: &str, first: &[u8]) -> String {
    let proxy_protocol = TrustedProxies::new(vec![trusted.parse().unwrap()]);
    let options = ListenerOptions { proxy_protocol, ..ListenerOptions::default() };
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), options).await.unwrap();
    let (address, shutdown) = (listener.local_addr(), CancellationToken::new());
    let serving = tokio::spawn(listener.serve(app(), shutdown.clone()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(first).await.unwrap();
    stream.write_all(b"GET /whoami HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    // A connection that is cut may end with a reset.
    let _ended = stream.read_to_string(&mut answer).await;
    shutdown.cancel();
    serving.await.unwrap();
    answer
}

#[tokio::test]
async fn a_proxy_says_whom_it_connects_for_and_nobody_else_is_believed() {
    let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n";
    assert!(whoami("127.0.0.1", header).await.contains("\"loopback\":false"));
    assert!(whoami("127.0.0.1", b"PROXY UNKNOWN\r\n").await.contains("\"loopback\":true"));
    assert_eq!(whoami("127.0.0.1", b"").await, "", "a proxy must begin with a header");
    assert!(whoami("192.0.2.0/24", b"").await.contains("\"loopback\":true"));
    assert!(whoami("192.0.2.0/24", header).await.starts_with("HTTP/1.1 400"));
}
