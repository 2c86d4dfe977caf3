//! Certificates (reference 04 §4).

use super::*;

const SERIAL: &str = "20:f4:bd";
/// Base64 of `pem`.
const RENEWED: &str = r#"{"certificate":{"serial_number":"20:f4:bd","certificate":"cGVt","key":"cGVt",
    "expiry_time":"2027-01-02T03:04:05Z"},"token":"t+1","crl":"AQI="}"#;

#[tokio::test]
async fn certificates_are_asked_for_as_the_contract_says() {
    let stub = Stub::answering(200, RENEWED).await;
    let api = stub.api();
    let certs = api.certs(domain());
    let renewed = certs.renew(SERIAL).await.unwrap();
    assert_eq!((renewed.certificate.as_str(), renewed.key.unwrap().expose().as_str()), ("pem", "pem"));
    certs.revoke(SERIAL).await.unwrap();
    certs.revoke_all(CLIENT.parse().unwrap(), true).await.unwrap();
    certs.download(SERIAL).await.unwrap();
    assert_eq!(api.cert_authority().revocation_list().await.unwrap(), [1, 2]);
    let (domain, client): (_, ClientId) = (domain(), CLIENT.parse().unwrap());
    assert_eq!(
        stub.asked().iter().map(|line| line.split(" | ").next().unwrap().to_owned()).collect::<Vec<_>>(),
        [
            format!("PATCH /{domain}/certs/{SERIAL}/renew"),
            format!("PATCH /{domain}/certs/{SERIAL}/revoke"),
            "DELETE /certs/revoke".to_owned(),
            format!("GET /{domain}/certs/{SERIAL}/download/token"),
            format!("GET /certs/{SERIAL}/download?token=t%2B1"),
            "GET /certs/crl".to_owned(),
        ]
    );

    let one = r#"{"serial_number":"20:f4:bd","certificate":"pem","expiry_time":"2027-01-02T03:04:05Z",
        "total":0,"certificates":[]}"#;
    let stub = Stub::answering(200, one).await;
    let api = stub.api();
    let certs = api.certs(domain);
    let names = CertificateNames { common_name: "boiler".to_owned(), ..CertificateNames::default() };
    certs.issue(client, &NewCertificate { options: names, ..NewCertificate::default() }).await.unwrap();
    certs.issue_from_csr(client, "csr", "1h").await.unwrap();
    certs.list(Span::default(), &CertificateQuery { revoked: Some(true), entity_id: None }).await.unwrap();
    assert_eq!(certs.view(SERIAL).await.unwrap().certificate.as_deref(), Some("pem"));
    let asked = stub.asked();
    assert!(asked[0].starts_with(&format!("POST /{domain}/certs/issue/{client} ")), "{asked:?}");
    assert!(asked[0].ends_with(r#"{"options":{"common_name":"boiler"}}"#), "{asked:?}");
    assert!(asked[1].starts_with(&format!("POST /{domain}/certs/csrs/{client}?ttl=1h ")), "{asked:?}");
    assert!(asked[1].ends_with(r#"{"csr":"Y3Ny"}"#), "{asked:?}");
    assert!(asked[2].starts_with(&format!("GET /{domain}/certs?revoked=true ")), "{asked:?}");
    assert!(asked[3].starts_with(&format!("GET /{domain}/certs/{SERIAL} ")), "{asked:?}");
}
