//! DTLS with libcoap's clients, which stand on OpenSSL and on GnuTLS.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;

use coap_lite::RequestType;

use crate::device::{Device, request};
use crate::{Scene, soon};

const CLIENTS: [&str; 2] = ["coap-client-openssl", "coap-client-gnutls"];

/// A client that runs with a key; it ends with the test.
struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

impl Scene {
    /// A client's command line up to the path below the channel.
    fn client(&self, program: &str, name: &str, key: &str, more: &[&str], below: &str) -> Command {
        let mut command = Command::new(program);
        let uri = format!("coaps://{}/{}", self.address, self.path(below));
        command.args(["-u", name, "-k", key, "-B", "5"]).args(more).arg(uri);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end; what it has printed.
    async fn run(&self, program: &str, name: &str, key: &str, more: &[&str]) -> String {
        let mut command = self.client(program, name, key, more, "/a");
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clients_id_and_secret_are_the_key() {
    let scene = Scene::secured().await;
    let mut witness = scene.witness().await;
    let id = scene.gate.client.to_string();
    for program in CLIENTS {
        let said = scene.run(program, &id, "secret", &["-m", "post", "-e", program]).await;
        let message = soon("the message", witness.next()).await.unwrap();
        assert_eq!(message.payload, program, "{said}");
    }
    assert_eq!(scene.gate.succeeded(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_and_an_unknown_name_fail_alike_and_count_as_attempts() {
    let scene = Scene::secured().await;
    let id = scene.gate.client.to_string();
    for (name, key) in [(id.as_str(), "wrong"), ("somebody", "secret")] {
        scene.run(CLIENTS[0], name, key, &["-m", "post", "-e", "x"]).await;
    }
    assert_eq!((scene.gate.succeeded(), scene.stats.published.load(Relaxed)), (0, 0));
    assert_eq!(scene.stats.dtls_connections.load(Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_observer_over_dtls_gets_messages_until_its_client_gets_another_secret() {
    let scene = Scene::secured().await;
    let id = scene.gate.client.to_string();
    let mut command = scene.client(CLIENTS[0], &id, "secret", &["-s", "60", "-w"], "/a");
    let mut client = Client(command.spawn().unwrap());
    let observing = async {
        while scene.stats.observations.load(Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    };
    soon("the observation", observing).await;
    scene.publish("/a", b"hello").await;
    let mut lines = BufReader::new(client.0.stdout.take().unwrap()).lines();
    let line = tokio::task::spawn_blocking(move || {
        lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("hello")))
    });
    assert!(soon("the message", line).await.unwrap().is_some());

    scene.engine.revoke(messaging::Revocation::ClientSecret(scene.gate.client));
    let ended = async {
        while scene.stats.dtls_connections.load(Relaxed) + scene.stats.observations.load(Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
    };
    soon("the end of the connection", ended).await;
}

#[tokio::test]
async fn what_is_no_handshake_gets_no_answer_and_leaves_nothing() {
    let scene = Scene::secured().await;
    let device = Device::of(scene.address).await;
    device.send(&request(RequestType::Get, "health", "")).await;
    device.send_bytes(&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]).await;
    assert_eq!(scene.stats.peers.load(Relaxed), 0);
}
