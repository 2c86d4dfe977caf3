//! The table of settings: every setting once, with its type, default, documentation and all its names.
//!
//! A row reads: documentation, `name: Type = "default"`, in brackets the names after `MG_` and `SMQ_` (reference 07
//! §3), after `also` the complete names of older generations (reference 07 §1). A new setting is a new row here;
//! the struct, the environment, the file, `config show`, `config example` and the help follow.

use std::path::PathBuf;
use std::time::Duration;

use kernel::Secret;
use users::model::{Email, PersonName, Username};

use super::grpc::{Host, Pem};
use super::proxied::ProxiedPorts;
use super::rate::PerSecond;
use super::setting::settings;
use super::value::{
    Address, ByteSize, CertsBackend, ClientCertificates, CommonName, Count, DatabaseUrl, InstanceId,
    KeysAlgorithm, LogFormat, LogLevel, MailTls, MasterKey, NatsUrls, Only, Pattern, Ports, StandaloneUser,
    TlsMode, Words,
};

settings! {
    /// Where the node keeps its data and where it listens; the top of the file.
    NodeSettings in "";

    /// Directory of everything that the node keeps. It is made at the first start, readable by its owner only.
    data_dir: PathBuf = "./data";

    /// Front door: the whole HTTP API. Port 0 lets the system choose a free port.
    http: Address = "0.0.0.0:8080" ["NGINX_HTTP_PORT"];

    /// MQTT 3.1, 3.1.1 and 5 over TCP. Port 0 lets the system choose a free port.
    mqtt: Address = "0.0.0.0:1883" ["MQTT_ADAPTER_MQTT_PORT", "NGINX_MQTT_PORT"];

    /// Database: `sqlite:PATH` or `postgres://user:password@host:5432/name?sslmode=require`.
    /// Without it SQLite in the data directory.
    database_url: Option<DatabaseUrl> = "";

    /// Capabilities that this node serves: `auth`, `users`, `domains`, `groups`, `clients`, `channels`,
    /// `certs`, `bootstrap`, `provision`, `http-adapter`, `mqtt`, `coap`, `policy`. `all` is all of them.
    only: Only = "all";

    /// Key that seals stored secrets: 64 hexadecimal digits. Without it one is made in the data directory.
    /// All nodes of one database need the same key.
    master_key: Option<MasterKey> = "";

    /// Id of this process in `/health`; without it a random one at each start.
    instance_id: Option<InstanceId> = ""
        ["AUTH_ADAPTER_INSTANCE_ID", "USERS_INSTANCE_ID", "DOMAINS_INSTANCE_ID", "GROUPS_INSTANCE_ID",
         "CHANNELS_INSTANCE_ID", "CLIENTS_INSTANCE_ID", "HTTP_ADAPTER_INSTANCE_ID", "MQTT_ADAPTER_INSTANCE_ID"]
        also "Clients_INSTANCE_ID";

    /// How long requests and messages in flight may take to end when the node is stopped.
    shutdown_grace: Duration = "5s";
}

settings! {
    /// The platform's administrator, made at the first start.
    AdminSettings in "admin.";

    /// Name to log in with.
    username: Username = "admin" ["USERS_ADMIN_USERNAME"];

    /// E-mail address; may be used as a name too.
    email: Email = "admin@example.com" ["USERS_ADMIN_EMAIL"];

    /// Password. Without it one is generated and printed at the first start only.
    /// The password of an administrator who exists is never changed.
    password: Option<Secret<String>> = "" ["USERS_ADMIN_PASSWORD"];

    /// First name.
    first_name: PersonName = "super" ["USERS_ADMIN_FIRST_NAME"];

    /// Last name.
    last_name: PersonName = "admin" ["USERS_ADMIN_LAST_NAME"];
}

settings! {
    /// Ports of the separate services of SuperMQ and Magistrala: the whole API answers on each, so that
    /// scripts find it where they look. A port that is taken is only a warning.
    CompatPortSettings in "compat_ports.";

    /// Whether to open them.
    enabled: bool = "true";

    /// Authentication: keys and personal access tokens.
    auth: Ports = "9001,8189" ["AUTH_HTTP_PORT"];

    /// Users.
    users: Ports = "9002" ["USERS_HTTP_PORT"];

    /// Domains.
    domains: Ports = "9003" ["DOMAINS_HTTP_PORT"];

    /// Groups.
    groups: Ports = "9004" ["GROUPS_HTTP_PORT"];

    /// Channels.
    channels: Ports = "9005" ["CHANNELS_HTTP_PORT"];

    /// Clients.
    clients: Ports = "9006,9000" ["CLIENTS_HTTP_PORT"] also "Clients_HTTP_PORT";

    /// Certificates.
    certs: Ports = "9010,9019" ["CERTS_HTTP_PORT"] also "AM_CERTS_HTTP_PORT";

    /// What devices fetch when they are started for the first time.
    bootstrap: Ports = "9013" ["BOOTSTRAP_HTTP_PORT"];

    /// Gateways with all that belongs to them.
    provision: Ports = "9016" ["PROVISION_HTTP_PORT"];

    /// Publishing over HTTP.
    http_adapter: Ports = "8008" ["HTTP_ADAPTER_PORT"];

    /// WebSockets.
    ws_adapter: Ports = "8186" ["WS_ADAPTER_HTTP_PORT"];

    /// The policy service for other brokers. Here only that service answers.
    policy: Ports = "8009";
}

settings! {
    /// TLS of HTTP and MQTT. With a certificate the HTTP ports speak HTTPS beside HTTP, `tls.https` speaks
    /// nothing else, and MQTT over TLS gets a port of its own. Files that change are read again.
    TlsSettings in "tls.";

    /// How safe everything is, in one word, which wins over `tls.plain` and the settings of clients' certificates below:
    /// `none`: nothing is encrypted; for development. `tls`: HTTP, MQTT and CoAP only encrypted, gRPC as its settings say.
    /// `mtls`: besides, every client must show a certificate, of the platform's own authority or of those below, at
    /// HTTPS, MQTT and gRPC. Without a word the settings below say it.
    mode: Option<TlsMode> = "";

    /// Certificate of the server with those between it and its authority: PEM, or the path of a PEM file.
    server_cert: Option<Pem> = ""
        ["NGINX_SERVER_CERT", "AUTH_HTTP_SERVER_CERT", "USERS_HTTP_SERVER_CERT", "DOMAINS_HTTP_SERVER_CERT",
         "GROUPS_HTTP_SERVER_CERT", "CHANNELS_HTTP_SERVER_CERT", "CLIENTS_HTTP_SERVER_CERT",
         "HTTP_ADAPTER_SERVER_CERT", "MQTT_ADAPTER_CERT_FILE", "MQTT_ADAPTER_WS_TLS_CERT"]
        also "Clients_HTTP_SERVER_CERT", "SMQ_CLIENTS_SERVER_CERT", "SMQ_USERS_SERVER_CERT";

    /// Private key of the server, likewise.
    server_key: Option<Pem> = ""
        ["NGINX_SERVER_KEY", "AUTH_HTTP_SERVER_KEY", "USERS_HTTP_SERVER_KEY", "DOMAINS_HTTP_SERVER_KEY",
         "GROUPS_HTTP_SERVER_KEY", "CHANNELS_HTTP_SERVER_KEY", "CLIENTS_HTTP_SERVER_KEY",
         "HTTP_ADAPTER_SERVER_KEY", "MQTT_ADAPTER_KEY_FILE", "MQTT_ADAPTER_WS_TLS_KEY"]
        also "Clients_HTTP_SERVER_KEY", "SMQ_CLIENTS_SERVER_KEY", "SMQ_USERS_SERVER_KEY";

    /// Authorities of clients' certificates, likewise. A client that shows a certificate of theirs is the client whose id
    /// is in an alternative name, or in the subject's common name.
    client_ca_certs: Option<Pem> = ""
        ["NGINX_SERVER_CLIENT_CA", "HTTP_ADAPTER_CLIENT_CA_CERTS", "MQTT_ADAPTER_CLIENT_CA_FILE"];

    /// Whether MQTT clients must show one, where there are authorities: `required` or `optional`.
    client_certs: ClientCertificates = "required";

    /// The same for HTTPS and what comes over it, such as secure WebSockets: browsers have none, so it is not asked for.
    https_client_certs: ClientCertificates = "optional";

    /// What the common name of a client's certificate is: the client's `id`, or its `secret` as SuperMQ's devices have it.
    common_name: CommonName = "id";

    /// HTTPS. Port 0 lets the system choose a free port.
    https: Address = "0.0.0.0:8443" ["NGINX_SSL_PORT"];

    /// MQTT over TLS.
    mqtts: Address = "0.0.0.0:8883" ["NGINX_MQTTS_PORT"];

    /// Whether HTTP, MQTT and CoAP are spoken without TLS, too.
    plain: bool = "true";
}

settings! {
    /// gRPC, by which other people's adapters and services ask this platform. Off, because its callers show no
    /// token: whoever reaches these ports can act as any user, administrators included. They open on loopback
    /// addresses alone, unless client certificates are required; where not all users of the machine may be
    /// administrators of the platform, require certificates there too.
    GrpcSettings in "grpc.";

    /// Whether to serve gRPC. The other settings alone do not open a port.
    enabled: bool = "false";

    /// Address of all services on one port, such as `127.0.0.1:7010`. Without it only the ports below are open.
    address: Option<Address> = "";

    /// Where the ports below are opened. All services answer on each; a port that is taken is only a warning.
    host: Host = "127.0.0.1"
        ["AUTH_GRPC_HOST", "USERS_GRPC_HOST", "DOMAINS_GRPC_HOST", "GROUPS_GRPC_HOST", "CHANNELS_GRPC_HOST",
         "CLIENTS_GRPC_HOST"]
        also "Clients_AUTH_GRPC_HOST";

    /// Authentication and tokens.
    auth: Ports = "7001,8181" ["AUTH_GRPC_PORT"];

    /// Users.
    users: Ports = "7002" ["USERS_GRPC_PORT"];

    /// Domains.
    domains: Ports = "7003" ["DOMAINS_GRPC_PORT"];

    /// Groups.
    groups: Ports = "7004" ["GROUPS_GRPC_PORT"];

    /// Channels.
    channels: Ports = "7005" ["CHANNELS_GRPC_PORT"];

    /// Clients.
    clients: Ports = "7006" ["CLIENTS_GRPC_PORT"] also "Clients_AUTH_GRPC_PORT";

    /// Certificates.
    certs: Ports = "7012" ["CERTS_GRPC_PORT"] also "AM_CERTS_GRPC_PORT";

    /// Certificate of the server with those between it and its authority: PEM, or the path of a PEM file. Files that
    /// change are read again.
    server_cert: Option<Pem> = ""
        ["AUTH_GRPC_SERVER_CERT", "USERS_GRPC_SERVER_CERT", "DOMAINS_GRPC_SERVER_CERT", "GROUPS_GRPC_SERVER_CERT",
         "CHANNELS_GRPC_SERVER_CERT", "CLIENTS_GRPC_SERVER_CERT"]
        also "Clients_AUTH_GRPC_SERVER_CERT";

    /// Private key of the server, likewise.
    server_key: Option<Pem> = ""
        ["AUTH_GRPC_SERVER_KEY", "USERS_GRPC_SERVER_KEY", "DOMAINS_GRPC_SERVER_KEY", "GROUPS_GRPC_SERVER_KEY",
         "CHANNELS_GRPC_SERVER_KEY", "CLIENTS_GRPC_SERVER_KEY"]
        also "Clients_AUTH_GRPC_SERVER_KEY";

    /// Authorities of clients' certificates, likewise. With them a client without certificate is refused.
    client_ca_certs: Option<Pem> = ""
        ["AUTH_GRPC_CLIENT_CA_CERTS", "USERS_GRPC_CLIENT_CA_CERTS", "DOMAINS_GRPC_CLIENT_CA_CERTS",
         "GROUPS_GRPC_CLIENT_CA_CERTS", "CHANNELS_GRPC_CLIENT_CA_CERTS", "CLIENTS_GRPC_CLIENT_CA_CERTS"];

    /// Serve other machines without client certificates: only where the network itself lets nobody else in.
    insecure: bool = "false";

    /// Most open connections of one port; further ones wait.
    max_connections: Count = "1000";
}

settings! {
    /// CoAP, for devices that are too small for MQTT. Over UDP secrets can be read on the way.
    CoapSettings in "coap.";

    /// CoAP over UDP. Without it 5683 opens with the compatibility ports.
    address: Option<Address> = "" ["COAP_ADAPTER_PORT", "COAP_PORT"];

    /// CoAP over DTLS, where a client's id and secret are the pre-shared key. Without it 5684 opens with the compatibility
    /// ports.
    dtls_address: Option<Address> = "";

    /// Most DTLS connections.
    max_dtls_connections: Count = "10000";

    /// How long a DTLS connection that observes nothing may be silent.
    dtls_idle_timeout: Duration = "10m";

    /// Most addresses with accepted credentials that are remembered; the one that was silent longest goes.
    max_peers: Count = "20000";

    /// Most observations.
    max_observations: Count = "50000";

    /// Most observations of one address.
    max_observations_per_peer: Count = "64";

    /// Most messages that wait for an observer; above it the oldest is dropped.
    max_waiting: Count = "128";
}

settings! {
    /// What devices fetch when they are started for the first time.
    BootstrapSettings in "bootstrap.";

    /// Key of secure bootstrap: 16, 24 or 32 characters, the same in every device. Without it the one that SuperMQ and
    /// Magistrala have, which everybody knows.
    encrypt_key: Option<Secret<String>> = "" ["BOOTSTRAP_ENCRYPT_KEY"];
}

settings! {
    /// Gateways, each made by one request with its clients, channels, configuration and certificates.
    ProvisionSettings in "provision.";

    /// TOML file that says what every gateway consists of. Without it, or where it cannot be read, a gateway has one
    /// client, a channel for commands and one for data.
    config_file: Option<PathBuf> = "" ["PROVISION_CONFIG_FILE"];

    /// Token in whose name requests without one are carried out. With it, or with a login, everybody who reaches the API
    /// can make gateways.
    api_key: Option<Secret<String>> = "" ["PROVISION_API_KEY"];

    /// User name or address that is logged in for the same, where there is no token. Needs the password.
    username: Option<String> = "" ["PROVISION_USERNAME"];

    /// Password of that user.
    pass: Option<Secret<String>> = "" ["PROVISION_PASS"];

    /// Make a certificate for every client of a gateway.
    x509_provisioning: bool = "false" ["PROVISION_X509_PROVISIONING"];

    /// Make a bootstrap configuration for every client with `external_id` in its metadata.
    bs_config_provisioning: bool = "true" ["PROVISION_BS_CONFIG_PROVISIONING"];

    /// Take the configuration into use and connect all clients of a gateway to all its channels.
    bs_auto_whitelist: bool = "true" ["PROVISION_BS_AUTO_WHITELIST"];

    /// Bootstrap profile of the configurations.
    bs_profile_id: Option<String> = "" ["PROVISION_BS_PROFILE_ID"];

    /// What the configurations hold: a JSON object. With a file it is not used.
    bs_content: Option<String> = "" ["PROVISION_BS_CONTENT"];

    /// How long the certificates are valid, such as `2400h`, which it is without.
    certs_hours_valid: Option<String> = "" ["PROVISION_CERTS_HOURS_VALID"];
}

settings! {
    /// Tokens and who may do what.
    AuthSettings in "auth.";

    /// Life of an access token.
    access_token_duration: Duration = "1h" ["AUTH_ACCESS_TOKEN_DURATION"];

    /// Life of a refresh token.
    refresh_token_duration: Duration = "24h" ["AUTH_REFRESH_TOKEN_DURATION"];

    /// Life of a token that invites somebody; other services have them made over gRPC.
    invitation_duration: Duration = "168h" ["AUTH_INVITATION_DURATION"];

    /// How tokens are signed: `EdDSA`, `ES256` or `RS256`, whose public keys are published, or `HS256`, `HS384` or `HS512`
    /// with a secret.
    keys_algorithm: KeysAlgorithm = "EdDSA" ["AUTH_KEYS_ALGORITHM"];

    /// Secret of `HS256`, `HS384` and `HS512`, at least 32 bytes. Whoever knows it can act as any user.
    secret_key: Option<Secret<String>> = "" ["AUTH_SECRET_KEY"];

    /// File with the private key that signs: PKCS#8 in PEM, or 64 raw bytes of Ed25519. Its name without extension is the
    /// key's id. It is read again when it changes. Without it the key is made at the first start and kept in the database.
    active_key_path: Option<PathBuf> = "" ["AUTH_KEYS_ACTIVE_KEY_PATH"];

    /// File with a key that signs no more but still verifies.
    retiring_key_path: Option<PathBuf> = "" ["AUTH_KEYS_RETIRING_KEY_PATH"];

    /// After how long another key of the database takes over; 0 is never. `trunkline keys rotate` does it at once.
    key_rotation: Duration = "0";

    /// How long other services may keep the public keys.
    jwks_max_age: Duration = "900s" ["AUTH_JWKS_CACHE_MAX_AGE"];

    /// How much longer they may use them while they fetch them anew.
    jwks_stale: Duration = "60s" ["AUTH_JWKS_CACHE_STALE_WHILE_REVALIDATE"];

    /// Stand-alone mode: the user id or address of the one fixed user, in place of logins. Needs the token.
    standalone_id: Option<StandaloneUser> = "" ["CLIENTS_STANDALONE_ID", "CLIENTS_STANDALONE_EMAIL"]
        also "CLIENTS_STANDALONE_ID", "CLIENTS_STANDALONE_EMAIL", "Clients_STANDALONE_ID", "Clients_STANDALONE_EMAIL";

    /// The fixed user's token: whoever comes with it may do everything, and every other token is refused.
    standalone_token: Option<Secret<String>> = "" ["CLIENTS_STANDALONE_TOKEN"]
        also "CLIENTS_STANDALONE_TOKEN", "Clients_STANDALONE_TOKEN";

    /// File that replaces the built-in table of operations and the permission that each needs.
    permissions_file: Option<PathBuf> = "" ["PERMISSIONS_FILE"];
}

settings! {
    /// Certificates of clients, signed by the authority that the platform has made or that was imported.
    CertsSettings in "certs.";

    /// How long a certificate is valid whose maker does not say.
    default_ttl: Duration = "720h";

    /// The longest that one may be valid; who asks for more is refused.
    max_ttl: Duration = "43800h";

    /// Where devices reach this API, such as `https://iot.example.com`: certificates then say where their revocation list
    /// is and who answers whether they still hold.
    url: Option<String> = "";

    /// Secret that programs of the operator show to have keys certified without a user. Without it none can.
    secret: Option<Secret<String>> = "" ["CERTS_SECRET"] also "AM_CERTS_SECRET";

    /// How long before its end a certificate is announced by an event.
    warn_before: Duration = "168h";

    /// What signs: the `builtin` authority, or the PKI of an OpenBao or Vault: `openbao`.
    backend: CertsBackend = "builtin";

    /// Address of OpenBao.
    openbao_host: String = "http://localhost:8200" ["CERTS_OPENBAO_HOST"] also "AM_CERTS_OPENBAO_HOST";

    /// Role id of AppRole.
    openbao_app_role: Option<Secret<String>> = "" ["CERTS_OPENBAO_APP_ROLE"] also "AM_CERTS_OPENBAO_APP_ROLE";

    /// Secret id of AppRole.
    openbao_app_secret: Option<Secret<String>> = "" ["CERTS_OPENBAO_APP_SECRET"] also "AM_CERTS_OPENBAO_APP_SECRET";

    /// File with the secret id, read at each login: for one that is replaced from outside.
    openbao_secret_id_path: Option<PathBuf> = "" ["CERTS_SECRET_ID_PATH"] also "AM_CERTS_SECRET_ID_PATH";

    /// Namespace.
    openbao_namespace: Option<String> = "" ["CERTS_OPENBAO_NAMESPACE"] also "AM_CERTS_OPENBAO_NAMESPACE";

    /// Mount of the root; the one that signs is named the same with `_int` behind it.
    openbao_pki_path: String = "pki" ["CERTS_OPENBAO_PKI_PATH"] also "AM_CERTS_OPENBAO_PKI_PATH";

    /// Role of the PKI.
    openbao_role: String = "certs" ["CERTS_OPENBAO_ROLE"] also "AM_CERTS_OPENBAO_ROLE";

    /// File with authorities (PEM) that have signed OpenBao's own certificate, beside the usual ones.
    openbao_ca_certs: Option<PathBuf> = "";
}

settings! {
    /// Rules for users.
    UserSettings in "users.";

    /// Regular expression that a new password must match.
    password_regex: Pattern = "^.{8,}$" ["USERS_PASS_REGEX"];

    /// Let anyone make an account without a token.
    self_register: bool = "false" ["USERS_ALLOW_SELF_REGISTER"];

    /// Let users in whose e-mail address is not verified.
    allow_unverified: bool = "true" ["ALLOW_UNVERIFIED_USER"];

    /// How often users are removed that were deleted a while ago.
    delete_interval: Duration = "24h" ["USERS_DELETE_INTERVAL"];

    /// How long after its deletion a user is removed; until then an administrator can bring it back.
    delete_after: Duration = "720h" ["USERS_DELETE_AFTER"];
}

settings! {
    /// Mails to users: links to a new password, and links that verify an address.
    MailSettings in "mail.";

    /// Mail server. Without it no mail is sent.
    host: Option<String> = "" ["EMAIL_HOST"];

    /// Its port.
    port: u16 = "25" ["EMAIL_PORT"];

    /// Name for the mail server, if it wants one.
    username: Option<String> = "" ["EMAIL_USERNAME"];

    /// Password for the mail server.
    password: Option<Secret<String>> = "" ["EMAIL_PASSWORD"];

    /// Address that mails come from; needed with `mail.host`.
    from_address: Option<Email> = "" ["EMAIL_FROM_ADDRESS"];

    /// Name that mails come from.
    from_name: PersonName = "Trunkline" ["EMAIL_FROM_NAME"];

    /// How the connection is protected: `none`, `starttls` or `tls`. `auto`: `tls` on port 465, `none` to this machine,
    /// else `starttls`.
    tls: MailTls = "auto";

    /// What the link to a new password begins with; the page there asks for it and calls `PUT /password/reset`.
    reset_url: String = "http://localhost:8080/password/reset" ["PASSWORD_RESET_URL_PREFIX"];

    /// What the link that verifies an address begins with.
    verification_url: String = "http://localhost:8080/verify-email" ["VERIFICATION_URL_PREFIX"];

    /// HTML file for the mail with the link to a new password; it may hold `{{.User}}`, `{{.Content}}` (the link),
    /// `{{.Host}}`, `{{.To}}`, `{{.From}}` and `{{.Subject}}`.
    reset_template: Option<PathBuf> = "" ["PASSWORD_RESET_EMAIL_TEMPLATE"];

    /// HTML file for the mail with the link that verifies an address.
    verification_template: Option<PathBuf> = "" ["VERIFICATION_EMAIL_TEMPLATE"];
}

settings! {
    /// Logging in with an account of Google. A browser starts at `/oauth/authorize/google`.
    OAuthSettings in "oauth.";

    /// Id of this platform at Google. Without it and the secret nobody logs in this way.
    google_client_id: Option<String> = "" ["GOOGLE_CLIENT_ID"];

    /// Secret of this platform at Google.
    google_client_secret: Option<Secret<String>> = "" ["GOOGLE_CLIENT_SECRET"];

    /// Where Google sends the browser back to, as it is registered there.
    google_redirect_url: String = "http://localhost:8080/oauth/callback/google" ["GOOGLE_REDIRECT_URL"];

    /// State that all logins share, for user interfaces that make Google's URL themselves. It does not protect from forged
    /// logins: without it each login has a state of its own.
    google_state: Option<Secret<String>> = "" ["GOOGLE_STATE"];

    /// Where the browser logs in.
    google_authorize_url: String = "https://accounts.google.com/o/oauth2/v2/auth";

    /// Where a code is exchanged for a token.
    google_token_url: String = "https://oauth2.googleapis.com/token";

    /// Where the token gives a profile.
    google_userinfo_url: String = "https://www.googleapis.com/oauth2/v2/userinfo";

    /// Where the browser goes when it is logged in.
    redirect_url: String = "http://localhost:9095/domains" ["OAUTH_UI_REDIRECT_URL"];

    /// Where the browser goes with `?error=` when it is not.
    error_url: String = "http://localhost:9095/error" ["OAUTH_UI_ERROR_URL"];
}

settings! {
    /// HTTP.
    WebSettings in "web.";

    /// Largest body of a request.
    body_limit: ByteSize = "5MiB";

    /// How long an answer may take.
    request_timeout: Duration = "30s";

    /// How long a caller may take to send the head of a request.
    header_timeout: Duration = "5s"
        ["AUTH_HTTP_SERVER_READ_HEADER_TIMEOUT", "USERS_HTTP_SERVER_READ_HEADER_TIMEOUT",
         "DOMAINS_HTTP_SERVER_READ_HEADER_TIMEOUT", "CHANNELS_HTTP_SERVER_READ_HEADER_TIMEOUT",
         "CLIENTS_HTTP_SERVER_READ_HEADER_TIMEOUT"];

    /// How long a connection may stay open without a request.
    idle_timeout: Duration = "60s"
        ["AUTH_HTTP_SERVER_IDLE_TIMEOUT", "USERS_HTTP_SERVER_IDLE_TIMEOUT", "DOMAINS_HTTP_SERVER_IDLE_TIMEOUT",
         "CHANNELS_HTTP_SERVER_IDLE_TIMEOUT", "CLIENTS_HTTP_SERVER_IDLE_TIMEOUT"];

    /// Most open connections of one listener; further ones wait.
    max_connections: Count = "10000";

    /// Origins from which browsers may call, such as `https://console.example.org`; `none` = all.
    allowed_origins: Words = "none";

    /// Origins whose pages may open WebSockets, besides pages of the same host and the origins in `allowed_origins`; `*` =
    /// all. Devices and programs, which name no origin, always may.
    websocket_origins: Words = "none";

    /// Proxies in front of the node, as addresses or ranges such as `10.0.0.0/8`. From them alone `X-Forwarded-For` and
    /// `Forwarded` are believed, for the limits on attempts and the log. They must set the header themselves.
    trusted_proxies: Words = "none";

    /// Ports on which connections of those proxies, and no others, begin with a PROXY header of version 1 or 2: `http`,
    /// `https`, `mqtt`, `mqtts`, `compat`; `all` is all of them.
    proxy_protocol: ProxiedPorts = "none";
}

settings! {
    /// Bounds of the message engine.
    MessagingSettings in "messaging.";

    /// Largest MQTT packet.
    max_packet: ByteSize = "1MiB";

    /// Most open MQTT connections.
    max_connections: Count = "100000";

    /// Time from opening a connection to its CONNECT.
    handshake_timeout: Duration = "10s";

    /// Longest keep alive of a client.
    max_keep_alive: Duration = "65535s";

    /// Most subscriptions of one session.
    max_subscriptions: Count = "1000";

    /// Most QoS 1 and 2 messages that wait for one session. Above it the publishers of a connected session wait; a session
    /// in memory whose client is away ends.
    queue_messages: Count = "10000";

    /// Most bytes that wait for one session, with the same consequence.
    queue_bytes: ByteSize = "4MiB";

    /// Most QoS 1 and 2 messages that are stored for one session whose client is away. With more the session ends.
    stored_messages: Count = "100000";

    /// Most bytes that are stored for one session whose client is away, with the same consequence.
    stored_bytes: ByteSize = "64MiB";

    /// How long publishers wait for a subscriber that takes nothing before its connection is closed.
    slow_subscriber_timeout: Duration = "10s";

    /// Longest life of a session without a connection.
    max_session_expiry: Duration = "24h";

    /// Most sessions of the node, connected or not.
    max_sessions: Count = "200000";

    /// Most sessions of one client or user.
    max_sessions_per_identity: Count = "100";

    /// Most messages in a second of one connection; over HTTP and CoAP of one client or user. Above it publishers of QoS 1
    /// and 2 are slowed down, other messages are dropped or refused. `none` = no limit.
    max_messages_per_second: PerSecond = "none";

    /// Most bytes in a second, topics and payloads, with the same consequence.
    max_bytes_per_second: PerSecond = "none";

    /// Most messages in a second of all publishers of a domain together, with the same consequence.
    max_domain_messages_per_second: PerSecond = "none";

    /// Most bytes in a second of all publishers of a domain together, with the same consequence.
    max_domain_bytes_per_second: PerSecond = "none";

    /// Longest topic or filter.
    max_topic: ByteSize = "1KiB";

    /// File that leads topics of devices in the field to channels, so that the devices need not change. It is read again
    /// when it changes.
    topic_map: Option<PathBuf> = "";

    /// Most connections at a time that have not been let in yet.
    max_handshakes: Count = "10000";

    /// The same for one address, so that it leaves room for others. Behind a proxy that hides where connections come
    /// from, make it as large as `max_handshakes`.
    max_handshakes_per_address: Count = "1000";

    /// Most retained messages of the node.
    retained_messages: Count = "100000";

    /// Most bytes of the retained messages of the node.
    retained_bytes: ByteSize = "256MiB";
}

settings! {
    /// A NATS, 2.9 or newer: with JetStream for programs that read messages and events of the platform there, and for the
    /// nodes of a cluster, which speak to each other over it. A single node does not need one.
    NatsSettings in "nats.";

    /// Servers of one cluster with commas between them, such as `nats://localhost:4222`. Without it nothing is published.
    url: Option<NatsUrls> = "" ["NATS_URL"];

    /// Whether messages and events are published there. Without JetStream say `false`: nobody could take them.
    publish: bool = "true";

    /// File with credentials (`.creds`), if the servers want them.
    credentials: Option<PathBuf> = "";

    /// Authorities of the servers' certificates, in PEM; without it the system's.
    ca_certs: Option<PathBuf> = "";

    /// What the names of event streams begin with: `magistrala.` or `supermq.`.
    event_prefix: String = "magistrala.";

    /// Most messages that wait in memory while NATS is slow or away; further ones do not reach it.
    queue_messages: Count = "100000";

    /// Most bytes that wait, with the same consequence.
    queue_bytes: ByteSize = "64MiB";

    /// How long NATS may take to confirm something before it is sent again.
    ack_timeout: Duration = "5s";
}

settings! {
    /// Several nodes as one platform (docs/cluster.md): over one PostgreSQL (`database_url`) and one NATS (`nats.url`), with the
    /// same `master_key` and otherwise the same settings.
    ClusterSettings in "cluster.";

    /// Whether this node is one of a cluster.
    enabled: bool = "false";

    /// Name of the cluster on its NATS: letters, digits, `-` and `_`.
    name: String = "trunkline";

    /// A node that shows no sign of life for so long is dead, and others take its place; at least 2s. Publishers that
    /// wait for it wait as long.
    lease: Duration = "10s";
}

settings! {
    /// The log, on standard error.
    LogSettings in "log.";

    /// `debug`, `info`, `warn` or `error`.
    level: LogLevel = "info"
        ["AUTH_LOG_LEVEL", "USERS_LOG_LEVEL", "DOMAINS_LOG_LEVEL", "GROUPS_LOG_LEVEL", "CHANNELS_LOG_LEVEL",
         "CLIENTS_LOG_LEVEL", "HTTP_ADAPTER_LOG_LEVEL", "MQTT_ADAPTER_LOG_LEVEL"]
        also "Clients_LOG_LEVEL", "CELINE_LOG_LEVEL";

    /// `text` for people, `json` for programs.
    format: LogFormat = "text";
}
