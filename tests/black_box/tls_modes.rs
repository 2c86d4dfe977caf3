//! Certificates for development, and the three modes of security with them: one setting each, as openssl and curl see it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use testkit::{Launch, Storage, TempDir};

use crate::grpc;
use crate::platform::{Platform, text};

/// Files that `trunkline certs dev` has made.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn make() -> Self {
        let files = Self(TempDir::new().unwrap());
        files.add(&["certs", "dev", "all", "--client", "pump-7"]);
        files
    }

    #[track_caller]
    fn add(&self, command: &[&str]) -> String {
        let (status, said) = Launch::command(command).flag("--out", self.0.path().to_str().unwrap()).run();
        assert!(status.success(), "{said}");
        said
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Whether openssl makes a handshake, believes the server, and is believed.
    pub(crate) fn shakes(&self, server: SocketAddr, shown: Option<&str>) -> bool {
        let mut openssl = Command::new("openssl");
        // Of version 1.3 the refusal of a client comes only after the handshake.
        openssl.args([
            "s_client",
            "-tls1_2",
            "-alpn",
            "h2",
            "-verify_return_error",
            "-verify_ip",
            "127.0.0.1",
        ]);
        openssl.args(["-connect", &server.to_string(), "-CAfile", &self.path("ca.crt")]);
        if let Some(name) = shown {
            openssl.args(["-cert", &self.path(&format!("{name}.crt"))]);
            openssl.args(["-key", &self.path(&format!("{name}.key"))]);
        }
        ends_well(&mut openssl)
    }

    /// The same of curl.
    pub(crate) fn gets(&self, url: &str, shown: Option<&str>) -> bool {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--fail", "--cacert", &self.path("ca.crt"), url]);
        if let Some(name) = shown {
            curl.args(["--cert", &self.path(&format!("{name}.crt"))]);
            curl.args(["--key", &self.path(&format!("{name}.key"))]);
        }
        ends_well(&mut curl)
    }

    /// A launch in a mode, with the server's certificates, gRPC on, and clients of these files.
    fn launch(&self, mode: &str) -> Launch {
        let launch = grpc::launch(Storage::Sqlite).env("TRUNKLINE_TLS_MODE", mode);
        if mode == "none" {
            return launch;
        }
        let launch = launch
            .env("TRUNKLINE_TLS_SERVER_CERT", &self.path("magistrala-server.crt"))
            .env("TRUNKLINE_TLS_SERVER_KEY", &self.path("magistrala-server.key"))
            .env("TRUNKLINE_TLS_CLIENT_CA_CERTS", &self.path("ca.crt"))
            .env("TRUNKLINE_TLS_HTTPS", "127.0.0.1:0")
            .env("TRUNKLINE_TLS_MQTTS", "127.0.0.1:0")
            .env("TRUNKLINE_TLS_CLIENT_CERTS", "optional");
        if mode == "tls" {
            return launch;
        }
        launch
            .env("TRUNKLINE_GRPC_SERVER_CERT", &self.path("auth-grpc-server.crt"))
            .env("TRUNKLINE_GRPC_SERVER_KEY", &self.path("auth-grpc-server.key"))
            .env("TRUNKLINE_GRPC_CLIENT_CA_CERTS", &self.path("ca.crt"))
    }
}

fn ends_well(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap().success()
}

#[test]
fn certificates_for_development_are_what_openssl_takes_and_the_authority_is_kept() {
    let files = Files::make();
    let before = fs::read_to_string(files.path("ca.crt")).unwrap();
    files.add(&["certs", "dev", "client_cert", "--client", "pump-8"]);
    assert_eq!(fs::read_to_string(files.path("ca.crt")).unwrap(), before);
    let services = ["auth", "users", "domains", "groups", "clients", "channels"];
    let servers = services.iter().map(|service| (format!("{service}-grpc-server"), "sslserver"));
    let clients = services.iter().map(|service| (format!("{service}-grpc-client"), "sslclient"));
    let others = [("magistrala-server", "sslserver"), ("coap-server", "sslserver"), ("client", "sslclient")];
    for (name, purpose) in
        servers.chain(clients).chain(others.map(|(name, purpose)| (name.to_owned(), purpose)))
    {
        let mut openssl = Command::new("openssl");
        openssl.args(["verify", "-x509_strict", "-purpose", purpose, "-CAfile", &files.path("ca.crt")]);
        assert!(ends_well(openssl.arg(files.path(&format!("{name}.crt")))), "{name}");
        let key = fs::metadata(files.path(&format!("{name}.key"))).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777, 0o600, "{name}");
    }
    fs::remove_file(files.path("ca.key")).unwrap();
    let out = files.path("");
    let (status, said) = Launch::command(&["certs", "dev"]).flag("--out", &out).run();
    assert!(!status.success() && said.contains("only one is there"), "{said}");
}

#[test]
fn the_targets_of_others_makefile_make_the_same_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let directory = TempDir::new().unwrap();
    for target in ["server_cert", "auth_grpc_certs", "clients_grpc_certs", "all"] {
        let mut make = Command::new("make");
        make.args(["-C", "docker/ssl", target]).current_dir(&root);
        make.arg(format!("TRUNKLINE={}", testkit::program().display()));
        make.arg(format!("CRT_LOCATION={}", directory.path().display()));
        assert!(ends_well(&mut make), "{target}");
    }
    for name in ["ca", "magistrala-server", "auth-grpc-client", "clients-grpc-server", "coap-server"] {
        assert!(directory.path().join(format!("{name}.crt")).exists(), "{name}");
    }
}

#[test]
fn without_tls_nothing_is_encrypted() {
    let files = Files::make();
    let server = files.launch("none").start();
    assert!(files.gets(&format!("http://{}/health", server.http()), None));
    for port in [server.http(), server.mqtt(), server.grpc()] {
        assert!(!files.shakes(port, None), "{port}");
    }
}

#[test]
fn with_tls_outside_everything_but_grpc_is_encrypted() {
    let files = Files::make();
    let server = files.launch("tls").start();
    for port in [server.http(), server.https()] {
        assert!(files.gets(&format!("https://{port}/health"), None), "{port}");
        assert!(!files.gets(&format!("http://{port}/health"), None), "{port}");
    }
    for port in [server.http(), server.https(), server.mqtts()] {
        assert!(files.shakes(port, None), "{port}");
    }
    assert!(!files.shakes(server.grpc(), None), "gRPC is not encrypted");
    for kind in ["listening mqtt ", "listening coap "] {
        assert!(!server.log().contains(kind), "{kind}");
    }
}

#[test]
fn with_mtls_everywhere_nobody_is_served_without_a_certificate() {
    let files = Files::make();
    let server = files.launch("mtls").start();
    for port in [server.http(), server.https()] {
        let url = format!("https://{port}/health");
        assert!(!files.gets(&url, None) && files.gets(&url, Some("client")), "{port}");
        assert!(!files.gets(&format!("http://{port}/health"), None), "{port}");
    }
    for port in [server.http(), server.https(), server.mqtts()] {
        assert!(!files.shakes(port, None) && files.shakes(port, Some("client")), "{port}");
    }
    assert!(!files.shakes(server.grpc(), None) && files.shakes(server.grpc(), Some("auth-grpc-client")));
}

#[test]
fn with_mtls_everywhere_the_platforms_own_authority_is_enough() {
    let files = Files::make();
    let platform = Platform::start(Storage::Sqlite);
    let channel = platform.channel("boiler");
    let device = platform.connected_device("device", &channel);
    let made = platform.made("/{domain}/certs", &json!({"client_id": device.id, "ttl": "1h"}));
    let chain = made["ca_chain"].as_array().unwrap()[0].as_str().unwrap();
    fs::write(files.path("own.crt"), format!("{}{chain}", text(&made, "certificate"))).unwrap();
    fs::write(files.path("own.key"), text(&made, "key")).unwrap();
    let server = platform
        .server
        .into_launch()
        .env("TRUNKLINE_TLS_MODE", "mtls")
        .env("TRUNKLINE_TLS_SERVER_CERT", &files.path("magistrala-server.crt"))
        .env("TRUNKLINE_TLS_SERVER_KEY", &files.path("magistrala-server.key"))
        .env("TRUNKLINE_TLS_HTTPS", "127.0.0.1:0")
        .env("TRUNKLINE_TLS_MQTTS", "127.0.0.1:0")
        .start();
    for port in [server.http(), server.https(), server.mqtts()] {
        assert!(!files.shakes(port, None) && files.shakes(port, Some("own")), "{port}");
        assert!(
            !files.shakes(port, Some("client")),
            "one of the operator's authority, which nobody has named"
        );
    }
    let url = format!("https://{}/health", server.https());
    assert!(!files.gets(&url, None) && files.gets(&url, Some("own")));
}

#[test]
fn a_mode_that_others_settings_contradict_is_refused_with_what_to_do() {
    let files = Files::make();
    let check = |variables: &[(&str, &str)]| {
        let launch = Launch::command(&["config", "check"]);
        let (status, said) =
            variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value)).run();
        assert!(!status.success(), "{said}");
        said
    };
    let said = check(&[("TRUNKLINE_TLS_MODE", "mtls")]);
    assert!(said.contains("needs `tls.server_cert` and `tls.server_key`"), "{said}");
    let (cert, key) = (files.path("magistrala-server.crt"), files.path("magistrala-server.key"));
    let pair = [("TRUNKLINE_TLS_SERVER_CERT", cert.as_str()), ("TRUNKLINE_TLS_SERVER_KEY", key.as_str())];
    let said = check(&[&pair[..], &[("TRUNKLINE_TLS_MODE", "none")]].concat());
    assert!(said.contains("`none` uses no certificate"), "{said}");
    let said =
        check(&[&pair[..], &[("TRUNKLINE_TLS_MODE", "mtls"), ("TRUNKLINE_GRPC_ENABLED", "true")]].concat());
    assert!(said.contains("`grpc.client_ca_certs` where gRPC is on"), "{said}");
}
