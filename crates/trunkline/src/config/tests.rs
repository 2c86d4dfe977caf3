use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::*;

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|&(name, value)| (OsString::from(name), OsString::from(value))).collect()
}

/// A configuration file in a directory that goes with it.
struct Written(tempfile::TempDir);

impl Written {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("trunkline.toml"), text).unwrap();
        Self(directory)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("trunkline.toml")
    }

    /// What is wrong with it, without the directory.
    fn problems(&self) -> String {
        let layers = Layers::new(Environment::default()).with_file(Some(self.path()));
        let text = load(&layers).unwrap_err().to_string();
        text.replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn http(layers: &Layers) -> String {
    load(layers).unwrap().settings.node.http.to_string()
}

fn problems_of(variables: &[(&str, &str)]) -> String {
    load(&Layers::new(environment(variables))).unwrap_err().to_string()
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file = Written::new("http = \"127.0.0.1:3\"");
    let ours = environment(&[("TRUNKLINE_HTTP", "127.0.0.1:2")]);
    let flag = Some("127.0.0.1:1".to_owned());

    let all = Layers::new(ours.clone()).with_file(Some(file.path())).with_flag("http", "--http", flag);
    assert_eq!(http(&all), "127.0.0.1:1");
    assert_eq!(http(&Layers::new(ours).with_file(Some(file.path()))), "127.0.0.1:2");
    assert_eq!(http(&Layers::default().with_file(Some(file.path()))), "127.0.0.1:3");
    assert_eq!(http(&Layers::default()), "0.0.0.0:8080");
}

#[test]
fn names_of_three_generations_set_the_administrator_in_their_order() {
    let username = |variables: &[(&str, &str)]| {
        let loaded = load(&Layers::new(environment(variables))).unwrap();
        (loaded.settings.admin.username.to_string(), loaded.warnings)
    };
    let ours = ("TRUNKLINE_ADMIN_USERNAME", "a");
    let magistrala = ("MG_USERS_ADMIN_USERNAME", "b");
    let supermq = ("SMQ_USERS_ADMIN_USERNAME", "c");

    assert_eq!(username(&[supermq]), ("c".to_owned(), vec![]));
    assert_eq!(username(&[magistrala]), ("b".to_owned(), vec![]));
    assert_eq!(username(&[supermq, ("MG_USERS_ADMIN_USERNAME", "c")]), ("c".to_owned(), vec![]));

    let (name, warnings) = username(&[supermq, magistrala, ours]);
    assert_eq!(name, "a");
    assert_eq!(
        warnings,
        [
            "environment TRUNKLINE_ADMIN_USERNAME and environment MG_USERS_ADMIN_USERNAME have different values for \
             `admin.username`; the first one is used"
        ]
    );
}

#[test]
fn names_of_seed_documents_with_a_capital_letter_are_understood() {
    let loaded = load(&Layers::new(environment(&[
        ("Clients_HTTP_PORT", "9999"),
        ("Clients_LOG_LEVEL", "DEBUG"),
        ("SMQ_AUTH_ACCESS_TOKEN_DURATION", "3600"),
        ("MG_AUTH_KEYS_ALGORITHM", "RS256"),
        ("SMQ_MQTT_ADAPTER_MQTT_PORT", "1884"),
        ("MG_SEND_TELEMETRY", "true"),
    ])))
    .unwrap();
    assert_eq!(loaded.settings.compat_ports.clients, Ports(vec![9999]));
    assert_eq!(loaded.settings.log.level, LogLevel::Debug);
    assert_eq!(loaded.settings.auth.access_token_duration, Duration::from_secs(3600));
    assert_eq!(loaded.settings.auth.keys_algorithm, KeysAlgorithm::Rs256);
    assert_eq!(loaded.settings.node.mqtt.to_string(), "0.0.0.0:1884");
    assert_eq!(loaded.warnings, [""; 0]);
    assert_eq!(loaded.notes, ["environment MG_SEND_TELEMETRY is not a setting of this program"]);
}

#[test]
fn an_empty_value_is_no_value() {
    let file = Written::new("mqtt = \"\"\n[admin]\nusername = \"\"");
    let layers = Layers::new(environment(&[("TRUNKLINE_HTTP", ""), ("TRUNKLINE_UNKNOWN", "")]))
        .with_file(Some(file.path()))
        .with_flag("data_dir", "--data-dir", Some(String::new()));
    let settings = load(&layers).unwrap().settings;
    assert_eq!(settings.node.http.to_string(), "0.0.0.0:8080");
    assert_eq!(settings.node.mqtt.to_string(), "0.0.0.0:1883");
    assert_eq!(settings.node.data_dir, PathBuf::from("./data"));
    assert_eq!(settings.admin.username.to_string(), "admin");
}

#[test]
fn an_unknown_key_is_an_error_with_file_line_and_the_nearest_key() {
    let file = Written::new(
        "htp = \"127.0.0.1:1\"\n\n[auth]\nacces_token_duration = \"1h\"\npassword_regex = \"x\"\n\n[nonsense]\nx = 1\n\n[compat_ports]\nmail = 25\n",
    );
    assert_eq!(
        file.problems(),
        "trunkline.toml:1: unknown setting `htp`; did you mean `http`?\n\
         trunkline.toml:4: unknown setting `auth.acces_token_duration`; did you mean `auth.access_token_duration`?\n\
         trunkline.toml:5: unknown setting `auth.password_regex`; did you mean `users.password_regex`?\n\
         trunkline.toml:7: unknown setting `nonsense`; `trunkline config example` lists all settings\n\
         trunkline.toml:11: unknown setting `compat_ports.mail`; `trunkline config example` lists all settings"
    );
}

#[test]
fn an_unknown_variable_of_ours_is_an_error_with_the_nearest_name() {
    assert_eq!(
        problems_of(&[("TRUNKLINE_ADMIN_PASWORD", "x")]),
        "environment: unknown variable `TRUNKLINE_ADMIN_PASWORD`; did you mean `TRUNKLINE_ADMIN_PASSWORD`?"
    );
}

#[test]
fn a_wrong_value_names_setting_source_value_and_what_is_expected() {
    assert_eq!(
        problems_of(&[("MG_AUTH_ACCESS_TOKEN_DURATION", "1 day"), ("TRUNKLINE_HTTP", "nowhere")]),
        "environment TRUNKLINE_HTTP: `http` is `nowhere`, expected an address such as `0.0.0.0:8080`, \
         `localhost:0` or a port\n\
         environment MG_AUTH_ACCESS_TOKEN_DURATION: `auth.access_token_duration` is `1 day`, expected a duration \
         such as `90s`, `1h30m` or a number of seconds"
    );
    let file =
        Written::new("data_dir = 1\nadmin = 2\n[users]\nself_register = \"maybe\"\n[log]\nlevel = [1]\n");
    assert_eq!(
        file.problems(),
        "trunkline.toml:2: `admin` is a number, expected a section `[admin]`\n\
         trunkline.toml:6: `log.level` is a list, expected `debug`, `info`, `warn` or `error`\n\
         trunkline.toml:4: `users.self_register` is `maybe`, expected `true` or `false`"
    );
}

#[test]
fn a_secret_is_never_in_an_error_or_in_the_list_of_settings() {
    let key = problems_of(&[("TRUNKLINE_MASTER_KEY", "hunter2")]);
    assert!(!key.contains("hunter2"), "{key}");
    let url = problems_of(&[("TRUNKLINE_DATABASE_URL", "mysql://me:hunter2@db/x")]);
    assert!(!url.contains("hunter2"), "{url}");

    let loaded = load(&Layers::new(environment(&[
        ("TRUNKLINE_ADMIN_PASSWORD", "hunter2hunter2"),
        ("TRUNKLINE_DATABASE_URL", "postgres://me:hunter2@db/x?password=hunter2&sslmode=require"),
    ])))
    .unwrap();
    let shown = show(&loaded);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("(secret)"), "{shown}");
    assert!(shown.contains("postgres://me:***@db/x?password=***&sslmode=require"), "{shown}");
    assert!(!format!("{:?}", loaded.settings).contains("hunter2"));
}

#[test]
fn a_secret_may_stand_in_a_file_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    std::fs::write(&path, "correct horse\n").unwrap();
    let path = path.to_str().unwrap();

    let password = |layers: &Layers| load(layers).unwrap().settings.admin.password.unwrap().expose().clone();
    for name in
        ["TRUNKLINE_ADMIN_PASSWORD_FILE", "MG_USERS_ADMIN_PASSWORD_FILE", "SMQ_USERS_ADMIN_PASSWORD_FILE"]
    {
        assert_eq!(password(&Layers::new(environment(&[(name, path)]))), "correct horse", "{name}");
    }
    let file = Written::new(&format!("[admin]\npassword_file = \"{path}\""));
    assert_eq!(password(&Layers::default().with_file(Some(file.path()))), "correct horse");

    let missing = problems_of(&[("TRUNKLINE_ADMIN_PASSWORD_FILE", "/nonexistent/password")]);
    assert!(
        missing.starts_with(
            "cannot read the file of `admin.password` (environment TRUNKLINE_ADMIN_PASSWORD_FILE) \
             `/nonexistent/password`: No such file or directory"
        ),
        "{missing}"
    );
}

#[test]
fn a_named_file_that_is_missing_is_an_error() {
    let expected = "cannot read the configuration file `/nonexistent.toml`: No such file or directory (os error 2); \
                    give the path of a file that exists and can be read";
    let by_flag = Layers::default().with_file(Some("/nonexistent.toml".into()));
    assert_eq!(load(&by_flag).unwrap_err().to_string(), expected);
    assert_eq!(problems_of(&[("TRUNKLINE_CONFIG", "/nonexistent.toml")]), expected);
}

#[test]
fn a_file_that_is_not_toml_is_an_error_with_its_line() {
    let problems = Written::new("http = \"127.0.0.1:1\"\nmqtt = = 3\n").problems();
    assert!(problems.starts_with("trunkline.toml:2: this is not TOML: "), "{problems}");
}

#[test]
fn lists_may_be_written_as_lists_or_with_commas() {
    let file = Written::new(
        "only = [\"mqtt\", \"http-adapter\"]\n[compat_ports]\nauth = [1, 2]\nusers = []\nclients = \"3, 4\"\ndomains = 5\n",
    );
    let settings = load(&Layers::default().with_file(Some(file.path()))).unwrap().settings;
    assert!(settings.node.only.serves(Capability::Mqtt) && !settings.node.only.serves(Capability::Users));
    assert_eq!(settings.compat_ports.auth, Ports(vec![1, 2]));
    assert_eq!(settings.compat_ports.users, Ports(vec![]));
    assert_eq!(settings.compat_ports.clients, Ports(vec![3, 4]));
    assert_eq!(settings.compat_ports.domains, Ports(vec![5]));
}

#[test]
fn a_way_of_signing_that_the_platform_does_not_have_is_refused() {
    assert_eq!(
        problems_of(&[("MG_AUTH_KEYS_ALGORITHM", "RS512")]),
        "environment MG_AUTH_KEYS_ALGORITHM: `auth.keys_algorithm` is `RS512`, expected `EdDSA`, `ES256`, `RS256`, \
         `HS256`, `HS384` or `HS512`"
    );
}

#[test]
fn a_secret_that_others_can_guess_signs_nothing() {
    let hmac = ("MG_AUTH_KEYS_ALGORITHM", "HS512");
    for (secret, wrong) in [
        ("secret", "is the one that everybody knows"),
        ("0123456789012345678901234567890", "is shorter than 32 bytes"),
    ] {
        let said = problems_of(&[hmac, ("MG_AUTH_SECRET_KEY", secret)]);
        assert!(
            said.starts_with(&format!("environment MG_AUTH_SECRET_KEY: `auth.secret_key` {wrong}")),
            "{said}"
        );
        assert!(said.contains("openssl rand"), "{said}");
        // It is not used, so it does no harm.
        load(&Layers::new(environment(&[("MG_AUTH_SECRET_KEY", secret)]))).unwrap();
    }
    let said = problems_of(&[hmac]);
    assert!(said.starts_with("default: `auth.secret_key` is needed to sign with HS256"), "{said}");
    let good = ("SMQ_AUTH_SECRET_KEY", "01234567890123456789012345678901");
    load(&Layers::new(environment(&[hmac, good]))).unwrap();
}

#[test]
fn settings_that_do_not_fit_each_other_are_refused() {
    assert_eq!(
        problems_of(&[("TRUNKLINE_AUTH_ACCESS_TOKEN_DURATION", "48h")]),
        "default: `auth.refresh_token_duration` is shorter than `auth.access_token_duration`"
    );
    assert_eq!(
        problems_of(&[("TRUNKLINE_AUTH_KEY_ROTATION", "1h")]),
        "environment TRUNKLINE_AUTH_KEY_ROTATION: `auth.key_rotation` is shorter than a day; give at least 24h, or 0 for \
         never"
    );
    assert_eq!(
        problems_of(&[("TRUNKLINE_CERTS_BACKEND", "openbao"), ("MG_CERTS_OPENBAO_APP_ROLE", "platform")]),
        "environment TRUNKLINE_CERTS_BACKEND: `certs.backend` `openbao` needs `certs.openbao_app_role`, and \
         `certs.openbao_app_secret` or `certs.openbao_secret_id_path`"
    );
    assert_eq!(
        problems_of(&[("MG_USERS_ADMIN_PASSWORD", "short")]),
        "environment MG_USERS_ADMIN_PASSWORD: `admin.password` does not match `users.password_regex`; choose another"
    );
}

#[test]
fn the_password_of_the_documentation_draws_a_warning_unless_only_this_machine_can_reach_us() {
    let warnings = |http: &str| {
        let variables = [("SMQ_USERS_ADMIN_PASSWORD", "12345678"), ("TRUNKLINE_HTTP", http)];
        load(&Layers::new(environment(&variables))).unwrap().warnings.len()
    };
    assert_eq!(warnings("0.0.0.0:8080"), 1);
    assert_eq!(warnings("127.0.0.1:8080"), 0);
}

#[test]
fn the_database_is_in_the_data_directory_unless_named() {
    let data_dir = |layers: Layers| layers.with_flag("data_dir", "--data-dir", Some("/srv/t".to_owned()));
    let default = load(&data_dir(Layers::default())).unwrap().settings;
    assert_eq!(default.database_url().as_str(), "sqlite:/srv/t/trunkline.db");
    let named = Layers::new(environment(&[("TRUNKLINE_DATABASE_URL", "postgres://db/x")]));
    assert_eq!(load(&data_dir(named)).unwrap().settings.database_url().as_str(), "postgres://db/x");
}

#[test]
fn compat_ports_answer_in_the_name_of_their_service_and_can_be_switched_off() {
    let ports = load(&Layers::default()).unwrap().settings.compat_ports();
    for expected in [("auth", 9001), ("auth", 8189), ("clients", 9006), ("clients", 9000), ("http", 8008)] {
        assert!(ports.contains(&expected), "{expected:?}");
    }
    let some = Layers::new(environment(&[("TRUNKLINE_ONLY", "users,mqtt")]));
    assert_eq!(load(&some).unwrap().settings.compat_ports(), [("users", 9002)]);
    let off = Layers::new(environment(&[("TRUNKLINE_COMPAT_PORTS_ENABLED", "false")]));
    assert!(load(&off).unwrap().settings.compat_ports().is_empty());
}

#[test]
fn the_shipped_example_is_the_generated_one_and_means_the_defaults() {
    let shipped = include_str!("../../../../trunkline.example.toml");
    assert_eq!(shipped, example(), "run `trunkline config example > trunkline.example.toml`");

    let assignment = |line: &&str| {
        line.strip_prefix('#').is_some_and(|rest| !rest.starts_with([' ', '#']) && rest.contains(" = "))
    };
    let uncommented: String = shipped
        .lines()
        .map(|line| if assignment(&line) { line.trim_start_matches('#') } else { line })
        .collect::<Vec<_>>()
        .join("\n");
    let file = Written::new(&uncommented);
    let from_file = load(&Layers::default().with_file(Some(file.path()))).unwrap();
    let defaults = load(&Layers::default()).unwrap();
    assert_eq!(format!("{:?}", from_file.settings), format!("{:?}", defaults.settings));
    assert_eq!(
        uncommented.lines().filter(|line| !line.starts_with(['#', '[']) && !line.is_empty()).count(),
        table().len()
    );
}

#[test]
fn every_default_is_a_value_and_every_name_is_used_once() {
    let table = table();
    let mut names: Vec<String> = table.iter().flat_map(|setting| setting.variables()).collect();
    for setting in &table {
        assert!((setting.holds)(setting.default), "{}", setting.key);
        assert!(!setting.doc.is_empty(), "{}", setting.key);
    }
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn addresses_are_read_with_host_port_and_brackets() {
    use super::value::Value;
    let shown = |text: &str| Address::parse(text).map(|address| address.to_string());
    assert_eq!(shown("127.0.0.1:0").as_deref(), Some("127.0.0.1:0"));
    assert_eq!(shown("localhost:80").as_deref(), Some("localhost:80"));
    assert_eq!(shown("[::1]:80").as_deref(), Some("[::1]:80"));
    assert_eq!(shown("1883").as_deref(), Some("0.0.0.0:1883"));
    assert_eq!(shown(":1883").as_deref(), Some("0.0.0.0:1883"));
    for wrong in
        ["", "host", "host:", "host:65536", "::1:80", "[::1:80", "[x]:80", "http://host:80", "a b:80"]
    {
        assert_eq!(shown(wrong), None, "{wrong}");
    }
}

#[test]
fn grpc_is_off_until_somebody_says_so_and_older_names_alone_only_draw_a_line_that_tells_how() {
    let of = |variables: &[(&str, &str)]| {
        let loaded = load(&Layers::new(environment(variables))).unwrap();
        let settings = &loaded.settings;
        (settings.grpc.ports(&settings.node, &settings.compat_ports), loaded.warnings)
    };
    assert_eq!(of(&[]), (vec![], vec![]));
    for name in ["MG_AUTH_GRPC_PORT", "SMQ_USERS_GRPC_PORT", "Clients_AUTH_GRPC_PORT"] {
        let (ports, warnings) = of(&[(name, "7010"), ("MG_DOMAINS_GRPC_PORT", "7011")]);
        assert_eq!((ports, warnings.len()), (vec![], 1), "{name}");
        assert!(warnings[0].contains("TRUNKLINE_GRPC_ENABLED=true"), "{warnings:?}");
    }
    let pair = [("MG_AUTH_GRPC_SERVER_CERT", "auth.crt"), ("MG_AUTH_GRPC_SERVER_KEY", "auth.key")];
    assert_eq!(
        of(&pair).1,
        [
            "environment MG_AUTH_GRPC_SERVER_CERT: `grpc.server_cert` is set, but gRPC is off; whoever reaches its \
             ports can act as any user, so set `grpc.enabled = true` (TRUNKLINE_GRPC_ENABLED=true) to open them, or \
             `false` to hear no more of it"
        ]
    );
    let (port, no) = (("MG_AUTH_GRPC_PORT", "7010"), ("TRUNKLINE_GRPC_ENABLED", "false"));
    assert_eq!(of(&[port, no]), (vec![], vec![]));
    let (ports, warnings) = of(&[port, ("TRUNKLINE_GRPC_ENABLED", "true")]);
    assert_eq!(warnings, [""; 0]);
    assert!(ports.contains(&("auth", 7010)) && ports.contains(&("clients", 7006)), "{ports:?}");
}

#[test]
fn older_names_of_grpc_set_host_and_certificates_and_authorities_of_servers_only_draw_a_line() {
    let of = |variables: &[(&str, &str)]| {
        let on = [("TRUNKLINE_GRPC_ENABLED", "true")];
        load(&Layers::new(environment(&[&on, variables].concat()))).unwrap()
    };
    for name in ["MG_AUTH_GRPC_HOST", "SMQ_CLIENTS_GRPC_HOST", "Clients_AUTH_GRPC_HOST"] {
        let loaded = of(&[(name, "localhost")]);
        assert_eq!(loaded.settings.grpc.host.with_port(1).to_string(), "localhost:1");
        assert_eq!(loaded.warnings, [""; 0]);
    }
    let two = of(&[("MG_AUTH_GRPC_HOST", "auth"), ("MG_USERS_GRPC_HOST", "users")]).warnings;
    assert!(two.len() == 1 && two[0].contains("different values for `grpc.host`"), "{two:?}");

    let authority = ("MG_USERS_GRPC_SERVER_CA_CERTS", "ca.crt");
    let loaded = of(&[authority]);
    assert!(loaded.settings.grpc.client_ca_certs.is_none());
    assert_eq!(
        loaded.warnings,
        ["environment MG_USERS_GRPC_SERVER_CA_CERTS does not make gRPC clients show certificates; \
             `grpc.client_ca_certs` (MG_USERS_GRPC_CLIENT_CA_CERTS) does"]
    );
    let demanding = [
        authority,
        ("MG_USERS_GRPC_CLIENT_CA_CERTS", "ca.crt"),
        ("MG_USERS_GRPC_SERVER_CERT", "users.crt"),
        ("MG_USERS_GRPC_SERVER_KEY", "users.key"),
    ];
    let loaded = of(&demanding);
    assert!(loaded.settings.grpc.client_ca_certs.is_some());
    assert_eq!(loaded.warnings, [""; 0]);
}

#[test]
fn stand_alone_mode_is_both_settings_or_neither_in_all_their_older_names() {
    let loaded = load(&Layers::new(environment(&[
        ("Clients_STANDALONE_EMAIL", "edge@example.com"),
        ("SMQ_CLIENTS_STANDALONE_TOKEN", "a token that nobody guesses"),
    ])))
    .unwrap();
    assert!(loaded.settings.auth.standalone_id.is_some() && loaded.settings.auth.standalone_token.is_some());
    assert_eq!(loaded.warnings, [""; 0]);
    let halves = [
        ("CLIENTS_STANDALONE_ID", "auth.standalone_id"),
        ("CLIENTS_STANDALONE_TOKEN", "auth.standalone_token"),
    ];
    for (name, key) in halves {
        let problems = problems_of(&[(name, "x")]);
        assert!(problems.contains(key) && problems.contains("set both, or neither"), "{problems}");
    }
}

#[test]
fn a_cluster_says_what_it_lacks() {
    let key = "0".repeat(64);
    let all = [
        ("TRUNKLINE_CLUSTER_ENABLED", "true"),
        ("TRUNKLINE_DATABASE_URL", "postgres://localhost/trunkline"),
        ("TRUNKLINE_NATS_URL", "nats://localhost"),
        ("TRUNKLINE_MASTER_KEY", &key),
        ("TRUNKLINE_CLUSTER_LEASE", "2s"),
    ];
    assert!(load(&Layers::new(environment(&all))).is_ok());
    let without = |name| all.into_iter().filter(|(given, _)| *given != name).collect::<Vec<_>>();
    for (name, expected) in [
        ("TRUNKLINE_DATABASE_URL", "`database_url` must be a PostgreSQL with `cluster.enabled`"),
        ("TRUNKLINE_NATS_URL", "`nats.url` is needed with `cluster.enabled`"),
        ("TRUNKLINE_MASTER_KEY", "`master_key` is needed with `cluster.enabled`"),
    ] {
        let problems = problems_of(&without(name));
        assert!(problems.contains(expected), "{problems}");
    }
    let mut short = all;
    short[4].1 = "1s";
    assert!(problems_of(&short).contains("give at least 2s"));
    assert!(load(&Layers::new(environment(&without("TRUNKLINE_CLUSTER_LEASE")))).is_ok());
}
