//! Brokers that must show a certificate at the port of the policy service, as curl and openssl see it.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};
use testkit::process::{Process, Stream};
use testkit::{Launch, Storage, TempDir};

use crate::platform::{Platform, text};
use crate::tls_modes::Files;

/// A launch whose port for brokers asks for a certificate of these files.
fn guarded(launch: Launch, files: &Files) -> Launch {
    launch
        .env("TRUNKLINE_POLICY_ADDRESS", "127.0.0.1:0")
        .env("TRUNKLINE_TLS_SERVER_CERT", &files.path("magistrala-server.crt"))
        .env("TRUNKLINE_TLS_SERVER_KEY", &files.path("magistrala-server.key"))
        .env("TRUNKLINE_POLICY_BROKER_CA_CERTS", &files.path("ca.crt"))
}

fn policy_of(process: &Process) -> SocketAddr {
    process.wait_for(Stream::Out, "the port for brokers", |line| {
        line.strip_prefix("listening policy ")?.parse().ok()
    })
}

/// What curl gets at the port, with a certificate and key or without.
fn ask(files: &Files, arguments: &[&str], shown: Option<(&str, &str)>) -> (bool, Vec<u8>) {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--cacert", &files.path("ca.crt")]).args(arguments);
    if let Some((certificate, key)) = shown {
        curl.args(["--cert", certificate, "--key", key]);
    }
    let output = curl.output().unwrap();
    (output.status.success(), output.stdout)
}

#[test]
fn the_service_alone_serves_brokers_with_a_certificate_and_nobody_else() {
    let (files, others) = (Files::make(), Files::make());
    let directory = TempDir::new().unwrap();
    let rules = directory.path().join("rules.json");
    fs::write(&rules, "{}").unwrap();
    let launch = Launch::command(&["policy"]).flag("--rules", rules.to_str().unwrap());
    let process = guarded(launch, &files).spawn();
    let address = policy_of(&process);

    assert!(files.shakes(address, Some("client")));
    assert!(!files.shakes(address, None), "without a certificate");
    let broker = (files.path("client.crt"), files.path("client.key"));
    let stranger = (others.path("client.crt"), others.path("client.key"));
    let url = format!("https://{address}/mqtt/user");
    let question = ["--data", r#"{"username":"x","password":"y"}"#, url.as_str()];
    let (answered, said) = ask(&files, &question, Some((&broker.0, &broker.1)));
    let said = String::from_utf8(said).unwrap();
    assert!(answered && said.contains("invalid credentials"), "{said}");
    for shown in [None, Some((stranger.0.as_str(), stranger.1.as_str()))] {
        let (answered, said) = ask(&files, &question, shown);
        assert!(!answered && said.is_empty(), "{shown:?}: {said:?}");
    }
    // Nothing is told to those who come without: not even whether the service is healthy.
    let health = format!("https://{address}/health");
    assert!(!files.gets(&health, None) && files.gets(&health, Some("client")));
    assert!(!files.gets(&format!("http://{address}/health"), Some("client")), "without TLS");

    // The plugin's gRPC backend, whose calls have five bytes before an empty message.
    let call = directory.path().join("call");
    fs::write(&call, [0; 5]).unwrap();
    let (body, url) = (format!("@{}", call.display()), format!("https://{address}/grpc.AuthService/GetName"));
    let call = ["--http2", "--header", "content-type: application/grpc", "--header", "te: trailers"];
    let call = [&call[..], &["--data-binary", &body, &url]].concat();
    let (_, said) = ask(&files, &call, Some((&broker.0, &broker.1)));
    assert!(String::from_utf8_lossy(&said).contains("trunkline"), "{said:?}");
    assert!(!ask(&files, &call, None).0);
}

#[test]
fn beside_the_platform_a_devices_certificate_makes_nobody_a_broker() {
    let files = Files::make();
    let launch = guarded(Launch::on(Storage::Sqlite), &files).env("TRUNKLINE_TLS_HTTPS", "127.0.0.1:0");
    let mut platform = Platform::start_as(launch.env("TRUNKLINE_TLS_MQTTS", "127.0.0.1:0"));
    let address = policy_of(platform.server.process());
    let device = platform.device("pump");
    let made = platform.made("/{domain}/certs", &json!({"client_id": device.id, "ttl": "24h"}));
    let directory = TempDir::new().unwrap();
    let file = |name: &str, pem: &str| {
        let path = directory.path().join(name);
        fs::write(&path, pem).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let chain: Vec<_> = made["ca_chain"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let certificate = file("device.crt", &format!("{}{}", text(&made, "certificate"), chain.concat()));
    let key = file("device.key", &text(&made, "key"));
    let question = |port: SocketAddr| format!("https://{port}/health");
    let shown = Some((certificate.as_str(), key.as_str()));
    assert!(ask(&files, &[&question(platform.server.https())], shown).0, "it is good elsewhere");
    assert!(!ask(&files, &[&question(address)], shown).0);
    assert!(files.gets(&question(address), Some("client")));
    // The front door asks nobody for a certificate because of the brokers.
    assert!(files.gets(&question(platform.server.https()), None));

    // Nor where the platform's own authority is taken for that of the brokers.
    let own = file("own.pem", chain.last().unwrap());
    let launch = platform.server.into_launch().env("TRUNKLINE_POLICY_BROKER_CA_CERTS", &own);
    let mut server = launch.start();
    let address = policy_of(server.process());
    assert!(!ask(&files, &[&question(address)], shown).0);
    let log = server.log();
    assert!(log.contains("a client has shown a certificate that is not for this port"), "{log}");
}

#[test]
fn certificates_of_brokers_need_one_of_the_server() {
    let files = Files::make();
    let launch = Launch::command(&["policy"]).env("TRUNKLINE_POLICY_BROKER_CA_CERTS", &files.path("ca.crt"));
    let (status, said) = launch.run();
    assert!(!status.success() && said.contains("needs `tls.server_cert` and `tls.server_key`"), "{said}");
}
