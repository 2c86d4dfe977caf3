//! Handshakes with rustls' own client, and certificates that openssl has made.

use std::{
    path::Path,
    process::Command,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::Duration,
};

use rustls::{
    ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::{TLS12, TLS13},
};
use testkit::wait_until_async;
use tokio::sync::watch;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::TcpListener,
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::{Bounds, Certificate, Clients, Pem, Revocations, Server, Tls};

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

fn openssl(dir: &Path, arguments: &str) -> String {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(dir).output();
    let output = output.expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An authority with what it has signed: `server` for localhost, `device` with a name and an identifier.
struct Authority(tempfile::TempDir);

impl Authority {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        openssl(
            dir.path(),
            &format!("req -x509 {KEY} -days 2 -keyout ca.key -out ca.crt -subj /CN=authority"),
        );
        let authority = Self(dir);
        authority.sign("server", "/CN=localhost", "DNS:localhost");
        authority.sign("device", "/CN=pump-7", "URI:urn:uuid:0191d1c5,DNS:pump.example");
        authority
    }

    fn sign(&self, name: &str, subject: &str, names: &str) {
        let dir = self.0.path();
        openssl(
            dir,
            &format!(
                "req {KEY} -keyout {name}.key -out {name}.csr -subj {subject} -addext subjectAltName={names}"
            ),
        );
        openssl(
            dir,
            &format!(
                "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -copy_extensions copy \
                 -out {name}.crt"
            ),
        );
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn tls(&self, clients: Option<Clients>) -> Tls {
        Tls {
            certificate: Pem::File(self.file("server.crt")),
            key: Pem::File(self.file("server.key")),
            client_authorities: clients.map(|_| Pem::File(self.file("ca.crt"))),
            clients: clients.unwrap_or(Clients::Optional),
        }
    }

    async fn server(&self, clients: Option<Clients>) -> Server {
        Server::load(self.tls(clients), &[], None, Bounds::default()).await.unwrap()
    }

    fn client(
        &self,
        shows: Option<&str>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.file("ca.crt")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        let config = match shows {
            None => builder.with_no_client_auth(),
            Some(name) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_file(self.file(&format!("{name}.crt"))).unwrap()],
                    PrivateKeyDer::from_pem_file(self.file(&format!("{name}.key"))).unwrap(),
                )
                .unwrap(),
        };
        TlsConnector::from(Arc::new(config))
    }
}

/// A whole handshake and one byte back. What the server saw; `None` where it refused.
async fn shake(
    server: &Server,
    client: &TlsConnector,
) -> Option<(Option<Arc<Certificate>>, ProtocolVersion)> {
    seen(server, client).await.map(|(certificate, version, _)| (certificate, version))
}

/// The same; whether the session was resumed.
async fn shaken(server: &Server, client: &TlsConnector) -> Option<(Option<Arc<Certificate>>, HandshakeKind)> {
    seen(server, client).await.map(|(certificate, _, kind)| (certificate, kind))
}

async fn seen(
    server: &Server,
    client: &TlsConnector,
) -> Option<(Option<Arc<Certificate>>, ProtocolVersion, HandshakeKind)> {
    let (ours, theirs) = duplex(64 * 1024);
    let connect = async {
        let mut stream = client.connect("localhost".try_into().unwrap(), ours).await.ok()?;
        stream.read_u8().await.ok()
    };
    let accept = async {
        let (mut stream, certificate) = server.accept(theirs).await.ok()?;
        stream.write_all(b"!").await.ok()?;
        stream.flush().await.ok()?;
        let connection = stream.get_ref().1;
        Some((certificate, connection.protocol_version()?, connection.handshake_kind()?))
    };
    let (heard, accepted) = tokio::join!(connect, accept);
    heard.and(accepted)
}

#[tokio::test]
async fn both_versions_are_spoken_and_a_client_shows_nothing_where_it_is_not_asked() {
    let authority = Authority::new();
    let server = authority.server(None).await;
    for (version, expected) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let (certificate, spoken) =
            shake(&server, &authority.client(Some("device"), &[version])).await.unwrap();
        assert_eq!((certificate, spoken), (None, expected));
    }
}

#[tokio::test]
async fn a_certificate_is_read_as_openssl_reads_it() {
    let authority = Authority::new();
    let server = authority.server(Some(Clients::Required)).await;
    let (certificate, _) = shake(&server, &authority.client(Some("device"), &[&TLS13])).await.unwrap();
    let certificate = certificate.unwrap();
    assert_eq!(certificate.common_name, "pump-7");
    assert_eq!(certificate.issuer, "authority");
    assert_eq!(certificate.names, ["urn:uuid:0191d1c5", "pump.example"]);
    let told = openssl(authority.0.path(), "x509 -in device.crt -noout -serial -fingerprint -sha256");
    let told: Vec<String> = told
        .lines()
        .map(|line| line.split_once('=').unwrap().1.replace(':', "").to_ascii_lowercase())
        .collect();
    assert_eq!([certificate.serial.clone(), certificate.fingerprint.clone()], told[..]);
    assert_eq!(certificate.key_fingerprint.len(), 64);
}

#[tokio::test]
async fn a_certificate_is_demanded_or_only_welcome_and_one_of_others_is_never_good() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (demanding, welcoming) =
        (authority.server(Some(Clients::Required)).await, authority.server(Some(Clients::Optional)).await);
    assert!(demanding.requires_certificates() && !welcoming.requires_certificates());
    std::fs::copy(stranger.file("device.crt"), authority.file("foreign.crt")).unwrap();
    std::fs::copy(stranger.file("device.key"), authority.file("foreign.key")).unwrap();
    for versions in [&[&TLS12], &[&TLS13]] {
        let nothing = authority.client(None, versions);
        assert!(shake(&demanding, &nothing).await.is_none());
        assert_eq!(shake(&welcoming, &nothing).await.unwrap().0, None);
        let foreign = authority.client(Some("foreign"), versions);
        assert!(shake(&demanding, &foreign).await.is_none());
        assert!(shake(&welcoming, &foreign).await.is_none());
    }
}

struct Switch(AtomicBool);

impl Revocations for Switch {
    fn is_revoked(&self, certificate: &Certificate) -> bool {
        certificate.common_name == "pump-7" && self.0.load(SeqCst)
    }
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_at_the_next_handshake_also_by_clients_that_remember_a_session() {
    let authority = Authority::new();
    let switch = Arc::new(Switch(AtomicBool::new(false)));
    let revocations = Some(Arc::clone(&switch) as Arc<dyn Revocations>);
    let tls = authority.tls(Some(Clients::Required));
    let server = Server::load(tls, &[], revocations, Bounds::default()).await.unwrap();
    for versions in [&[&TLS12], &[&TLS13]] {
        let client = authority.client(Some("device"), versions);
        switch.0.store(false, SeqCst);
        assert!(shake(&server, &client).await.is_some());
        switch.0.store(true, SeqCst);
        assert!(shake(&server, &client).await.is_none());
        switch.0.store(false, SeqCst);
        assert!(shake(&server, &client).await.is_some(), "it is not held up by what it remembers");
    }
}

#[tokio::test]
async fn a_session_is_resumed_with_its_certificate_and_not_when_its_authority_is_no_more() {
    let authority = Authority::new();
    let bounds = Bounds { reload: Duration::from_millis(10), ..Bounds::default() };
    for versions in [&[&TLS12], &[&TLS13]] {
        let tls = authority.tls(Some(Clients::Required));
        let server = Server::load(tls, &[], None, bounds).await.unwrap();
        let client = authority.client(Some("device"), versions);
        for resumed in [false, true, true] {
            let (certificate, kind) = shaken(&server, &client).await.unwrap();
            assert_eq!(kind == HandshakeKind::Resumed, resumed, "{versions:?}");
            assert_eq!(certificate.unwrap().common_name, "pump-7");
        }
        let other = Authority::new();
        let ours = std::fs::read(authority.file("ca.crt")).unwrap();
        std::fs::copy(other.file("ca.crt"), authority.file("ca.crt")).unwrap();
        let mut renewed = server.renewals();
        let stop = CancellationToken::new();
        let tending = tokio::spawn(server.clone().tend(stop.clone()));
        renewed.changed().await.unwrap();
        assert!(shaken(&server, &client).await.is_none(), "{versions:?}");
        stop.cancel();
        tending.await.unwrap();
        std::fs::write(authority.file("ca.crt"), ours).unwrap();
    }
}

#[tokio::test]
async fn what_is_not_good_is_named() {
    let authority = Authority::new();
    let load = |tls| async { Server::load(tls, &[], None, Bounds::default()).await.unwrap_err().to_string() };
    let good = authority.tls(Some(Clients::Required));
    let missing = Tls { key: Pem::File("/nowhere/x.key".into()), ..good.clone() };
    assert!(load(missing).await.starts_with("the PEM file `/nowhere/x.key` cannot be read"));
    let other = Tls { key: Pem::File(authority.file("device.key")), ..good.clone() };
    assert!(load(other).await.contains("do not belong together"));
    let empty = Tls { certificate: Pem::Text(String::new()), ..good.clone() };
    assert_eq!(load(empty).await, "the server's certificate: the PEM holds no certificate");
    let key = Tls { key: Pem::Text("secret".into()), ..good };
    assert_eq!(load(key.clone()).await, "the server's private key is not PEM of a private key");
    assert!(!format!("{key:?}").contains("secret"));
}

#[tokio::test]
async fn new_files_are_used_without_a_restart_and_bad_ones_are_not() {
    let authority = Authority::new();
    let bounds = Bounds { reload: Duration::from_millis(10), ..Bounds::default() };
    let server = Server::load(authority.tls(Some(Clients::Required)), &[], None, bounds).await.unwrap();
    let stop = CancellationToken::new();
    let tending = tokio::spawn(server.clone().tend(stop.clone()));
    let device = authority.client(Some("device"), &[&TLS13]);
    assert!(shake(&server, &device).await.is_some());

    std::fs::write(authority.file("server.key"), "nonsense").unwrap();
    assert!(shake(&server, &device).await.is_some());
    let renewed = Authority::new();
    for name in ["server.key", "server.crt", "ca.crt"] {
        std::fs::copy(renewed.file(name), authority.file(name)).unwrap();
    }
    let device = renewed.client(Some("device"), &[&TLS13]);
    wait_until_async("the new certificates", async || shake(&server, &device).await.is_some()).await;
    stop.cancel();
    tending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_end_is_cut_and_holds_no_others_up_for_longer() {
    let authority = Authority::new();
    let bounds = Bounds { at_once: 1, ..Bounds::default() };
    let server = Server::load(authority.tls(None), &[], None, bounds).await.unwrap();
    let (_silent, theirs): (DuplexStream, _) = duplex(64);
    let error = server.accept(theirs).await.err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert!(shake(&server, &authority.client(None, &[&TLS13])).await.is_some());
}

#[tokio::test]
async fn authorities_that_are_told_later_are_trusted_without_a_restart() {
    let (ours, first, second) = (Authority::new(), Authority::new(), Authority::new());
    let server = ours.server(None).await;
    for (name, by) in [("first", &first), ("second", &second)] {
        for ending in ["crt", "key"] {
            let from = by.file(&format!("device.{ending}"));
            std::fs::copy(from, ours.file(&format!("{name}.{ending}"))).unwrap();
        }
    }
    let device = |name| ours.client(Some(name), &[&TLS13]);
    let pem = |by: &Authority| std::fs::read_to_string(by.file("ca.crt")).unwrap();
    let tell = watch::Sender::new(Arc::from(pem(&first)));
    let following = server.follow(tell.subscribe(), CancellationToken::new()).unwrap();
    let following = tokio::spawn(following);
    assert!(shake(&server, &device("first")).await.is_some());
    assert!(shake(&server, &device("second")).await.is_none());
    tell.send_replace(Arc::from("nonsense"));
    tell.send_replace(Arc::from(format!("{}{}", pem(&first), pem(&second))));
    wait_until_async("the second", async || shake(&server, &device("second")).await.is_some()).await;
    assert!(shake(&server, &device("first")).await.is_some());
    drop(tell);
    following.await.unwrap();
}

#[tokio::test]
async fn openssl_is_a_client_too() {
    let authority = Authority::new();
    let server = authority.server(Some(Clients::Required)).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (mut stream, certificate) = server.accept(stream).await.unwrap();
        stream.write_all(b"hello from the server\n").await.unwrap();
        stream.shutdown().await.unwrap();
        certificate.unwrap().common_name.clone()
    });
    let dir = authority.0.path().to_owned();
    let output = tokio::task::spawn_blocking(move || {
        openssl(
            &dir,
            &format!(
                "s_client -connect {address} -servername localhost -verify_return_error -CAfile ca.crt \
                 -cert device.crt -key device.key -quiet -ign_eof"
            ),
        )
    });
    assert!(output.await.unwrap().contains("hello from the server"));
    assert_eq!(serving.await.unwrap(), "pump-7");
}
