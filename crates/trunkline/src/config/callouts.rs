//! The settings of callouts: the same rows for each service that asks them (reference 02 §6).

use std::path::PathBuf;
use std::time::Duration;

use super::setting::settings;
use super::value::{CalloutMethod, Words};

macro_rules! callout_settings {
    ($(
        #[doc = $about:literal]
        $group:ident in $prefix:literal:
        $urls:literal $method:literal $timeout:literal $tls_verification:literal $ca_cert:literal $cert:literal
        $key:literal $operations:literal;
    )+) => {$(
        settings! {
            #[doc = $about]
            $group in $prefix;

            /// Addresses that are asked in turn, such as `https://policy.example.org/check`; `none` = no callout. An
            /// answer of 200 lets the request pass.
            urls: Words = "none" [$urls];

            /// `POST` (the question is JSON) or `GET` (it is the query).
            method: CalloutMethod = "POST" [$method];

            /// How long one address may take; a request that it does not answer is refused with 503.
            timeout: Duration = "10s" [$timeout];

            /// Whether the certificate of an `https` address must hold.
            tls_verification: bool = "true" [$tls_verification];

            /// File with an authority (PEM) that is trusted beyond those of the system.
            ca_cert: Option<PathBuf> = "" [$ca_cert];

            /// File with the certificate (PEM) that is shown to the address.
            cert: Option<PathBuf> = "" [$cert];

            /// File with the key (PEM) of that certificate.
            key: Option<PathBuf> = "" [$key];

            /// Operations about which they are asked, such as `create_clients` or `view`; `none` = none.
            operations: Words = "none" [$operations];
        }

        impl $group {
            /// As the access crate takes it.
            pub fn hook(&self) -> access::callouts::Settings {
                access::callouts::Settings {
                    urls: self.urls.0.clone(),
                    get: self.method == CalloutMethod::Get,
                    timeout: self.timeout,
                    tls_verification: self.tls_verification,
                    ca_cert: self.ca_cert.clone(),
                    cert: self.cert.clone(),
                    key: self.key.clone(),
                    operations: self.operations.0.clone(),
                }
            }
        }
    )+};
}

callout_settings! {
    /// Your own endpoints that may refuse what somebody does with domains and invitations.
    DomainCalloutSettings in "domains_callout.":
        "DOMAINS_CALLOUT_URLS" "DOMAINS_CALLOUT_METHOD" "DOMAINS_CALLOUT_TIMEOUT" "DOMAINS_CALLOUT_TLS_VERIFICATION"
        "DOMAINS_CALLOUT_CA_CERT" "DOMAINS_CALLOUT_CERT" "DOMAINS_CALLOUT_KEY" "DOMAINS_CALLOUT_OPERATIONS";
    /// Your own endpoints that may refuse what somebody does with groups.
    GroupCalloutSettings in "groups_callout.":
        "GROUPS_CALLOUT_URLS" "GROUPS_CALLOUT_METHOD" "GROUPS_CALLOUT_TIMEOUT" "GROUPS_CALLOUT_TLS_VERIFICATION"
        "GROUPS_CALLOUT_CA_CERT" "GROUPS_CALLOUT_CERT" "GROUPS_CALLOUT_KEY" "GROUPS_CALLOUT_OPERATIONS";
    /// Your own endpoints that may refuse what somebody does with clients.
    ClientCalloutSettings in "clients_callout.":
        "CLIENTS_CALLOUT_URLS" "CLIENTS_CALLOUT_METHOD" "CLIENTS_CALLOUT_TIMEOUT" "CLIENTS_CALLOUT_TLS_VERIFICATION"
        "CLIENTS_CALLOUT_CA_CERT" "CLIENTS_CALLOUT_CERT" "CLIENTS_CALLOUT_KEY" "CLIENTS_CALLOUT_OPERATIONS";
    /// Your own endpoints that may refuse what somebody does with channels.
    ChannelCalloutSettings in "channels_callout.":
        "CHANNELS_CALLOUT_URLS" "CHANNELS_CALLOUT_METHOD" "CHANNELS_CALLOUT_TIMEOUT"
        "CHANNELS_CALLOUT_TLS_VERIFICATION" "CHANNELS_CALLOUT_CA_CERT" "CHANNELS_CALLOUT_CERT"
        "CHANNELS_CALLOUT_KEY" "CHANNELS_CALLOUT_OPERATIONS";
}
