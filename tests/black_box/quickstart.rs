//! `trunkline quickstart` makes the whole tour against a running server and prints what a newcomer can copy.

use testkit::{ADMIN, Launch, Server, Storage};

#[test]
fn the_tour_works_again_and_again_and_prints_its_commands() {
    for storage in Storage::ALL {
        let server = Server::start(storage);
        let (username, _, password) = ADMIN;
        let (url, mqtt) = (server.url(""), server.mqtt().to_string());
        for _ in 0..2 {
            let (status, said) = Launch::command(&["quickstart"])
                .flag("--url", &url)
                .flag("--mqtt", &mqtt)
                .flag("--username", username)
                .flag("--password", password)
                .run();
            assert!(status.success(), "{said}");
            for part in
                ["curl", "/users/tokens/issue", "/domains", "/clients", "/channels/connect", "mosquitto_pub"]
            {
                assert!(said.contains(part), "no {part} in:\n{said}");
            }
        }
    }
}

#[test]
fn a_server_that_is_not_there_and_a_wrong_password_are_explained() {
    let nowhere = format!("http://127.0.0.1:{}", testkit::ports::free());
    let (status, said) = Launch::command(&["quickstart"])
        .flag("--url", &nowhere)
        .flag("--username", "admin")
        .flag("--password", "12345678")
        .run();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(&nowhere) || said.contains("make run"), "{said}");

    let server = Server::start(Storage::Sqlite);
    let (status, said) = Launch::command(&["quickstart"])
        .flag("--url", &server.url(""))
        .flag("--mqtt", &server.mqtt().to_string())
        .flag("--username", "admin")
        .flag("--password", "wrong-password")
        .run();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("invalid credentials"), "{said}");
}
