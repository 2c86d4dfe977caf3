//! A running server, someone's token, and a domain of theirs to work in.

use serde_json::{Value, json};
use testkit::curl::{Request, Response};
use testkit::mosquitto::{Login, Version};
use testkit::{ADMIN, Launch, Server, Storage};

/// A server with a domain, `plant`, and the one who made it.
pub(crate) struct Platform {
    pub(crate) server: Server,
    /// The access token of the domain's owner.
    pub(crate) token: String,
    owner: Owner,
    /// The id of the domain.
    pub(crate) domain: String,
}

/// A client of the platform, as a device knows itself.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// Whose domain it is.
#[derive(Clone, Copy)]
struct Owner {
    username: &'static str,
    password: &'static str,
}

impl Platform {
    /// The domain belongs to the administrator, who may do everything.
    #[track_caller]
    pub(crate) fn start(storage: Storage) -> Self {
        Self::start_as(Launch::on(storage))
    }

    /// As [`Platform::start`], on a server that is started in this way.
    #[track_caller]
    pub(crate) fn start_as(launch: Launch) -> Self {
        Self::of(Owner { username: ADMIN.0, password: ADMIN.2 }, launch.start())
    }

    /// The domain belongs to an ordinary user, who may do only what relations allow.
    #[track_caller]
    pub(crate) fn start_for_a_user(storage: Storage) -> Self {
        Self::of_a_user(Server::start(storage))
    }

    /// The same on a server that runs already.
    #[track_caller]
    pub(crate) fn of_a_user(server: Server) -> Self {
        let owner = Owner { username: "owner", password: "a-long-password" };
        let user = json!({
            "first_name": "Olga", "last_name": "Owner", "email": "owner@example.com",
            "credentials": {"username": owner.username, "secret": owner.password},
        });
        let answer = server.request("POST", "/users").bearer(&log_in(&server)).json(&user).send();
        assert_eq!(answer.status, 201, "{answer:?}");
        Self::of(owner, server)
    }

    #[track_caller]
    fn of(owner: Owner, server: Server) -> Self {
        let token = token(&server, owner);
        let mut platform = Self { server, token, owner, domain: String::new() };
        let domain = platform.made("/domains", &json!({"name": "plant", "route": "plant"}));
        platform.domain = text(&domain, "id");
        platform
    }

    /// Starts the program again, after a kill, and logs in.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        self.server.restart();
        self.token = token(&self.server, self.owner);
    }

    /// A request with the owner's token. `{domain}` in the path stands for the domain's id.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        self.server.request(method, &path.replace("{domain}", &self.domain)).bearer(&self.token)
    }

    /// POSTs a JSON body.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Response {
        self.request("POST", path).json(body).send()
    }

    /// POSTs a JSON body that must be answered with 201 and JSON.
    #[track_caller]
    pub(crate) fn made(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body);
        assert_eq!(answer.status, 201, "POST {path} {body}: {answer:?}");
        answer.json()
    }

    /// GETs what must be there.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = self.request("GET", path).send();
        assert_eq!(answer.status, 200, "GET {path}: {answer:?}");
        answer.json()
    }

    /// Creates a client with a generated secret.
    #[track_caller]
    pub(crate) fn device(&self, name: &str) -> Device {
        let client = self.made("/{domain}/clients", &json!({ "name": name }));
        Device { id: text(&client, "id"), secret: text(&client["credentials"], "secret") }
    }

    /// Creates a channel and returns its id.
    #[track_caller]
    pub(crate) fn channel(&self, name: &str) -> String {
        text(&self.made("/{domain}/channels", &json!({ "name": name })), "id")
    }

    /// Connects a client to a channel with the given rights, out of `publish` and `subscribe`.
    #[track_caller]
    pub(crate) fn connect(&self, device: &Device, channel: &str, types: &[&str]) {
        let answer = self.post("/{domain}/channels/connect", &connection(device, channel, types));
        assert_eq!(answer.status, 201, "connect: {answer:?}");
    }

    /// Takes such rights back.
    #[track_caller]
    pub(crate) fn disconnect(&self, device: &Device, channel: &str, types: &[&str]) {
        let answer = self.post("/{domain}/channels/disconnect", &connection(device, channel, types));
        assert_eq!(answer.status, 204, "disconnect: {answer:?}");
    }

    /// A client that may publish to and subscribe on the channel.
    #[track_caller]
    pub(crate) fn connected_device(&self, name: &str, channel: &str) -> Device {
        let device = self.device(name);
        self.connect(&device, channel, &["publish", "subscribe"]);
        device
    }

    /// The topic of a channel of the domain; `subtopic` is empty or begins with a slash.
    pub(crate) fn topic(&self, channel: &str, subtopic: &str) -> String {
        format!("m/{}/c/{channel}{subtopic}", self.domain)
    }

    /// How Mosquitto's clients log in as that device.
    #[track_caller]
    pub(crate) fn login(&self, device: &Device, version: Version) -> Login {
        let broker = self.server.mqtt();
        Login { broker, version, username: device.id.clone(), password: device.secret.clone() }
    }

    /// Publishes over HTTP as that device.
    #[track_caller]
    pub(crate) fn publish(&self, device: &Device, topic: &str, payload: &str) -> Response {
        self.server
            .request("POST", &format!("/{topic}"))
            .header("Authorization", &format!("Client {}", device.secret))
            .header("Content-Type", "application/json")
            .body(payload)
            .send()
    }
}

/// The administrator's access token.
#[track_caller]
pub(crate) fn log_in(server: &Server) -> String {
    token(server, Owner { username: ADMIN.0, password: ADMIN.2 })
}

#[track_caller]
fn token(server: &Server, owner: Owner) -> String {
    let body = json!({"username": owner.username, "password": owner.password});
    let answer = server.request("POST", "/users/tokens/issue").json(&body).send();
    assert_eq!(answer.status, 201, "log in: {answer:?}");
    text(&answer.json(), "access_token")
}

/// A member that must be a text that is not empty.
#[track_caller]
pub(crate) fn text(value: &Value, member: &str) -> String {
    let text = value[member].as_str().filter(|text| !text.is_empty());
    text.unwrap_or_else(|| panic!("no `{member}` in {value}")).to_owned()
}

fn connection(device: &Device, channel: &str, types: &[&str]) -> Value {
    json!({"channel_ids": [channel], "client_ids": [device.id], "types": types})
}
