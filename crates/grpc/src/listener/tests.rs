use std::{path::Path, process::Command};

use testkit::wait_until_async;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::sync::DropGuard;
use tonic::{
    Code,
    transport::{Certificate, Channel, ClientTlsConfig, Identity},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use ::tls::{Clients, Pem};

use super::*;

/// An authority, and a certificate for `localhost` that it has signed, in files of a directory.
fn certificates(dir: &Path) {
    let run = |arguments: &str| {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(dir).output();
        let output = output.expect("openssl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    run(&format!("req -x509 {key} -days 2 -keyout ca.key -out ca.crt -subj /CN=authority"));
    run(&format!(
        "req {key} -keyout new.key -out new.csr -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    ));
    run(
        "x509 -req -in new.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -copy_extensions copy -out new.crt",
    );
    for ending in ["crt", "key"] {
        std::fs::rename(dir.join(format!("new.{ending}")), dir.join(format!("server.{ending}"))).unwrap();
    }
}

fn read(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join(name)).unwrap()
}

fn tls(dir: &Path, demanding: bool) -> Option<Tls> {
    let file = |name: &str| Pem::File(dir.join(name));
    Some(Tls {
        certificate: file("server.crt"),
        key: file("server.key"),
        client_authorities: demanding.then(|| file("ca.crt")),
        clients: Clients::Required,
    })
}

async fn serve(options: ListenerOptions) -> (SocketAddr, DropGuard) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), options).await.unwrap();
    let (address, shutdown) = (listener.local_addr(), CancellationToken::new());
    tokio::spawn(listener.serve_routes(Routes::default(), shutdown.clone()));
    (address, shutdown.drop_guard())
}

async fn is_served(channel: Channel, service: &str) -> Result<bool, Code> {
    let ask = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(channel).check(ask).await.map_err(|status| status.code())?;
    Ok(answer.into_inner().status == 1)
}

async fn plain(address: SocketAddr) -> Result<bool, Code> {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    is_served(channel, "auth").await
}

async fn encrypted(address: SocketAddr, trusts: &str, shows: Option<Identity>) -> bool {
    let mut config =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(trusts)).domain_name("localhost");
    if let Some(identity) = shows {
        config = config.identity(identity);
    }
    let endpoint = Channel::from_shared(format!("https://{address}")).unwrap().tls_config(config).unwrap();
    is_served(endpoint.connect_lazy(), "auth").await == Ok(true)
}

#[tokio::test]
async fn every_service_tells_its_health_and_another_is_not_found() {
    let (address, _serving) = serve(ListenerOptions::default()).await;
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    for name in HEALTH_NAMES {
        assert_eq!(is_served(channel.clone(), name).await, Ok(true), "{name}");
    }
    assert_eq!(is_served(channel, "other").await, Err(Code::NotFound));
}

#[tokio::test]
async fn other_machines_are_served_only_with_client_certificates_or_by_order() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let everywhere = "0.0.0.0:0".parse().unwrap();
    for tls in [None, tls(dir.path(), false)] {
        let options = ListenerOptions { tls, ..ListenerOptions::default() };
        let error = Listener::bind(everywhere, options).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("`grpc.client_ca_certs`"), "{error}");
    }
    let demanding = ListenerOptions { tls: tls(dir.path(), true), ..ListenerOptions::default() };
    let ordered = ListenerOptions { insecure: true, ..ListenerOptions::default() };
    for options in [demanding, ordered] {
        Listener::bind(everywhere, options).await.unwrap();
    }
}

#[tokio::test]
async fn bad_certificates_are_an_error_at_the_start() {
    let text = |text: &str| Pem::Text(text.to_owned());
    let missing = Pem::File("/nowhere/server.crt".into());
    for certificate in [text("nonsense"), missing] {
        let (key, clients) = (text("nonsense"), Clients::Required);
        let tls = Some(Tls { certificate, key, client_authorities: None, clients });
        let options = ListenerOptions { tls, ..ListenerOptions::default() };
        let error = Listener::bind("127.0.0.1:0".parse().unwrap(), options).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    }
}

#[tokio::test]
async fn without_a_certificate_of_the_right_authority_nobody_gets_in() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certificates(dir.path());
    certificates(other.path());
    let authority = read(dir.path(), "ca.crt");
    let identity = |dir: &Path| Some(Identity::from_pem(read(dir, "server.crt"), read(dir, "server.key")));

    let options = ListenerOptions { tls: tls(dir.path(), false), ..ListenerOptions::default() };
    let (address, _serving) = serve(options).await;
    assert!(encrypted(address, &authority, None).await);
    assert!(
        !encrypted(address, &read(other.path(), "ca.crt"), None).await,
        "a server that nobody vouches for"
    );
    assert!(plain(address).await.is_err());

    let options = ListenerOptions { tls: tls(dir.path(), true), ..ListenerOptions::default() };
    let (address, _demanding) = serve(options).await;
    assert!(encrypted(address, &authority, identity(dir.path())).await);
    assert!(!encrypted(address, &authority, None).await, "no certificate");
    assert!(!encrypted(address, &authority, identity(other.path())).await, "a stranger's certificate");
}

#[tokio::test]
async fn new_certificates_are_used_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let old = read(dir.path(), "ca.crt");
    let reload = Duration::from_millis(20);
    let options = ListenerOptions { tls: tls(dir.path(), false), reload, ..ListenerOptions::default() };
    let (address, _serving) = serve(options).await;
    assert!(encrypted(address, &old, None).await);
    certificates(dir.path());
    let new = read(dir.path(), "ca.crt");
    wait_until_async("the new certificate", async || encrypted(address, &new, None).await).await;
    assert!(!encrypted(address, &old, None).await);
}

#[tokio::test]
async fn who_says_nothing_or_nonsense_is_cut_and_others_are_served() {
    let handshake = Duration::from_millis(50);
    let options = ListenerOptions { handshake, max_connections: 1, ..ListenerOptions::default() };
    let (address, _serving) = serve(options).await;
    for words in ["", "GET / HTTP/1.1\r\n", "\u{0}garbage that goes on for longer than any preface does"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(words.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        // An end or a reset: either way it is over, and its slot is free again.
        let _ = stream.read_to_end(&mut rest).await;
    }
    assert_eq!(plain(address).await, Ok(true));
}

#[tokio::test]
async fn a_stop_closes_the_port_and_does_not_wait_for_silent_clients_for_ever() {
    let grace = Duration::from_millis(50);
    let listener = Listener::bind(
        "127.0.0.1:0".parse().unwrap(),
        ListenerOptions { grace, ..ListenerOptions::default() },
    );
    let (listener, shutdown) = (listener.await.unwrap(), CancellationToken::new());
    let address = listener.local_addr();
    let serving = tokio::spawn(listener.serve_routes(Routes::default(), shutdown.clone()));
    let _silent = TcpStream::connect(address).await.unwrap();
    assert_eq!(plain(address).await, Ok(true));
    shutdown.cancel();
    serving.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
