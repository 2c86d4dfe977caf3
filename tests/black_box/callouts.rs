//! An endpoint of the operator's own is asked over TLS, each side by its certificate.

use std::process::Command;

use serde_json::json;
use testkit::process::{Process, Stream};
use testkit::{Launch, Storage};

use crate::authority::Authority;
use crate::platform::Platform;

/// Answers 200 to whoever shows a certificate of the authority, and prints who that was.
const ENDPOINT: &str = r#"
import http.server, ssl, sys
ca, cert, key = sys.argv[1:]

class Endpoint(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        subject = dict(pair[0] for pair in self.connection.getpeercert()["subject"])
        print("asked by", subject["commonName"], flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
context.load_verify_locations(ca)
context.verify_mode = ssl.CERT_REQUIRED

class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        pass

server = Server(("127.0.0.1", 0), Endpoint)
server.socket = context.wrap_socket(server.socket, server_side=True)
print("port", server.server_address[1], flush=True)
server.serve_forever()
"#;

/// The endpoint, and its address.
fn endpoint(authority: &Authority) -> (Process, String) {
    let mut python = Command::new("python3");
    python
        .args(["-c", ENDPOINT])
        .args(["ca.crt", "endpoint.crt", "endpoint.key"].map(|file| authority.path(file)));
    let process = Process::start("endpoint", &mut python);
    let port =
        process.wait_for(Stream::Out, "its port", |line| line.strip_prefix("port ").map(str::to_owned));
    (process, format!("https://127.0.0.1:{port}/check"))
}

#[test]
fn a_callout_shows_its_certificate_and_trusts_the_authority_that_was_named() {
    let (ours, other) = (Authority::new(), Authority::new());
    ours.sign("endpoint");
    ours.sign("platform");
    other.sign("stranger");
    let (endpoint, url) = endpoint(&ours);
    let create = |ca: &str, cert: String, key: String| {
        let launch = Launch::on(Storage::Sqlite)
            .env("TRUNKLINE_CLIENTS_CALLOUT_URLS", &url)
            .env("TRUNKLINE_CLIENTS_CALLOUT_OPERATIONS", "create_clients")
            .env("TRUNKLINE_CLIENTS_CALLOUT_CA_CERT", ca)
            .env("TRUNKLINE_CLIENTS_CALLOUT_CERT", &cert)
            .env("TRUNKLINE_CLIENTS_CALLOUT_KEY", &key);
        let platform = Platform::start_as(launch);
        platform.post("/{domain}/clients", &json!({"name": "boiler"})).status
    };
    let ca = ours.path("ca.crt");
    assert_eq!(create(&ca, ours.path("platform.crt"), ours.path("platform.key")), 201);
    endpoint.wait_for_line("asked by platform");
    assert_eq!(create(&ca, String::new(), String::new()), 503, "it shows no certificate");
    assert_eq!(create(&ca, other.path("stranger.crt"), other.path("stranger.key")), 503, "one of a stranger");
    let known = create(&other.path("ca.crt"), ours.path("platform.crt"), ours.path("platform.key"));
    assert_eq!(known, 503, "the endpoint's authority is not known");
    assert!(!endpoint.log().contains("asked by stranger"), "{}", endpoint.log());
}
