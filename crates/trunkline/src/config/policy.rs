//! The settings of the policy service, and what they mean to it.
//!
//! The names `CELINE_*` are those of the original service (reference 08 §9), so that its deployments start this one.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use kernel::Secret;
use policy::claims::{ClaimOptions, SubjectRule};
use policy::convention::Convention;
use policy::http::HttpOptions;
use policy::oidc::OidcOptions;
use policy::rules::{CapabilityMode, RuleOptions, SubscribeDeny};
use policy::{AuditOptions, CacheOptions, LimitOptions, PolicyOptions, PolicySource, RegoOptions};

use super::grpc::Pem;
use super::rate::PerSecond;
use super::setting::settings;
use super::value::{Address, Count, Form, Value, Words, list, words};
use crate::build_info;

settings! {
    /// The policy service: other brokers (Mosquitto, EMQX, RabbitMQ, VerneMQ) ask it who may do what. It has a port of its
    /// own (`compat_ports.policy`); `trunkline policy` runs it alone.
    PolicySettings in "policy.";

    /// Address of the service, such as `127.0.0.1:8009`. Without it the port in `compat_ports.policy`.
    address: Option<Address> = "";

    /// Rule file, or directory whose `*.json` files are read. They are read again when they change.
    rules: Option<PathBuf> = "" also "CELINE_DATA_DIR", "CELINE_POLICIES_DATA_DIR";

    /// What decides: `rules`, `convention` (topics `celine/{service}/{resource}/…`, scopes `{service}.{resource}.read`), or
    /// `rego`: the policies in `policy.policies`, with the files of `policy.rules` as their data.
    language: PolicyLanguage = "rules";

    /// Rego file, or directory whose `*.rego` files are read; only where the language is `rego`.
    policies: PathBuf = "policies" also "CELINE_POLICIES_DIR";

    /// Package of the rules `allow`, `reason` and `superuser` in the Rego policies.
    package: String = "celine.mqtt.acl" also "CELINE_MQTT_POLICY_PACKAGE";

    /// Issuers whose tokens are taken, as the tokens spell them.
    issuers: Words = "none" also "CELINE_OIDC_ISSUER", "CELINE_OIDC_BASE_URL";

    /// Where the public keys of all issuers are. Without it each is asked at `/.well-known/openid-configuration`.
    jwks_uri: Option<String> = "" also "CELINE_OIDC_JWKS_URI";

    /// Audiences, one of which a token must have; `none` = any. Set it where an issuer serves other applications too.
    audiences: Words = "none" also "CELINE_OIDC_AUDIENCE";

    /// How tokens may be signed: `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `EdDSA`.
    algorithms: Algorithms = "RS256" also "CELINE_JWT_ALGORITHMS";

    /// By how much the clocks of issuers may differ from ours.
    leeway: Duration = "30s";

    /// How long public keys are used before they are asked for again. An issuer that is away ends none of them.
    jwks_ttl: Duration = "1h" also "CELINE_JWKS_CACHE_TTL_SECONDS";

    /// What makes a service: `claims` (a client id or service account), or `holdings` (scopes without groups).
    subjects_by: SubjectsBy = "claims";

    /// Take a token with an e-mail address or user name for a user's though it names the application as `client_id`.
    people_with_client_id: bool = "false";

    /// Claim with a user's groups.
    groups_claim: String = "groups";

    /// Count `realm_access.roles` among a user's groups.
    realm_roles: bool = "true";

    /// Count `organization.<name>.groups` among a user's groups.
    organization_groups: bool = "false";

    /// Whether a user needs a group `or` a scope that is capable of an action: `union`, or both: `intersection`.
    capabilities: CapabilityRule = "union";

    /// What a rule that denies means for subscriptions: `overlap` (no topic of the filter may be denied) or `exact`.
    subscribe_deny: DenyRule = "overlap";

    /// Groups that are superusers, beside those of the rule file.
    superuser_groups: Words = "none";

    /// Scopes that are superusers, beside those of the rule file.
    superuser_scopes: Words = "none" also "CELINE_MQTT_SUPERUSER_SCOPE";

    /// Refuse clients whose user name is not the subject's own. Needed where the broker remembers logins.
    require_verified_username: bool = "false";

    /// JSON file of whom to refuse though the token holds: `tokens` (their `jti`), `subjects`, `clients`. Read again when it
    /// changes.
    denied: Option<PathBuf> = "";

    /// File that keeps logins over a restart. Without it one in the data directory.
    logins_file: Option<PathBuf> = "";

    /// What brokers must bring: `?secret=…` in the address that they are configured with, or a password before it.
    broker_secret: Option<Secret<String>> = "";

    /// Addresses or ranges of the brokers; `none` = any.
    brokers: Words = "none";

    /// Authorities of the brokers' certificates: PEM, or the path of a PEM file. With them the service speaks TLS alone, with
    /// `tls.server_cert`, and whoever shows no certificate of theirs is not served. They must sign nothing else.
    broker_ca_certs: Option<Pem> = "";

    /// Most questions in a second from one address; with more the broker is told that nobody can say now, which it does not
    /// remember. `none` = no limit.
    max_questions_per_second: PerSecond = "50000";

    /// Most tokens and secrets in a second that may fail from one address. While there are more, new ones are not looked at
    /// there; tokens that were verified before and clients that are connected go on. `none` = no limit.
    max_failures_per_second: PerSecond = "1000";

    /// Answer `ok` instead of JSON, for brokers set to `text`; `?response=text` asks for it alone.
    text_answers: bool = "false";

    /// Remember decisions until the rules change.
    cache: bool = "true" also "CELINE_DECISION_CACHE_ENABLED", "CELINE_POLICIES_CACHE_ENABLED";

    /// Most decisions that are remembered.
    cache_size: Count = "10000" also "CELINE_DECISION_CACHE_MAXSIZE", "CELINE_POLICIES_CACHE_MAXSIZE";

    /// For how long.
    cache_ttl: Duration = "300s" also "CELINE_DECISION_CACHE_TTL_SECONDS", "CELINE_POLICIES_CACHE_TTL";

    /// Put every decision on record.
    audit: bool = "true" also "CELINE_AUDIT_ENABLED";

    /// File of the record, a line of JSON each. Without it the log.
    audit_file: Option<PathBuf> = "";

    /// Record the subject with its groups and scopes, too.
    audit_inputs: bool = "false" also "CELINE_AUDIT_LOG_INPUTS";
}

words! {
    /// What decides.
    PolicyLanguage, "`rules`, `convention` or `rego`" {
        /// Rules in files.
        Rules = "rules";
        /// The shape of topics.
        Convention = "convention";
        /// Policies in Rego.
        Rego = "rego";
    }
}

words! {
    /// What makes a service.
    SubjectsBy, "`claims` or `holdings`" {
        /// Its claims.
        Claims = "claims";
        /// Scopes without groups.
        Holdings = "holdings";
    }
}

words! {
    /// How groups and scopes go together.
    CapabilityRule, "`union` or `intersection`" {
        /// One is enough.
        Union = "union";
        /// Users need both.
        Intersection = "intersection";
    }
}

words! {
    /// What a denial means for subscriptions.
    DenyRule, "`overlap` or `exact`" {
        /// One topic in common is enough.
        Overlap = "overlap";
        /// All of its topics.
        Exact = "exact";
    }
}

/// Algorithms of public keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Algorithms(pub Vec<Algorithm>);

impl Value for Algorithms {
    const EXPECTED: &'static str = "a list of `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, \
                                    `EdDSA`; a shared secret (`HS…`) is no public key";
    const FORM: Form = Form::Words;

    /// With commas, or as the JSON list that the original service takes.
    fn parse(text: &str) -> Option<Self> {
        let algorithm = |word: &str| {
            let algorithm: Algorithm = word.trim_matches('"').parse().ok()?;
            (!matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512))
                .then_some(algorithm)
        };
        let bare = text.trim().trim_start_matches('[').trim_end_matches(']');
        list(bare, algorithm).filter(|algorithms| !algorithms.is_empty()).map(Self)
    }
}

impl PolicySettings {
    /// What the service is told; `logins` is the file for them where none is set.
    pub(crate) fn options(&self, logins: Option<PathBuf>) -> PolicyOptions {
        PolicyOptions {
            source: self.source(),
            denied: self.denied.clone(),
            oidc: OidcOptions {
                issuers: self.issuers.0.clone(),
                jwks_uri: self.jwks_uri.clone(),
                audiences: self.audiences.0.clone(),
                algorithms: self.algorithms.0.clone(),
                leeway: self.leeway,
                jwks_ttl: self.jwks_ttl,
                claims: self.claims(),
                ..OidcOptions::default()
            },
            cache: CacheOptions { enabled: self.cache, size: self.cache_size.0, ttl: self.cache_ttl },
            audit: AuditOptions {
                enabled: self.audit,
                file: self.audit_file.clone(),
                inputs: self.audit_inputs,
            },
            limits: LimitOptions {
                questions: self.max_questions_per_second.0,
                failures: self.max_failures_per_second.0,
            },
            bindings: self.logins_file.clone().or(logins),
            require_verified_username: self.require_verified_username,
            version: build_info::VERSION.to_owned(),
        }
    }

    /// Where the policy comes from.
    pub(crate) fn source(&self) -> PolicySource {
        match self.language {
            PolicyLanguage::Rules => PolicySource::Rules(self.rules.clone(), self.rule_options()),
            PolicyLanguage::Convention => {
                let scope = self.superuser_scopes.0.first().cloned();
                let superuser_scope = scope.unwrap_or_else(|| Convention::default().superuser_scope);
                PolicySource::Convention(Convention { superuser_scope })
            }
            PolicyLanguage::Rego => PolicySource::Rego(RegoOptions {
                policies: self.policies.clone(),
                data: self.rules.clone(),
                package: self.package.clone(),
                superuser_groups: self.superuser_groups.0.clone(),
                superuser_scopes: self.superuser_scopes.0.clone(),
            }),
        }
    }

    pub(crate) fn rule_options(&self) -> RuleOptions {
        RuleOptions {
            capability_mode: match self.capabilities {
                CapabilityRule::Union => CapabilityMode::Union,
                CapabilityRule::Intersection => CapabilityMode::Intersection,
            },
            subscribe_deny: match self.subscribe_deny {
                DenyRule::Overlap => SubscribeDeny::Overlap,
                DenyRule::Exact => SubscribeDeny::Exact,
            },
            superuser_groups: self.superuser_groups.0.clone(),
            superuser_scopes: self.superuser_scopes.0.clone(),
        }
    }

    /// What claims mean.
    pub(crate) fn claims(&self) -> ClaimOptions {
        ClaimOptions {
            rule: match self.subjects_by {
                SubjectsBy::Claims => SubjectRule::Claims,
                SubjectsBy::Holdings => SubjectRule::Holdings,
            },
            people_with_client_id: self.people_with_client_id,
            groups_claim: self.groups_claim.clone(),
            realm_roles: self.realm_roles,
            organization_groups: self.organization_groups,
            ..ClaimOptions::default()
        }
    }

    /// How brokers are met.
    pub(crate) fn http(&self) -> kernel::Result<HttpOptions> {
        let network = |text: &String| {
            text.parse().map_err(|error| kernel::Error::invalid(format!("`policy.brokers`: {error}")))
        };
        Ok(HttpOptions {
            text: self.text_answers,
            broker_secret: self.broker_secret.clone(),
            brokers: self.brokers.0.iter().map(network).collect::<kernel::Result<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Environment, Layers};

    fn with(variables: &[(&str, &str)]) -> PolicySettings {
        let environment: Environment =
            variables.iter().map(|&(name, value)| (name.into(), value.into())).collect();
        config::load(&Layers::new(environment)).unwrap().settings.policy
    }

    #[test]
    fn the_variables_of_the_original_service_start_this_one() {
        let options = with(&[
            ("CELINE_DATA_DIR", "policies/data"),
            ("CELINE_OIDC_ISSUER", "http://keycloak/realms/celine"),
            ("CELINE_OIDC_JWKS_URI", "http://keycloak/certs"),
            ("CELINE_OIDC_AUDIENCE", "mqtt"),
            ("CELINE_JWT_ALGORITHMS", r#"["RS256", "ES256"]"#),
            ("CELINE_JWKS_CACHE_TTL_SECONDS", "60"),
            ("CELINE_DECISION_CACHE_ENABLED", "false"),
            ("CELINE_DECISION_CACHE_MAXSIZE", "7"),
            ("CELINE_DECISION_CACHE_TTL_SECONDS", "9"),
            ("CELINE_AUDIT_ENABLED", "true"),
            ("CELINE_AUDIT_LOG_INPUTS", "true"),
            ("CELINE_LOG_LEVEL", "INFO"),
            ("CELINE_SERVICE_NAME", "celine-policies"),
        ])
        .options(None);
        let PolicySource::Rules(Some(path), _) = options.source else { panic!("no rules") };
        assert_eq!(path, PathBuf::from("policies/data"));
        assert_eq!(options.oidc.issuers, ["http://keycloak/realms/celine"]);
        assert_eq!(options.oidc.jwks_uri.as_deref(), Some("http://keycloak/certs"));
        assert_eq!(options.oidc.audiences, ["mqtt"]);
        assert_eq!(options.oidc.algorithms, [Algorithm::RS256, Algorithm::ES256]);
        assert_eq!(options.oidc.jwks_ttl, Duration::from_secs(60));
        assert_eq!((options.cache.enabled, options.cache.size), (false, 7));
        assert_eq!(options.cache.ttl, Duration::from_secs(9));
        assert!(options.audit.enabled && options.audit.inputs);
    }

    #[test]
    fn an_env_file_says_what_the_process_does_not() {
        let process: Environment =
            [("celine_oidc_issuer".into(), "http://process".into())].into_iter().collect();
        let file = "# the service\nexport CELINE_OIDC_AUDIENCE=\"mqtt\"\nCELINE_OIDC_ISSUER=http://file\n\
                    celine_data_dir='policies/data' # ours\nCELINE_JWKS_CACHE_TTL_SECONDS=60 # a minute\n\
                    TRUNKLINE_POLICY_AUDIT=nonsense\nCELINE_OIDC_JWKS_URI=\nnothing\n";
        let environment = process.with_celine(file);
        let settings = config::load(&Layers::new(environment)).unwrap().settings.policy;
        assert_eq!(settings.issuers.0, ["http://process"]);
        assert_eq!(settings.audiences.0, ["mqtt"]);
        assert_eq!(settings.rules, Some(PathBuf::from("policies/data")));
        assert_eq!(settings.jwks_ttl, Duration::from_secs(60));
        assert_eq!(settings.jwks_uri, None);
    }

    #[test]
    fn a_shared_secret_is_no_algorithm_here() {
        for good in ["RS256", "ES256,EdDSA", r#"["PS512"]"#] {
            assert!(Algorithms::parse(good).is_some(), "{good}");
        }
        for bad in ["HS256", "RS256,HS512", "none", "", "[]", "RS257"] {
            assert!(Algorithms::parse(bad).is_none(), "{bad}");
        }
    }
}
