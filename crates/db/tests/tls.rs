//! TLS to a real PostgreSQL server, with each `sslmode`.

use std::time::Duration;

use db::{Db, Options};
use kernel::{Kind, Result};

/// Makes a certificate for 127.0.0.1 in the server's data directory. It is run by the server, so it is the server's.
const CERTIFICATE: &str = "COPY (SELECT 1) TO PROGRAM 'openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
     -nodes -days 2 -keyout server.key -out server.crt -subj /CN=throw-away \
     -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=IP:127.0.0.1 2>openssl.log && chmod 600 server.key'";

async fn is_encrypted(url: &str) -> Result<bool> {
    let options = Options { connections: 1, wait: Duration::from_secs(5), ..Options::default() };
    let db = Db::open(url, options).await?;
    let encrypted = db
        .read(|tx| {
            Box::pin(async move {
                tx.one("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]).await?.get("ssl")
            })
        })
        .await;
    db.close().await;
    encrypted
}

#[tokio::test]
async fn each_mode_trusts_whom_it_says() {
    let url = testkit::postgres::url();
    assert!(!is_encrypted(&format!("{url}?sslmode=prefer")).await.unwrap());
    assert_eq!(is_encrypted(&format!("{url}?sslmode=require")).await.unwrap_err().kind(), Kind::Unavailable);

    for statement in [CERTIFICATE, "ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"] {
        testkit::postgres::execute(&url, statement);
    }
    let required = format!("{url}?sslmode=require");
    // The server reads its configuration in its own time.
    testkit::wait_until_async("the server to speak TLS", async || is_encrypted(&required).await.is_ok())
        .await;

    let dir = tempfile::tempdir().unwrap();
    let authority = dir.path().join("root.crt");
    let certificate = Db::open(&url, Options { sharing: db::Sharing::Bystander, ..Options::default() })
        .await
        .unwrap()
        .read(|tx| {
            Box::pin(async move { tx.one("SELECT pg_read_file('server.crt')", &[]).await?.get::<String>(0) })
        })
        .await
        .unwrap();
    std::fs::write(&authority, certificate).unwrap();

    let trusting = format!("sslmode=verify-full&sslrootcert={}", authority.display());
    let by_another_name = url.replace("127.0.0.1", "localhost");
    assert!(is_encrypted(&required).await.unwrap());
    assert!(is_encrypted(&url).await.unwrap(), "prefer is the default");
    assert!(!is_encrypted(&format!("{url}?sslmode=disable")).await.unwrap());
    assert!(is_encrypted(&format!("{url}?{trusting}")).await.unwrap());
    for stranger in [format!("{url}?sslmode=verify-full"), format!("{by_another_name}?{trusting}")] {
        let error = is_encrypted(&stranger).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error:?}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}
