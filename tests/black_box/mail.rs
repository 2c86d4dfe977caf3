//! A user verifies an address and gets a new password by the links of mails, and no mail is lost.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use testkit::process::{Process, Stream};
use testkit::{Launch, Server, Storage, ports};

use crate::platform::{log_in, text};

const PASSWORD: &str = "a-long-password";

/// A mail server that others wrote.
struct Sink {
    process: Process,
    port: u16,
}

impl Sink {
    #[track_caller]
    fn start(port: u16) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut python = Command::new(root.join(".tools/venv/bin/python"));
        python.arg(root.join("tests/clients/python/mail_sink.py")).arg(port.to_string());
        let process = Process::start("mail_sink", &mut python);
        let port = process.wait_for(Stream::Out, "the mail server listens", |line| {
            line.strip_prefix("listening ")?.parse().ok()
        });
        Self { process, port }
    }

    /// The mail with this subject, as soon as it is there.
    #[track_caller]
    fn mail(&self, subject: &str) -> Value {
        self.process.wait_for(Stream::Out, subject, |line| {
            let mail: Value = serde_json::from_str(line).ok()?;
            (mail["subject"] == subject).then_some(mail)
        })
    }
}

fn launch(storage: Storage, smtp: u16) -> Launch {
    Launch::on(storage)
        .env("MG_EMAIL_HOST", "127.0.0.1")
        .env("MG_EMAIL_PORT", &smtp.to_string())
        .env("MG_EMAIL_FROM_ADDRESS", "platform@example.com")
        .env("MG_VERIFICATION_URL_PREFIX", "http://platform.example.com/verify-email")
        .env("MG_PASSWORD_RESET_URL_PREFIX", "http://ui.example.com/reset")
        .flag("--log-level", "debug")
}

#[track_caller]
fn register(server: &Server) {
    let user = json!({
        "first_name": "Ann", "last_name": "Example", "email": "ann@example.com",
        "credentials": {"username": "ann", "secret": PASSWORD},
    });
    let answer = server.request("POST", "/users").bearer(&log_in(server)).json(&user).send();
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[track_caller]
fn token(server: &Server, password: &str) -> String {
    let login = json!({"username": "ann", "password": password});
    let answer = server.request("POST", "/users/tokens/issue").json(&login).send();
    assert_eq!(answer.status, 201, "{answer:?}");
    text(&answer.json(), "access_token")
}

/// The link in both parts of a mail.
#[track_caller]
fn link(mail: &Value) -> String {
    let (plain, html) = (text(mail, "plain"), text(mail, "html"));
    let link = plain
        .lines()
        .find(|line| line.starts_with("http://"))
        .unwrap_or_else(|| panic!("no link in {plain}"));
    assert!(html.contains(&format!("href=\"{link}\"")), "{html}");
    link.to_owned()
}

#[test]
fn the_links_of_mails_verify_an_address_and_set_a_new_password() {
    for storage in Storage::ALL {
        let sink = Sink::start(0);
        let server = launch(storage, sink.port).start();
        register(&server);
        let ann = token(&server, PASSWORD);
        let answer = server.request("POST", "/users/send-verification").bearer(&ann).send();
        assert_eq!(answer.status, 200, "{answer:?}");
        let mail = sink.mail("Email Verification");
        assert_eq!(mail["to"], json!(["ann@example.com"]));
        let verification = link(&mail);
        let path = verification.strip_prefix("http://platform.example.com").unwrap().to_owned();
        let page = server.request("GET", &path).header("Accept", "text/html,*/*").send();
        assert_eq!((page.status, page.body.contains("is verified")), (200, true), "{page:?}");
        let again = server.request("GET", &path).send();
        assert_eq!(again.status, 422, "{again:?}");
        let profile = server.request("GET", "/users/profile").bearer(&ann).send().json();
        assert_ne!(profile["verified_at"], "0001-01-01T00:00:00Z");

        let request = json!({"email": "ann@example.com"});
        let answer = server.request("POST", "/password/reset-request").json(&request).send();
        assert_eq!(answer.status, 201, "{answer:?}");
        let reset = link(&sink.mail("Password Reset Request"));
        let recovery = reset.strip_prefix("http://ui.example.com/reset?token=").unwrap();
        let new = json!({"password": "another-password", "confirm_password": "another-password"});
        let answer = server.request("PUT", "/password/reset").bearer(recovery).json(&new).send();
        assert_eq!((answer.status, answer.body.trim()), (201, "{}"), "{answer:?}");
        assert_eq!(server.request("GET", "/users/profile").bearer(&ann).send().status, 401);
        token(&server, "another-password");
        let log = server.log();
        for secret in [recovery, path.split_once("token=").unwrap().1] {
            assert!(!log.contains(secret), "a token is in the log");
        }
    }
}

#[test]
fn a_mail_survives_a_mail_server_that_is_away_and_a_killed_platform() {
    for storage in Storage::ALL {
        let port = ports::free();
        let mut server = launch(storage, port).start();
        register(&server);
        let request = json!({"email": "ann@example.com"});
        let answer = server.request("POST", "/password/reset-request").json(&request).send();
        assert_eq!(answer.status, 201, "{answer:?}");
        server.kill9();
        let sink = Sink::start(port);
        server.restart();
        let reset = link(&sink.mail("Password Reset Request"));
        let recovery = reset.split_once("token=").unwrap().1;
        let new = json!({"password": "another-password", "confirm_password": "another-password"});
        let answer = server.request("PUT", "/password/reset").bearer(recovery).json(&new).send();
        assert_eq!(answer.status, 201, "{answer:?}");
    }
}
