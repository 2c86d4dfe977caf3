//! The command line makes certificates, shows and takes them back; openssl reads what it writes.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::shell::{Shell, plant};

/// Runs openssl where the shell works; whether it ended well, and what it said.
#[track_caller]
fn openssl(shell: &Shell, arguments: &str) -> (bool, String) {
    let run =
        Command::new("openssl").args(arguments.split(' ')).current_dir(shell.directory()).output().unwrap();
    (run.status.success(), String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned())
}

/// Whether openssl takes the certificate in `{name}.crt` for one of the platform.
fn verifies(shell: &Shell, name: &str) -> bool {
    let file = format!("{name}.crt");
    openssl(shell, &format!("verify -x509_strict -purpose sslclient -CAfile ca.pem -untrusted {file} {file}"))
        .0
}

/// The serial number of the certificate in `{name}.crt`, in lower case.
fn serial(shell: &Shell, name: &str) -> String {
    let (_, said) = openssl(shell, &format!("x509 -noout -serial -in {name}.crt"));
    said.trim().strip_prefix("serial=").unwrap().to_lowercase()
}

#[test]
fn certificates_are_made_renewed_taken_back_and_downloaded() {
    let (_server, admin) = plant();
    admin.ok(&["clients", "create", "boiler"]);
    let ca = admin.ok(&["certs", "ca"]);
    std::fs::write(admin.directory().join("ca.pem"), ca).unwrap();

    let said =
        admin.ok(&["certs", "issue", "boiler", "--ttl", "90m", "--dns", "boiler.local", "--out", "boiler"]);
    assert!(said.contains("boiler.crt and boiler.key"), "{said}");
    let mode = std::fs::metadata(admin.directory().join("boiler.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(verifies(&admin, "boiler"));
    let of_key = openssl(&admin, "pkey -in boiler.key -pubout").1;
    assert_eq!(openssl(&admin, "x509 -in boiler.crt -noout -pubkey").1, of_key);
    assert!(openssl(&admin, "x509 -in boiler.crt -noout -ext subjectAltName").1.contains("DNS:boiler.local"));
    let shown = admin.json(&["certs", "issue", "boiler", "--key-type", "ed25519"]);
    assert!(shown["key"].as_str().unwrap().starts_with("-----BEGIN PRIVATE KEY-----"), "{shown}");

    openssl(
        &admin,
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key -out own.csr -subj /CN=b",
    );
    let said = admin.ok(&["certs", "issue", "boiler", "--csr", "own.csr", "--ttl", "1h", "--out", "own"]);
    assert!(said.ends_with("own.crt\n"), "{said}");
    assert!(verifies(&admin, "own"));
    let said = admin.fails(1, &["certs", "issue", "boiler", "--csr", "boiler.key"]);
    assert!(said.contains("not PEM of a certificate request"), "{said}");

    let first = serial(&admin, "boiler");
    admin.ok(&["certs", "renew", &first, "--out", "renewed"]);
    assert!(verifies(&admin, "renewed"));
    assert_eq!(admin.ids(&["certs", "list", "--client", "boiler"]).len(), 4);
    assert_eq!(admin.json(&["certs", "view", &first])["revoked"], false);
    let said = admin.fails(1, &["certs", "revoke", &first]);
    assert!(said.contains("--yes"), "{said}");
    admin.ok(&["certs", "revoke", &first, "--yes"]);
    assert_eq!(admin.json(&["certs", "view", &first])["revoked"], true);
    let list = admin.ok(&["certs", "crl"]);
    std::fs::write(admin.directory().join("list.pem"), list).unwrap();
    let (good, said) = openssl(&admin, "crl -in list.pem -noout -text");
    assert!(good && said.to_lowercase().contains(&first), "{said}");

    admin.ok(&["certs", "revoke", "--client", "boiler", "--keep-latest", "--yes"]);
    assert_eq!(admin.ids(&["certs", "list", "--revoked", "true"]).len(), 3);
    let left = admin.ids(&["certs", "list", "--revoked", "false"]);
    assert_eq!(left[0].replace(':', ""), serial(&admin, "renewed"));
    admin.ok(&["certs", "download", &left[0], "--out", "renewed.zip"]);
    let zip = std::fs::read(admin.directory().join("renewed.zip")).unwrap();
    let key = std::fs::read(admin.directory().join("renewed.key")).unwrap();
    assert!(zip.windows(key.len()).any(|part| part == key), "the key is in the archive");
    let said = admin.fails(1, &["certs", "view", "20:f4:bd"]);
    assert!(said.contains("not found"), "{said}");
}
