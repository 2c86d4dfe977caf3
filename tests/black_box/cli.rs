//! The command line manages a running platform: login, names instead of ids, tables and JSON, errors that say what to do.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use testkit::{ADMIN, Server, Storage, program};

use crate::shell::{Shell, plant};

#[test]
fn a_plant_is_set_up_from_the_command_line_with_names_alone() {
    for storage in Storage::ALL {
        let server = Server::start(storage);
        let admin = Shell::logged_in(&server, ADMIN.0, ADMIN.2);
        assert!(admin.ok(&["whoami"]).contains(ADMIN.1));
        assert_eq!(admin.json(&["domains", "create", "My plant", "--use"])["route"], "my-plant");

        let made = admin.json(&["clients", "create", "boiler", "--identity", "sn-1", "--tag", "hot"]);
        assert_eq!(made["credentials"]["identity"], "sn-1");
        assert_eq!(admin.json(&["clients", "view", "boiler"])["credentials"], made["credentials"]);
        admin.ok(&[
            "channels",
            "create",
            "Temperatures",
            "--route",
            "temps",
            "--metadata",
            r#"{"unit": "K"}"#,
        ]);
        admin.ok(&["clients", "connect", "boiler", "Temperatures", "--only", "publish"]);
        let connected = admin.json(&["channels", "list", "--client", "boiler"]);
        assert_eq!(connected["total"], 1, "{connected}");
        assert_eq!(connected["channels"][0]["metadata"]["unit"], "K");

        let secret = made["credentials"]["secret"].as_str().unwrap();
        let publish = || {
            server
                .request("POST", "/m/my-plant/c/temps")
                .header("Authorization", &format!("Client {secret}"))
                .header("Content-Type", "application/json")
                .body("{}")
                .send()
                .status
        };
        assert_eq!(publish(), 202);
        admin.ok(&["channels", "disconnect", "Temperatures", "boiler"]);
        assert_eq!(publish(), 403);

        admin.ok(&["clients", "update", "boiler", "--name", "kettle"]);
        assert_eq!(admin.json(&["clients", "tags", "kettle", "old", "cold"])["tags"][1], "cold");
        assert_eq!(admin.json(&["clients", "disable", "kettle"])["status"], "disabled");
        assert!(admin.ids(&["clients", "list"]).is_empty());
        let id = made["id"].as_str().unwrap();
        assert_eq!(admin.ids(&["clients", "list", "--status", "all", "--tag", "old"]), [id]);
        admin.ok(&["clients", "delete", "kettle", "--yes"]);
        assert!(admin.ids(&["clients", "list", "--status", "all"]).is_empty());
    }
}

#[test]
fn many_are_made_from_a_file_and_listed_page_by_page() {
    let (_server, admin) = plant();
    let file = admin.directory().join("devices.csv");
    let rows: String = (0..230).map(|n| format!("device-{n:03},sn-{n},secret-{n},a;b\n")).collect();
    std::fs::write(&file, format!("name,identity,secret,tags\n{rows}")).unwrap();
    let made = admin.json(&["clients", "create", "--file", "devices.csv"]);
    assert_eq!(made["clients"].as_array().unwrap().len(), 230);
    assert_eq!(made["clients"][7]["credentials"]["secret"], "secret-7");

    assert_eq!(admin.ids(&["clients", "list"]).len(), 50);
    assert_eq!(admin.ids(&["clients", "list", "--limit", "7", "--offset", "225"]).len(), 5);
    let all = admin.json(&["clients", "list", "--all", "--order", "name", "--ascending"]);
    assert_eq!((&all["total"], &all["clients"][229]["name"]), (&230.into(), &"device-229".into()));
    let table = admin.ok(&["clients", "list", "--name", "device-00", "--all"]);
    assert_eq!(table.lines().count(), 11, "{table}");
    assert!(table.starts_with("ID  ") && !table.contains("secret-"), "{table}");

    std::fs::write(&file, "name,secrte\none,s\n").unwrap();
    let said = admin.fails(1, &["clients", "create", "--file", "devices.csv"]);
    assert!(said.contains("no column `secrte`"), "{said}");
}

#[test]
fn a_login_is_for_its_owner_alone_and_is_forgotten_at_the_logout() {
    let (server, admin) = plant();
    let mode = std::fs::metadata(admin.login_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(admin.login_file()).unwrap();
    assert!(!text.contains(ADMIN.2), "the password is stored:\n{text}");

    let sessions = admin.json(&["users", "sessions"]);
    assert_eq!(sessions["refresh_tokens"].as_array().unwrap().len(), 1, "{sessions}");
    admin.ok(&["logout"]);
    let text = std::fs::read_to_string(admin.login_file()).unwrap();
    assert!(!text.contains("token"), "{text}");
    let other = Shell::logged_in(&server, ADMIN.0, ADMIN.2);
    let sessions = other.json(&["users", "sessions"]);
    assert_eq!(sessions["refresh_tokens"].as_array().unwrap().len(), 1, "{sessions}");
}

#[test]
fn an_old_access_token_is_renewed_on_the_way_and_the_new_one_is_kept() {
    let (_server, admin) = plant();
    let before = std::fs::read_to_string(admin.login_file()).unwrap();
    let renew_at = before.lines().find(|line| line.starts_with("renew_at")).unwrap();
    std::fs::write(admin.login_file(), before.replace(renew_at, "renew_at = \"2020-01-01T00:00:00Z\""))
        .unwrap();
    assert!(admin.ok(&["whoami"]).contains(ADMIN.1));
    let after = std::fs::read_to_string(admin.login_file()).unwrap();
    assert!(!after.contains("2020-01-01"), "{after}");
    assert_ne!(before, after);
    let mode = std::fs::metadata(admin.login_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(admin.ok(&["domains", "view"]).contains("my-plant"), "the domain is still chosen");
}

#[test]
fn a_token_from_the_environment_or_a_pipe_wins_over_the_login() {
    let (server, admin) = plant();
    let token = crate::platform::log_in(&server);
    let url = server.url("");
    let other = Shell::new().with("TRUNKLINE_TOKEN", &token).with("TRUNKLINE_URL", &url);
    assert!(other.ok(&["whoami"]).contains(ADMIN.1));
    assert!(!other.login_file().exists());
    let other = other.with("TRUNKLINE_DOMAIN", "my-plant");
    other.ok(&["clients", "create", "one"]);

    let piped = admin.run_with(&["whoami", "--token-stdin"], &token);
    assert_eq!(piped.code, 0, "{piped:?}");
    let wrong = admin.run_with(&["whoami", "--token-stdin"], "nonsense\n");
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("the token is not accepted") && !wrong.err.contains("nonsense"), "{wrong:?}");
    let argument = admin.run(&["whoami", "--token", &token]);
    assert!(argument.code == 0 && argument.err.contains("others on this machine"), "{argument:?}");
}

#[test]
fn errors_say_what_to_do() {
    let (server, admin) = plant();
    let url = server.url("");

    let stranger = Shell::new().with("TRUNKLINE_URL", &url);
    let said = stranger.fails(1, &["clients", "list"]);
    assert!(said.contains(&format!("trunkline login --url {url}")), "{said}");

    let nowhere = format!("127.0.0.1:{}", testkit::ports::free());
    let said = stranger.fails(1, &["users", "reset-request", "a@example.com", "--url", &nowhere]);
    assert!(said.contains(&nowhere) && said.contains("--url") && said.contains("trunkline serve"), "{said}");

    let said = stranger.run_with(&["login", "--username", "admin", "--password-stdin"], "wrong-password\n");
    assert!(said.code == 1 && said.err.contains("invalid credentials"), "{said:?}");

    let said = admin.fails(1, &["clients", "view", "boiler"]);
    assert!(said.contains("no client `boiler`") && said.contains("trunkline clients list"), "{said}");
    admin.ok(&["clients", "create", "twin", "twin"]);
    let said = admin.fails(1, &["clients", "view", "twin"]);
    assert!(said.contains("more than one client is called `twin`"), "{said}");

    let said = admin.fails(1, &["clients", "delete", "twin"]);
    assert!(said.contains("more than one"), "{said}");
    admin.ok(&["clients", "create", "boiler"]);
    let said = admin.fails(1, &["clients", "delete", "boiler"]);
    assert!(said.contains("--yes"), "{said}");

    let said = admin.fails(2, &["clients", "list", "--limit", "1000"]);
    assert!(said.contains("1..=100"), "{said}");
    let said = admin.fails(2, &["clients", "lsit"]);
    assert!(said.contains("list"), "{said}");
}

#[test]
fn who_is_not_allowed_learns_which_permission_it_takes() {
    let (server, admin) = plant();
    let id = admin.ids(&["clients", "create", "boiler"]).remove(0);
    let domain = admin.ids(&["domains", "view"]).remove(0);
    let register = ["users", "create", "olga", "--email", "olga@example.com", "--first-name", "Olga"];
    let rest = ["--last-name", "Owner", "--password-stdin"];
    let said = admin.run_with(&[&register[..], &rest[..]].concat(), "a-long-password\n");
    assert_eq!(said.code, 0, "{said:?}");

    let olga = Shell::logged_in(&server, "olga", "a-long-password").with("TRUNKLINE_DOMAIN", &domain);
    let said = olga.fails(1, &["clients", "update", &id, "--name", "mine"]);
    for part in ["update_permission", &format!("client:{id}"), "trunkline authz explain user:"] {
        assert!(said.contains(part), "no {part} in: {said}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let (_server, admin) = plant();
    let names: Vec<_> = (0..200).map(|n| format!("device-with-a-rather-long-name-{n}")).collect();
    let create: Vec<_> = ["clients", "create"].into_iter().chain(names.iter().map(String::as_str)).collect();
    admin.ok(&create);
    for format in ["", "--json"] {
        let piped = format!(
            "{} clients list --all {format} | head -n 1; exit ${{PIPESTATUS[0]}}",
            program().display()
        );
        let said = Command::new("bash")
            .args(["-c", &piped])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("XDG_CONFIG_HOME", admin.directory().join("config"))
            .output()
            .unwrap();
        assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
    }
}

#[test]
fn completion_scripts_are_understood_by_their_shells() {
    let shell = Shell::new();
    let script = shell.ok(&["completion", "bash"]);
    let file = shell.directory().join("trunkline.bash");
    std::fs::write(&file, &script).unwrap();
    let checked = Command::new("bash").arg("-n").arg(&file).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
    // What a shell that sources it would offer after `trunkline cli`.
    let ask = "source \"$0\"; COMP_WORDS=(trunkline cli); COMP_CWORD=1; _trunkline trunkline cli trunkline; \
               echo \"${COMPREPLY[@]}\"";
    let offered = Command::new("bash").args(["-c", ask]).arg(&file).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&offered.stdout).trim(), "clients", "{offered:?}");
    for other in ["zsh", "fish", "powershell"] {
        assert!(shell.ok(&["completion", other]).contains("invitations"), "{other}");
    }
}
