//! Programs that others wrote speak to the gRPC services: in plain, by TLS, and by certificates of their own; and nobody does
//! until an operator says so.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use testkit::process::{Process, Stream};
use testkit::{Launch, Storage, wait_until};

use crate::authority::Authority;
use crate::platform::{Platform, text};

/// grpcio for Python, connected to a server.
pub(crate) struct Remote {
    process: Process,
    asked: u64,
}

impl Remote {
    /// `options` as `python/grpc_client.py` describes them.
    #[track_caller]
    pub(crate) fn of(server: SocketAddr, options: &[String]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut python = Command::new(root.join(".tools/venv/bin/python"));
        python.arg(root.join("tests/clients/python/grpc_client.py")).arg(server.to_string()).args(options);
        Self { process: Process::start_with_input("grpc_client", &mut python), asked: 0 }
    }

    /// The answer, or the code and the message of the refusal.
    #[track_caller]
    fn ask(&mut self, line: &str) -> Result<Value, (String, String)> {
        let number = self.asked;
        self.asked += 1;
        self.process.say(line);
        let said = self.process.wait_for(Stream::Out, line, |said| {
            let said: Value = serde_json::from_str(said).ok()?;
            (said["number"] == number).then_some(said)
        });
        if said["code"] == "OK" {
            return Ok(said["answer"].clone());
        }
        Err((text(&said, "code"), said["message"].as_str().unwrap_or_default().to_owned()))
    }

    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, request: &Value) -> Value {
        self.ask(&format!("{method} {request}")).unwrap_or_else(|refused| panic!("{method}: {refused:?}"))
    }

    #[track_caller]
    pub(crate) fn refused(&mut self, line: &str) -> String {
        self.ask(line).unwrap_err().0
    }
}

/// A launch that serves gRPC on a free port, and on no other.
pub(crate) fn launch(storage: Storage) -> Launch {
    Launch::on(storage).env("TRUNKLINE_GRPC_ENABLED", "true").env("TRUNKLINE_GRPC_ADDRESS", "127.0.0.1:0")
}

const SERVICES: [&str; 9] = [
    "absmach.certs.CertsService",
    "auth.v1.AuthService",
    "certs.ClientService",
    "channels.v1.ChannelsService",
    "clients.v1.ClientsService",
    "domains.v1.DomainsService",
    "groups.v1.GroupsService",
    "token.v1.TokenService",
    "users.v1.UsersService",
];

#[test]
fn no_port_is_open_until_somebody_says_so_and_the_log_tells_how() {
    let launch = Launch::on(Storage::Sqlite)
        .env("TRUNKLINE_GRPC_ADDRESS", "127.0.0.1:0")
        .env("MG_AUTH_GRPC_PORT", "7001")
        .env("MG_CLIENTS_GRPC_PORT", "7006");
    let server = launch.start();
    let log = server.log();
    assert!(!log.contains("listening grpc"), "{log}");
    let told: Vec<_> = log.lines().filter(|line| line.contains("TRUNKLINE_GRPC_ENABLED=true")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains("gRPC is off"), "{log}");
}

#[test]
fn other_machines_are_not_served_without_certificates() {
    let launch = launch(Storage::Sqlite).env("TRUNKLINE_GRPC_ADDRESS", "0.0.0.0:0");
    let (status, log) = launch.run();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("require client certificates with `grpc.client_ca_certs`"), "{log}");
}

#[test]
fn a_device_cannot_call_by_a_root_that_also_vouches_for_it() {
    let ours = Authority::new();
    ours.sign("server");
    ours.root("own");
    ours.sign_by("own", "adapter");
    let launch = launch(Storage::Sqlite).start().into_launch();
    let (status, said) = Launch::command(&["certs", "import", "--certificate", &ours.path("own.crt")])
        .flag("--key", &ours.path("own.key"))
        .flag("--data-dir", launch.data_dir().to_str().unwrap())
        .run();
    assert!(status.success(), "{said}");
    let believed = ours.path("believed.crt");
    std::fs::copy(ours.path("own.crt"), &believed).unwrap();
    let launch = launch
        .env("MG_AUTH_GRPC_SERVER_CERT", &ours.path("server.crt"))
        .env("MG_AUTH_GRPC_SERVER_KEY", &ours.path("server.key"))
        .env("MG_AUTH_GRPC_CLIENT_CA_CERTS", &believed);
    let platform = Platform::start_as(launch);
    let device = platform.device("pump");
    let made = platform.made("/{domain}/certs", &json!({"client_id": device.id, "ttl": "1h"}));
    let chain: Vec<_> = made["ca_chain"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(chain.len(), 2);
    let write = |name: &str, text: String| std::fs::write(ours.path(name), text).unwrap();
    write("device.crt", format!("{}{}", text(&made, "certificate"), chain.concat()));
    write("device.key", text(&made, "key"));
    let served = |name: &str| {
        Remote::of(platform.server.grpc(), &ours.trusted(Some((&ours, name)))).ask("health auth")
    };
    assert_eq!(served("adapter"), Ok(json!("SERVING")), "the root has signed it itself");
    assert_eq!(served("device").unwrap_err().0, "UNAVAILABLE", "by way of the platform's intermediate");
    let log = platform.server.log();
    assert!(log.contains("a client has shown a certificate that is not for this port"), "{log}");

    // The same once new files are in use: the platform's own intermediate is named, then.
    write("believed.crt", chain.concat());
    wait_until("the new files", || platform.server.log().contains("new certificates are in use"));
    assert_eq!(served("adapter"), Ok(json!("SERVING")));
    assert_eq!(served("device").unwrap_err().0, "UNAVAILABLE");
}

#[test]
fn each_service_answers_a_client_that_others_wrote() {
    for storage in Storage::ALL {
        let platform = Platform::start_as(launch(storage));
        let channel = platform.channel("temperatures");
        let device = platform.connected_device("pump", &channel);
        let group = text(&platform.made("/{domain}/groups", &json!({"name": "hall"})), "id");
        let admin = text(&platform.get("/users/profile"), "id");
        let user = platform.made(
            "/users",
            &json!({
                "first_name": "Ann", "last_name": "Example", "email": "ann@example.com",
                "credentials": {"username": "ann", "secret": "a-long-password"},
            }),
        );
        let user = text(&user, "id");
        let domain = &platform.domain;
        let mut remote = Remote::of(platform.server.grpc(), &[]);

        let known = remote.ask("services").unwrap();
        let known: Vec<_> = known.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        for service in
            SERVICES.iter().chain(&["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"])
        {
            assert!(known.contains(service), "no {service} among {known:?}");
        }
        for name in ["", "auth", "users", "domains", "groups", "clients", "channels", "certs"] {
            assert_eq!(remote.ask(&format!("health {name}")), Ok(json!("SERVING")), "`{name}`");
        }
        assert_eq!(remote.refused("health nobody"), "NOT_FOUND");

        let issued = remote.call(
            "token.v1.TokenService/Issue",
            &json!({"user_id": user, "user_role": 1, "description": "adapter"}),
        );
        let token = text(&issued, "access_token");
        let profile = platform.server.request("GET", "/users/profile").bearer(&token).send();
        assert_eq!(text(&profile.json(), "id"), user);
        let sessions = remote.call("token.v1.TokenService/ListUserRefreshTokens", &json!({"user_id": user}));
        let session = text(&sessions["refresh_tokens"][0], "id");
        remote.call("token.v1.TokenService/Revoke", &json!({"user_id": user, "token_id": session}));
        let refresh =
            format!("token.v1.TokenService/Refresh {}", json!({"refresh_token": issued["refresh_token"]}));
        assert_eq!(remote.refused(&refresh), "UNAUTHENTICATED");

        let whose = remote.call("auth.v1.AuthService/Authenticate", &json!({"token": platform.token}));
        assert_eq!((&whose["user_id"], &whose["user_role"]), (&json!(admin), &json!(2)));
        let policy = |subject: &str| {
            json!({"policy_req": {
                "subject_type": "user", "subject": format!("{domain}_{subject}"), "permission": "read_permission",
                "object_type": "client", "object": device.id,
            }})
        };
        let allowed = remote.call("auth.v1.AuthService/Authorize", &policy(&admin));
        assert_eq!(allowed["authorized"], true);
        let denied = format!("auth.v1.AuthService/Authorize {}", policy(&user));
        assert_eq!(remote.refused(&denied), "PERMISSION_DENIED");

        let users = remote.call("users.v1.UsersService/RetrieveUsers", &json!({"ids": [user]}));
        assert_eq!(users["users"][0]["username"], "ann");
        let found = remote.call("domains.v1.DomainsService/RetrieveIDByRoute", &json!({"route": "plant"}));
        assert_eq!(found["entity"]["id"], json!(domain));
        let found = remote.call("groups.v1.GroupsService/RetrieveEntity", &json!({"id": group}));
        assert_eq!(
            found["entity"],
            json!({"id": group, "domain_id": domain, "parent_group_id": "", "status": 0})
        );

        let shown = json!({"token": device.id, "client_secret": device.secret});
        let known = remote.call("clients.v1.ClientsService/Authenticate", &shown);
        assert_eq!(known, json!({"authenticated": true, "id": device.id}));
        let wrong = json!({"token": device.id, "client_secret": "wrong"});
        let wrong = format!("clients.v1.ClientsService/Authenticate {wrong}");
        assert_eq!(remote.refused(&wrong), "PERMISSION_DENIED");
        let publish = json!({
            "domain_id": domain, "client_id": device.id, "client_type": "client", "channel_id": channel, "type": 1,
        });
        let may = remote.call("channels.v1.ChannelsService/Authorize", &publish);
        assert_eq!(may["authorized"], true);
        remote.call("channels.v1.ChannelsService/RemoveClientConnections", &json!({"client_id": device.id}));
        let publish = format!("channels.v1.ChannelsService/Authorize {publish}");
        assert_eq!(remote.refused(&publish), "PERMISSION_DENIED");
        let made = platform.made("/{domain}/certs", &json!({"client_id": device.id, "ttl": "1h"}));
        let serial = json!({"serial_number": text(&made, "serial_number")});
        for service in ["absmach.certs.CertsService", "certs.ClientService"] {
            let whose = remote.call(&format!("{service}/GetEntityID"), &serial);
            assert_eq!(whose, json!({"entity_id": device.id}));
            remote.call(&format!("{service}/RevokeCerts"), &json!({"entity_id": device.id}));
        }
        let log = platform.server.log();
        for secret in [&token, &device.secret] {
            assert!(!log.contains(secret.as_str()), "a secret is in the log");
        }
    }
}

#[test]
fn a_message_that_is_too_long_and_bytes_that_mean_nothing_harm_nobody() {
    let server = launch(Storage::Sqlite).start();
    let mut remote = Remote::of(server.grpc(), &[]);
    let long = json!({"token": "x".repeat(1 << 20)});
    let code = remote.refused(&format!("auth.v1.AuthService/Authenticate {long}"));
    assert_eq!(code, "OUT_OF_RANGE");

    let mut stream = TcpStream::connect(server.grpc()).unwrap();
    stream.set_read_timeout(Some(testkit::PATIENCE)).unwrap();
    stream.write_all(&[0xff; 4096]).unwrap();
    // It is hung up on, perhaps before all was read, which resets the connection.
    let mut rest = Vec::new();
    let hung_up = stream
        .read_to_end(&mut rest)
        .map_or_else(|error| error.kind() == std::io::ErrorKind::ConnectionReset, |_| true);
    assert!(hung_up, "still open after {} bytes", rest.len());
    assert_eq!(remote.ask("health auth"), Ok(json!("SERVING")));
}

#[test]
fn the_older_names_encrypt_and_who_does_not_trust_the_authority_is_not_connected() {
    let (ours, other) = (Authority::new(), Authority::new());
    ours.sign("server");
    // One as a path, one as PEM.
    let server = launch(Storage::Sqlite)
        .env("MG_AUTH_GRPC_SERVER_CERT", &ours.path("server.crt"))
        .env("SMQ_AUTH_GRPC_SERVER_KEY", &ours.pem("server.key"))
        .start();
    let served = |options: &[String]| Remote::of(server.grpc(), options).ask("health auth");
    assert_eq!(served(&ours.trusted(None)), Ok(json!("SERVING")));
    for options in [vec![], other.trusted(None)] {
        assert_eq!(served(&options).unwrap_err().0, "UNAVAILABLE");
    }
    let mut remote = Remote::of(server.grpc(), &ours.trusted(None));
    assert_eq!(remote.refused(r#"auth.v1.AuthService/Authenticate {"token": "x"}"#), "UNAUTHENTICATED");
    let log = server.log();
    assert!(log.contains("gRPC server listening at") && log.contains("with TLS cert"), "{log}");
}

#[test]
fn a_client_without_a_certificate_of_the_named_authority_is_refused() {
    let (ours, other) = (Authority::new(), Authority::new());
    ours.sign("server");
    ours.sign("adapter");
    other.sign("stranger");
    let server = launch(Storage::Sqlite)
        .env("MG_AUTH_GRPC_SERVER_CERT", &ours.path("server.crt"))
        .env("MG_AUTH_GRPC_SERVER_KEY", &ours.path("server.key"))
        .env("MG_AUTH_GRPC_CLIENT_CA_CERTS", &ours.path("ca.crt"))
        // Certificates are demanded, so that other machines may be served.
        .env("TRUNKLINE_GRPC_ADDRESS", "0.0.0.0:0")
        .start();
    let here = SocketAddr::from(([127, 0, 0, 1], server.grpc().port()));
    let served = |options: &[String]| Remote::of(here, options).ask("health auth");
    assert_eq!(served(&ours.trusted(Some((&ours, "adapter")))), Ok(json!("SERVING")));
    for options in [vec![], ours.trusted(None), ours.trusted(Some((&other, "stranger")))] {
        assert_eq!(served(&options).unwrap_err().0, "UNAVAILABLE", "{options:?}");
    }
    let log = server.log();
    assert!(log.contains("with TLS/mTLS"), "{log}");
}
