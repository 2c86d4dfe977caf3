//! The command line brings people together: users, invitations, roles, groups and the tokens of programs.

use testkit::{ADMIN, Server, Storage};

use crate::shell::{Shell, plant};

const PASSWORD: &str = "a-long-password";

/// Registers a user, as the administrator, and logs in as them.
#[track_caller]
fn register(server: &Server, admin: &Shell, username: &str) -> Shell {
    let email = format!("{username}@example.com");
    let names =
        ["users", "create", username, "--email", &email, "--first-name", username, "--last-name", "Owner"];
    let said = admin.run_with(&[&names[..], &["--password-stdin"]].concat(), &format!("{PASSWORD}\n"));
    assert_eq!(said.code, 0, "{said:?}");
    Shell::logged_in(server, username, PASSWORD)
}

#[test]
fn a_colleague_is_invited_and_given_a_role_by_name() {
    for storage in Storage::ALL {
        let server = Server::start(storage);
        let admin = Shell::logged_in(&server, ADMIN.0, ADMIN.2);
        admin.ok(&["domains", "create", "My plant", "--use"]);
        let olga = register(&server, &admin, "olga");
        admin.ok(&["roles", "create", "domain", ".", "guests", "--action", "read"]);
        admin.ok(&["invitations", "send", "olga", "--role", "guests"]);
        let sent = admin.json(&["invitations", "list", "--sent", "--state", "pending"]);
        assert_eq!(sent["invitations"][0]["role_name"], "guests", "{sent}");

        assert!(olga.ok(&["invitations", "list"]).contains("My plant"));
        olga.ok(&["invitations", "accept", "My plant"]);
        olga.ok(&["domains", "use", "my-plant"]);

        admin.ok(&["clients", "create", "boiler"]);
        let id = admin.ids(&["clients", "list"]).remove(0);
        assert!(olga.fails(1, &["clients", "view", &id]).contains("read_permission"));
        admin.ok(&["roles", "create", "client", "boiler", "operators", "--action", "read"]);
        admin.ok(&["roles", "members", "add", "client", "boiler", "operators", "olga"]);
        assert_eq!(olga.json(&["clients", "view", "boiler"])["id"], id.as_str());
        assert!(
            olga.fails(1, &["clients", "update", "boiler", "--name", "mine"]).contains("update_permission")
        );
        admin.ok(&["roles", "actions", "add", "client", "boiler", "operators", "update"]);
        assert_eq!(
            admin.ok(&["roles", "actions", "list", "client", "boiler", "operators"]).lines().count(),
            2
        );
        olga.ok(&["clients", "update", "boiler", "--name", "kettle"]);

        assert_eq!(admin.ids(&["roles", "members", "list", "client", "kettle", "operators"]).len(), 1);
        admin.ok(&["roles", "rename", "client", "kettle", "operators", "staff"]);
        admin.ok(&["roles", "members", "remove", "client", "kettle", "staff", "olga"]);
        assert!(olga.fails(1, &["clients", "view", &id]).contains("not allowed"));
        admin.ok(&["roles", "delete", "client", "kettle", "staff", "--yes"]);
        assert_eq!(admin.ids(&["roles", "list", "client", "kettle"]).len(), 1);
    }
}

#[test]
fn groups_are_nested_moved_and_drawn_as_a_tree() {
    let (_server, admin) = plant();
    admin.ok(&["groups", "create", "Plant"]);
    admin.ok(&["groups", "create", "Hall", "--group", "Plant"]);
    admin.ok(&["groups", "create", "Line", "--group", "Hall"]);
    let tree = |admin: &Shell| {
        let drawn = admin.ok(&["groups", "tree", "Plant"]);
        drawn.lines().map(|line| line.split(" (").next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(tree(&admin), ["Plant", "└─ Hall", "   └─ Line"]);
    admin.ok(&["groups", "move", "Line", "Plant"]);
    assert_eq!(tree(&admin), ["Plant", "├─ Hall", "└─ Line"]);
    let said = admin.fails(1, &["groups", "move", "Plant", "Line"]);
    assert!(said.contains("cyclic parent"), "{said}");

    admin.ok(&["clients", "create", "boiler", "--group", "Line"]);
    assert_eq!(admin.ids(&["clients", "list", "--group", "Plant"]).len(), 1);
    admin.ok(&["clients", "move", "boiler", "Hall"]);
    assert!(admin.ids(&["clients", "list", "--group", "Line"]).is_empty());
    admin.ok(&["clients", "parent", "boiler", "--none"]);
    assert!(admin.ids(&["clients", "list", "--group", "Plant"]).is_empty());
    admin.ok(&["groups", "children", "remove", "Plant", "Line"]);
    assert_eq!(admin.ids(&["groups", "children", "list", "Plant", "--deep"]).len(), 1);
    admin.ok(&["groups", "delete", "Line", "Hall", "--yes"]);
    assert_eq!(admin.ids(&["groups", "list"]).len(), 1);
}

#[test]
fn a_program_gets_a_token_that_is_good_for_what_it_needs_only() {
    let (server, admin) = plant();
    let domain = admin.ids(&["domains", "view"]).remove(0);
    let client = admin.ids(&["clients", "create", "boiler"]).remove(0);
    let made = admin.json(&["pats", "create", "ci", "--expires", "30d"]);
    let token = made["secret"].as_str().unwrap();
    assert!(
        !admin.ok(&["pats", "view", "ci"]).contains(token) && !admin.ok(&["pats", "list"]).contains(token)
    );

    let url = server.url("");
    let program = Shell::new().with("TRUNKLINE_TOKEN", token).with("TRUNKLINE_URL", &url);
    let program = program.with("TRUNKLINE_DOMAIN", &domain);
    assert!(program.fails(1, &["clients", "view", &client]).contains("not allowed"));
    admin.ok(&["pats", "scope", "add", "ci", "clients", "view"]);
    assert_eq!(program.json(&["clients", "view", &client])["name"], "boiler");
    program.fails(1, &["clients", "disable", &client]);
    let scope = admin.ids(&["pats", "scope", "list", "ci"]).remove(0);
    admin.ok(&["pats", "scope", "remove", "ci", &scope]);
    program.fails(1, &["clients", "view", &client]);

    admin.ok(&["pats", "revoke", "ci"]);
    assert!(program.fails(1, &["clients", "view", &client]).contains("the token is not accepted"));
    assert!(admin.ids(&["pats", "list"]).is_empty());
    let anew = admin.json(&["pats", "reset", "ci", "--expires", "1h"]);
    assert_ne!(anew["secret"], token);
    admin.ok(&["pats", "delete", "ci", "--yes"]);
    assert!(admin.ids(&["pats", "list", "--status", "all"]).is_empty());
}

#[test]
fn users_are_found_changed_and_shut_out_by_their_names() {
    let (server, admin) = plant();
    let olga = register(&server, &admin, "olga");
    assert!(olga.ok(&["users", "search", "--username", "olg"]).contains("Owner"));
    olga.ok(&["users", "update", "me", "--first-name", "Olga", "--metadata", r#"{"shift": 2}"#]);
    assert_eq!(admin.json(&["users", "view", "olga"])["metadata"]["shift"], 2);
    assert_eq!(admin.json(&["users", "role", "olga", "admin"])["role"], "admin");
    assert_eq!(admin.json(&["users", "role", "olga", "user"])["role"], "user");

    let moves = ["users", "email", "me", "olga@example.net", "--with-password"];
    assert_eq!(olga.run_with(&moves, "not-her-password\n").code, 1);
    assert_eq!(olga.run_with(&moves, &format!("{PASSWORD}\n")).code, 0);
    assert_eq!(admin.json(&["users", "view", "olga"])["email"], "olga@example.net");

    let changed =
        olga.run_with(&["users", "password", "--stdin"], &format!("{PASSWORD}\nanother-password\n"));
    assert_eq!(changed.code, 0, "{changed:?}");
    let said = olga.fails(1, &["whoami"]);
    assert!(said.contains("log in again: trunkline login"), "{said}");
    let olga = Shell::logged_in(&server, "olga", "another-password");
    assert_eq!(olga.ids(&["users", "sessions"]).len(), 1);

    admin.ok(&["users", "disable", "olga"]);
    olga.fails(1, &["whoami"]);
    assert_eq!(admin.json(&["users", "enable", "olga"])["status"], "enabled");
    admin.ok(&["users", "delete", "olga", "--yes"]);
    assert_eq!(admin.json(&["users", "list", "--status", "deleted"])["total"], 1);
}
