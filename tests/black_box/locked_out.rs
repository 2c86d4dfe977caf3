//! An administrator who is locked out gets in again on the machine of the platform, and nobody does so while it runs.

use serde_json::json;
use testkit::{ADMIN, Launch, Server, Storage};

use crate::platform::text;

fn command(server: &Server, username: &str) -> Launch {
    let data = server.data_dir();
    Launch::command(&["admin", "reset-password", "--username", username])
        .flag("--data-dir", data.to_str().unwrap())
}

fn status_of_login(server: &Server, password: &str) -> u16 {
    let login = json!({"username": ADMIN.0, "password": password});
    server.request("POST", "/users/tokens/issue").json(&login).send().status
}

#[test]
fn a_lost_password_is_replaced_while_the_platform_is_stopped() {
    let mut server = Server::start(Storage::Sqlite);
    let (status, said) = command(&server, ADMIN.0).run();
    assert!(!status.success() && said.contains("another trunkline uses the data directory"), "{said}");
    server.terminate();
    let (status, said) = command(&server, "nobody").run();
    assert!(!status.success() && said.contains("no administrator is called `nobody`"), "{said}");
    let (status, said) = command(&server, ADMIN.0).run();
    assert!(status.success(), "{said}");
    let password = said.lines().find_map(|line| line.split_once("Password  ")).unwrap().1.trim().to_owned();
    server.restart();
    assert_eq!(status_of_login(&server, ADMIN.2), 401);
    assert_eq!(status_of_login(&server, &password), 201);
    let login = json!({"username": ADMIN.0, "password": password});
    let answer = server.request("POST", "/users/tokens/issue").json(&login).send();
    let token = text(&answer.json(), "access_token");
    assert_eq!(server.request("GET", "/users").bearer(&token).send().status, 200);
}
