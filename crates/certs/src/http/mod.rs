//! The routes of certificates (reference 04 §4.1, §4.6 and §4.7): three generations, whose paths do not collide.
//!
//! Routes without a domain find it by client or certificate; a caller who has no right there learns nothing.

mod issue;
mod public;
mod revoke;
mod shapes;
mod view;

use web::{Route, Routes, Rule};

use crate::{Certs, operations};
use shapes::{
    AuthorityView, CertificatePage, CertificateView, FromRequest, IssuedView, NewCertificate, NewOfClient,
    Renewed, RevocationTime, RevokeOfClient, SerialPage, Token,
};

const ISSUE: Rule = Rule::Operations(&[operations::ISSUE]);
const VIEW: Rule = Rule::Operations(&[operations::VIEW, operations::FIND]);
const RENEW: Rule = Rule::Operations(&[operations::RENEW, operations::FIND]);
const REVOKE: Rule = Rule::Operations(&[operations::REVOKE, operations::FIND]);

/// The table.
pub fn routes(certs: Certs) -> Routes {
    domain_routes().merge(rooted_routes()).merge(public_routes()).with(certs)
}

fn domain_routes() -> Routes<Certs> {
    Routes::new("certs")
        .add(
            Route::post("/{domain}/certs", issue::of_client)
                .named("issue_client_cert")
                .rule(ISSUE)
                .summary("Make a certificate whose common name is the client's id")
                .description(
                    "The answer shows the private key. The time to live is kept as asked, or refused.",
                )
                .takes::<NewOfClient>()
                .answers::<IssuedView>(201),
        )
        .add(
            Route::post("/{domain}/certs/issue/{id}", issue::issue)
                .named("issue_cert")
                .rule(ISSUE)
                .summary("Make a certificate for a client")
                .description("The answer shows the private key.")
                .takes::<NewCertificate>()
                .answers::<IssuedView>(201),
        )
        .add(
            Route::post("/{domain}/certs/csrs/{id}", issue::from_request)
                .named("issue_from_csr")
                .rule(ISSUE)
                .summary("Certify the key of a request for a client")
                .queries::<issue::Life>()
                .takes::<FromRequest>()
                .answers::<CertificateView>(200),
        )
        .add(
            Route::get("/{domain}/certs", view::list)
                .named("list_certs")
                .rule(Rule::Operations(&[operations::LIST]))
                .summary("List the certificates of clients that you may see, the newest first")
                .queries::<view::Filter>()
                .answers::<CertificatePage>(200),
        )
        .add(
            Route::get("/{domain}/certs/{id}", view::view)
                .named("view_cert")
                .rule(VIEW)
                .summary("View a certificate by its serial number")
                .answers::<CertificateView>(200),
        )
        .add(
            Route::get("/{domain}/serials/{id}", view::serials)
                .named("list_cert_serials")
                .rule(VIEW)
                .summary("List the serial numbers of a client's certificates")
                .queries::<view::Filter>()
                .answers::<SerialPage>(200),
        )
        .add(
            Route::patch("/{domain}/certs/{id}/renew", issue::renew)
                .named("renew_cert")
                .rule(RENEW)
                .summary(
                    "Make another certificate with the same names and a new key; the old one stays valid",
                )
                .answers::<Renewed>(200),
        )
        .add(
            Route::patch("/{domain}/certs/{id}/revoke", revoke::quietly)
                .named("revoke_cert")
                .rule(REVOKE)
                .summary("Revoke a certificate")
                .answers_empty(204),
        )
        .add(
            Route::post("/{domain}/certs/{id}/revoke", revoke::one)
                .named("revoke_cert_at")
                .rule(REVOKE)
                .summary("Revoke a certificate and say when")
                .answers::<RevocationTime>(200),
        )
        .add(
            Route::post("/{domain}/certs/{id}/revoke-all", revoke::all)
                .named("revoke_client_certs")
                .rule(REVOKE)
                .summary("Revoke all certificates of a client")
                .answers::<RevocationTime>(200),
        )
        .add(
            Route::delete("/{domain}/certs/{id}", revoke::all)
                .named("remove_client_certs")
                .rule(REVOKE)
                .summary("Revoke all certificates of a client")
                .answers::<RevocationTime>(200),
        )
        .add(
            Route::delete("/{domain}/certs/{id}/delete", revoke::delete)
                .named("delete_certs")
                .rule(REVOKE)
                .summary("Revoke all certificates of a client; none is an error")
                .answers_empty(204),
        )
        .add(
            Route::get("/{domain}/certs/{id}/download/token", view::token)
                .named("issue_cert_download_token")
                .rule(Rule::Operations(&[operations::DOWNLOAD, operations::FIND]))
                .summary("Get a token that downloads a certificate and its key within five minutes")
                .answers::<Token>(200),
        )
}

fn rooted_routes() -> Routes<Certs> {
    Routes::new("certs")
        .add(
            Route::post("/certs/issue/{id}", issue::issue_rooted)
                .named("issue_cert_rooted")
                .rule(ISSUE)
                .summary("Make a certificate for a client of any domain")
                .queries::<issue::Named>()
                .takes::<NewCertificate>()
                .answers::<IssuedView>(201),
        )
        .add(
            Route::get("/certs", view::list_rooted)
                .named("list_certs_rooted")
                .rule(VIEW)
                .summary("List the certificates of a client; for administrators of the platform, of all")
                .queries::<view::Filter>()
                .answers::<CertificatePage>(200),
        )
        .add(
            Route::get("/certs/{id}", view::view_rooted)
                .named("view_cert_rooted")
                .rule(VIEW)
                .summary("View a certificate by its serial number")
                .answers::<CertificateView>(200),
        )
        .add(
            Route::patch("/certs/{id}/renew", issue::renew_rooted)
                .named("renew_cert_rooted")
                .rule(RENEW)
                .summary("Make another certificate with the same names and a new key")
                .answers::<Renewed>(200),
        )
        .add(
            Route::patch("/certs/{id}/revoke", revoke::quietly_rooted)
                .named("revoke_cert_rooted")
                .rule(REVOKE)
                .summary("Revoke a certificate")
                .answers_empty(204),
        )
        .add(
            Route::delete("/certs/{id}/delete", revoke::delete_rooted)
                .named("delete_certs_rooted")
                .rule(REVOKE)
                .summary("Revoke all certificates of a client; none is an error")
                .answers_empty(204),
        )
        .add(
            Route::delete("/certs/revoke", revoke::of_client)
                .named("revoke_certs_of_client")
                .rule(REVOKE)
                .summary("Revoke all certificates of a client")
                .description("`except_serial` or `keep_latest` leave a new one, for a rotation.")
                .takes::<RevokeOfClient>()
                .answers::<RevocationTime>(200),
        )
        .add(
            Route::get("/certs/{id}/download/token", view::token_rooted)
                .named("issue_cert_download_token_rooted")
                .rule(Rule::Operations(&[operations::DOWNLOAD, operations::FIND]))
                .summary("Get a token that downloads a certificate and its key within five minutes")
                .answers::<Token>(200),
        )
}

fn public_routes() -> Routes<Certs> {
    const KNOWN: Rule =
        Rule::Public("certificates of authorities, and which serial numbers were revoked, are no secrets");
    Routes::new("certs")
        .add(
            Route::post("/certs/csrs/{id}", issue::from_agent)
                .named("issue_from_csr_internal")
                .rule(Rule::Public(
                    "the secret that the operator has set is shown in place of a user's token",
                ))
                .summary("Certify the key of a request, for programs of the operator")
                .queries::<issue::Life>()
                .takes::<FromRequest>()
                .answers::<CertificateView>(200),
        )
        .add(
            Route::get("/certs/{id}/download", view::download)
                .named("download_cert")
                .rule(Rule::Public("a token is shown that is good for this certificate, for five minutes"))
                .summary("Download a certificate, its key and the chain as a zip archive")
                .queries::<view::Download>()
                .answers_bytes(200, "application/zip"),
        )
        .add(
            Route::post("/certs/ocsp", public::ask)
                .named("ocsp")
                .rule(KNOWN)
                .summary("Ask whether certificates still hold (RFC 6960)")
                .takes_bytes("application/ocsp-request")
                .answers_bytes(200, "application/ocsp-response"),
        )
        .add(
            Route::get("/certs/ocsp/{question}", public::ask_by_path)
                .named("ocsp_get")
                .rule(KNOWN)
                .summary("The same with the question in the path, in base64")
                .answers_bytes(200, "application/ocsp-response"),
        )
        .add(
            Route::get("/certs/crl", public::list)
                .named("generate_crl")
                .rule(KNOWN)
                .summary("The list of revoked certificates, in base64 within JSON")
                .answers::<public::List>(200),
        )
        .add(
            Route::get("/certs/crl/{issuer}", public::list_of)
                .named("crl_of_issuer")
                .rule(KNOWN)
                .summary("The list of one authority itself")
                .answers_bytes(200, "application/pkix-crl"),
        )
        .add(
            Route::get("/certs/issuers/{issuer}", public::issuer)
                .named("cert_issuer")
                .rule(KNOWN)
                .summary("The certificate of one authority")
                .answers_bytes(200, "application/pkix-cert"),
        )
        .add(
            Route::get("/certs/view-ca", public::authority)
                .named("view_ca")
                .rule(KNOWN)
                .summary("The certificates of the authority")
                .answers::<AuthorityView>(200),
        )
        .add(
            Route::get("/certs/download-ca", public::download)
                .named("download_ca")
                .rule(KNOWN)
                .summary("The certificates of the authority as a zip archive")
                .answers_bytes(200, "application/zip"),
        )
        .add(
            Route::get("/certs/get-ca/token", public::token)
                .named("get_ca_token")
                .rule(KNOWN)
                .summary("A token for the authority's certificates, which need none")
                .answers::<Token>(200),
        )
}
