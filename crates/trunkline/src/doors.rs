//! The ports that the node opens: the front door, the ports of the separate services, and MQTT.
//!
//! The front door and MQTT must open, or the start ends with an error that says which setting to change. A compatibility
//! port that is taken is only a warning, since the same API answers at the front door.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use web::{Encryption, Listener, ListenerOptions, TrustedProxies};

use crate::compose;
use crate::config::{Address, Capability, CoapSettings, Pem, ProxiedPort, Settings};

/// The open HTTP ports.
#[derive(Debug)]
pub(crate) struct HttpDoors {
    /// Everything on one port.
    pub(crate) front: Listener,
    /// The same with TLS alone.
    pub(crate) https: Option<Listener>,
    /// The same on the port of each service.
    pub(crate) compat: Vec<Listener>,
    /// The policy service for other brokers.
    pub(crate) policy: Vec<Listener>,
}

/// The certificates of HTTP and of MQTT: their protocols differ, and what they ask of clients.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) http: tls::Server,
    pub(crate) mqtt: tls::Server,
    /// Where brokers must show a certificate: of authorities of their own, and never of those that sign devices.
    pub(crate) brokers: Option<tls::Server>,
}

impl Certificates {
    /// Reads them, where there are any. `callers` keeps devices from passing for brokers; without a registry there are none.
    pub(crate) async fn load(
        settings: &Settings,
        revoked: &certs::Revoked,
        callers: Option<&certs::Callers>,
    ) -> anyhow::Result<Option<Self>> {
        let tls = &settings.tls;
        let Some((certificate, key)) = tls.server_cert.as_ref().zip(tls.server_key.as_ref()) else {
            return Ok(None);
        };
        let shown = |clients, authorities: Option<&Pem>| tls::Tls {
            certificate: certificate.source().clone(),
            key: key.source().clone(),
            client_authorities: authorities.map(|pem| pem.source().clone()),
            clients,
        };
        let of_devices: Arc<dyn tls::Revocations> = Arc::new(revoked.clone());
        let load = async |shown, protocols, revoked| {
            tls::Server::load(shown, protocols, revoked, tls::Bounds::default()).await.map_err(|error| {
                anyhow::anyhow!(
                    "TLS: {error} ({}); see `tls.server_cert`, `tls.server_key`, `tls.client_ca_certs` and \
                     `policy.broker_ca_certs`",
                    error.chain()
                )
            })
        };
        let (over_http, of_clients) = (&["h2", "http/1.1"][..], tls.client_ca_certs.as_ref());
        let brokers = match &settings.policy.broker_ca_certs {
            None => None,
            own => {
                let of_brokers =
                    callers.map(|callers| Arc::new(callers.clone()) as Arc<dyn tls::Revocations>);
                Some(load(shown(tls::Clients::Required, own.as_ref()), over_http, of_brokers).await?)
            }
        };
        let https = shown(tls.of_https_clients(), of_clients);
        let mqtts = shown(tls.of_mqtt_clients(), of_clients);
        Ok(Some(Self {
            http: load(https, over_http, Some(Arc::clone(&of_devices))).await?,
            mqtt: load(mqtts, &[], Some(of_devices)).await?,
            brokers,
        }))
    }

    /// Of the policy service's ports.
    fn of_brokers(certificates: Option<&Self>, plain: bool) -> Encryption {
        match certificates.and_then(|certificates| certificates.brokers.as_ref()) {
            Some(own) => Encryption::Required(own.clone()),
            None => Self::of_http(certificates, plain),
        }
    }

    /// Looks for new files until the end, and believes the platform's own authorities where devices may show their
    /// certificates.
    pub(crate) fn tend(
        self,
        authorities: Option<&watch::Receiver<Arc<str>>>,
        shutdown: &CancellationToken,
    ) -> kernel::Result<()> {
        let Self { http, mqtt, brokers } = self;
        for (tls, authorities) in [(Some(http), authorities), (Some(mqtt), authorities), (brokers, None)] {
            let Some(tls) = tls else { continue };
            if let Some(told) = authorities {
                tokio::spawn(tls.follow(told.clone(), shutdown.clone())?);
            }
            tokio::spawn(tls.tend(shutdown.clone()));
        }
        Ok(())
    }

    fn of_http(certificates: Option<&Self>, plain: bool) -> Encryption {
        match certificates {
            None => Encryption::Off,
            Some(certificates) if plain => Encryption::Welcome(certificates.http.clone()),
            Some(certificates) => Encryption::Required(certificates.http.clone()),
        }
    }
}

impl HttpDoors {
    /// Opens them.
    pub(crate) async fn open(
        settings: &Settings,
        certificates: Option<&Certificates>,
    ) -> anyhow::Result<Self> {
        let address = &settings.node.http;
        let proxies = |port| proxies(settings, port);
        let [of_front, of_https, of_compat] =
            [proxies(ProxiedPort::Http)?, proxies(ProxiedPort::Https)?, proxies(ProxiedPort::Compat)?];
        let options = |service, plain, proxies: &TrustedProxies| ListenerOptions {
            encryption: Certificates::of_http(certificates, plain),
            proxy_protocol: proxies.clone(),
            ..options(settings, service)
        };
        let bind = |at| Listener::bind(at, options("clients", settings.tls.is_plain(), &of_front));
        let front =
            bind_any(address, bind).await.map_err(|error| refused("HTTP", "http", address, &error))?;
        let https = match certificates {
            None => None,
            Some(_) => {
                let address = &settings.tls.https;
                let bind = |at| Listener::bind(at, options("clients", false, &of_https));
                let bound = bind_any(address, bind).await;
                Some(bound.map_err(|error| refused("HTTPS", "tls.https", address, &error))?)
            }
        };
        let (mut compat, mut closed) = (Vec::new(), Vec::new());
        for (service, port) in settings.compat_ports() {
            let address = address.with_port(port);
            let bind = |at| Listener::bind(at, options(service, settings.tls.is_plain(), &of_compat));
            match bind_any(&address, bind).await {
                Ok(listener) => compat.push(listener),
                // The front door may have been put on one of these ports.
                Err(_) if port == front.local_addr().port() => {}
                Err(error) => closed.push(format!("{port} of {service} ({error})")),
            }
        }
        let mut policy = Vec::new();
        for (service, port) in settings.policy_ports() {
            let address = address.with_port(port);
            let options = || ListenerOptions {
                encryption: Certificates::of_brokers(certificates, settings.tls.is_plain()),
                ..options(service, settings.tls.is_plain(), &of_compat)
            };
            match bind_any(&address, |at| Listener::bind(at, options())).await {
                Ok(listener) => policy.push(listener),
                Err(error) => closed.push(format!("{port} of {service} ({error})")),
            }
        }
        if let Some(address) = &settings.policy.address
            && settings.node.only.serves(Capability::Policy)
        {
            policy.push(open_policy(settings, certificates, address).await?);
        }
        if !closed.is_empty() {
            tracing::warn!(
                "these ports stay closed: {}; --no-compat-ports switches them off, `compat_ports.*` changes them",
                closed.join(", ")
            );
        }
        Ok(Self { front, https, compat, policy })
    }
}

/// Opens the port of the policy service at an address of its own.
pub(crate) async fn open_policy(
    settings: &Settings,
    certificates: Option<&Certificates>,
    address: &Address,
) -> anyhow::Result<Listener> {
    let options = || ListenerOptions {
        encryption: Certificates::of_brokers(certificates, settings.tls.is_plain()),
        ..options(settings, "policy")
    };
    let bound = bind_any(address, |at| Listener::bind(at, options())).await;
    bound.map_err(|error| {
        anyhow::anyhow!(
            "cannot listen for brokers on `{address}` ({error}); choose another address with `policy.address` \
             (TRUNKLINE_POLICY_ADDRESS)"
        )
    })
}

/// The open MQTT ports.
#[derive(Debug, Default)]
pub(crate) struct MqttDoors {
    /// Over TCP.
    pub(crate) plain: Option<messaging::mqtt::Listener>,
    /// Over TLS.
    pub(crate) tls: Option<messaging::mqtt::Listener>,
}

impl MqttDoors {
    /// Opens them, where this node speaks MQTT.
    pub(crate) async fn open(
        settings: &Settings,
        certificates: Option<&Certificates>,
    ) -> anyhow::Result<Self> {
        if !settings.node.only.serves(Capability::Mqtt) {
            return Ok(Self::default());
        }
        let bind = |at| std::future::ready(messaging::mqtt::Listener::bind(at));
        let open = async |what, setting, address| {
            bind_any(address, bind).await.map_err(|error| refused(what, setting, address, &error))
        };
        let plain = match settings.tls.is_plain() {
            true => {
                let listener = open("MQTT", "mqtt", &settings.node.mqtt).await?;
                Some(listener.with_proxy_protocol(proxies(settings, ProxiedPort::Mqtt)?))
            }
            false => None,
        };
        let tls = match certificates {
            Some(certificates) => {
                let listener = open("MQTT over TLS", "tls.mqtts", &settings.tls.mqtts).await?;
                let proxies = proxies(settings, ProxiedPort::Mqtts)?;
                Some(listener.with_tls(certificates.mqtt.clone()).with_proxy_protocol(proxies))
            }
            None => None,
        };
        Ok(Self { plain, tls })
    }
}

/// The ports of CoAP.
#[derive(Debug, Default)]
pub(crate) struct CoapDoors {
    /// UDP.
    pub(crate) plain: Option<coap::Listener>,
    /// DTLS.
    pub(crate) dtls: Option<coap::Listener>,
}

impl CoapDoors {
    /// Opens them, where this node speaks CoAP. One that nobody asked for is opened where it is looked for by default (RFC
    /// 7252 §6), like the ports of the separate services, and may be taken.
    pub(crate) async fn open(settings: &Settings) -> anyhow::Result<Self> {
        if !settings.node.only.serves(Capability::Coap) {
            return Ok(Self::default());
        }
        let CoapSettings { address, dtls_address, .. } = &settings.coap;
        let plain = match settings.tls.is_plain() {
            true => open_coap(settings, "coap.address", address.as_ref(), 5683).await?,
            false => None,
        };
        Ok(Self { plain, dtls: open_coap(settings, "coap.dtls_address", dtls_address.as_ref(), 5684).await? })
    }
}

async fn open_coap(
    settings: &Settings,
    setting: &str,
    asked: Option<&Address>,
    port: u16,
) -> anyhow::Result<Option<coap::Listener>> {
    if let Some(address) = asked {
        let listener = bind_any(address, coap::Listener::bind).await;
        return listener.map(Some).map_err(|error| {
            anyhow::anyhow!(
                "cannot listen for CoAP on `{address}` ({error}); choose another address with `{setting}`"
            )
        });
    }
    if !settings.compat_ports.enabled {
        return Ok(None);
    }
    match bind_any(&Address { host: "0.0.0.0".to_owned(), port }, coap::Listener::bind).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) => {
            tracing::warn!("the CoAP port {port} stays closed ({error}); `{setting}` changes it");
            Ok(None)
        }
    }
}

/// Opens the gRPC ports: the one that was asked for must open, the ports of the separate services may be taken. None opens
/// where other machines could act as any user.
pub(crate) async fn open_grpc(
    settings: &Settings,
    callers: &certs::Callers,
) -> anyhow::Result<Vec<grpc::Listener>> {
    let grpc = &settings.grpc;
    let mut listeners = Vec::new();
    if let Some(address) = grpc.address.as_ref().filter(|_| grpc.enabled) {
        let bind = |at| grpc::Listener::bind(at, grpc_options(settings, "auth", callers));
        let front = bind_any(address, bind).await;
        listeners.push(front.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => anyhow::anyhow!("{error}"),
            kind => anyhow::anyhow!(
                "cannot listen for gRPC on `{address}` ({kind}); choose another address with `grpc.address`"
            ),
        })?);
    }
    for (service, port) in grpc.ports(&settings.node, &settings.compat_ports) {
        let address = grpc.host.with_port(port);
        match bind_any(&address, |at| grpc::Listener::bind(at, grpc_options(settings, service, callers)))
            .await
        {
            Ok(listener) => listeners.push(listener),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => anyhow::bail!("{error}"),
            Err(_) if listeners.iter().any(|open| open.local_addr().port() == port) => {}
            Err(error) => tracing::warn!(
                "the gRPC port {port} of {service} stays closed ({error}); `grpc.{service}` changes it, \
                 `grpc.enabled = false` switches gRPC off"
            ),
        }
    }
    if grpc.enabled && listeners.is_empty() {
        tracing::warn!("gRPC is on, but none of its ports is open; name one with `grpc.address`");
    }
    Ok(listeners)
}

fn grpc_options(
    settings: &Settings,
    service: &'static str,
    callers: &certs::Callers,
) -> grpc::ListenerOptions {
    let grpc = &settings.grpc;
    let pair = grpc.server_cert.as_ref().zip(grpc.server_key.as_ref());
    grpc::ListenerOptions {
        service,
        tls: pair.map(|(certificate, key)| tls::Tls {
            certificate: certificate.source().clone(),
            key: key.source().clone(),
            client_authorities: grpc.client_ca_certs.as_ref().map(|pem| pem.source().clone()),
            clients: tls::Clients::Required,
        }),
        callers: Some(Arc::new(callers.clone())),
        insecure: grpc.insecure,
        max_connections: grpc.max_connections.0,
        grace: settings.node.shutdown_grace,
        ..grpc::ListenerOptions::default()
    }
}

/// The proxies whose connections to a port begin with a PROXY header.
fn proxies(settings: &Settings, port: ProxiedPort) -> anyhow::Result<TrustedProxies> {
    let web = &settings.web;
    if !web.proxy_protocol.is_empty() && web.trusted_proxies.0.is_empty() {
        anyhow::bail!(
            "`web.proxy_protocol` believes nobody: name the proxies with `web.trusted_proxies`, or set it to `none`"
        );
    }
    match web.proxy_protocol.has(port) {
        true => Ok(compose::trusted_proxies(settings)?),
        false => Ok(TrustedProxies::default()),
    }
}

fn options(settings: &Settings, service: &'static str) -> ListenerOptions {
    ListenerOptions {
        service,
        header_timeout: settings.web.header_timeout,
        idle_timeout: settings.web.idle_timeout,
        max_connections: settings.web.max_connections.0,
        grace: settings.node.shutdown_grace,
        ..ListenerOptions::default()
    }
}

/// Binds the first of the addresses that the host has.
pub(crate) async fn bind_any<T, F>(address: &Address, bind: impl Fn(SocketAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the host has no address");
    for at in tokio::net::lookup_host((address.host.as_str(), address.port)).await? {
        match bind(at).await {
            Ok(bound) => return Ok(bound),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// One sentence on why `what` cannot listen there, with what to change; `setting` is also the flag, if it stands at the top.
pub(crate) fn refused(what: &str, setting: &str, address: &Address, error: &io::Error) -> anyhow::Error {
    let variable = setting.to_uppercase().replace('.', "_");
    let flag = if setting.contains('.') { String::new() } else { format!("--{setting}, ") };
    let change = format!("{flag}TRUNKLINE_{variable} or `{setting}`");
    match error.kind() {
        io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "the {what} port {} is in use on {}; stop the program that has it, or choose another with {change}",
            address.port,
            address.host
        ),
        io::ErrorKind::PermissionDenied => anyhow::anyhow!(
            "this user may not open the {what} port {}; choose one above 1023 with {change}",
            address.port
        ),
        _ => anyhow::anyhow!(
            "cannot listen for {what} on `{address}` ({error}); choose another address with {change}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Layers};

    fn settings(http: SocketAddr, compat: Option<u16>) -> Settings {
        let ports = compat.map(|port| port.to_string());
        let mut layers = Layers::default()
            .with_flag("http", "--http", Some(http.to_string()))
            .with_flag("compat_ports.enabled", "", Some(compat.is_some().to_string()))
            .with_flag("compat_ports.auth", "", ports.or(Some("none".to_owned())));
        for service in [
            "users",
            "domains",
            "groups",
            "channels",
            "clients",
            "certs",
            "bootstrap",
            "provision",
            "http_adapter",
            "policy",
            "ws_adapter",
        ] {
            layers = layers.with_flag(
                config::table().into_iter().find(|s| s.key == format!("compat_ports.{service}")).unwrap().key,
                "",
                Some("none".to_owned()),
            );
        }
        config::load(&layers).unwrap().settings
    }

    #[tokio::test]
    async fn a_taken_front_door_is_an_error_that_says_what_to_change() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = taken.local_addr().unwrap();
        let error = HttpDoors::open(&settings(at, None), None).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the HTTP port {} is in use on 127.0.0.1; stop the program that has it, or choose another with --http, \
                 TRUNKLINE_HTTP or `http`",
                at.port()
            )
        );
    }

    #[tokio::test]
    async fn a_taken_compat_port_stays_closed_and_a_free_one_opens() {
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let taken = std::net::TcpListener::bind(free).unwrap();
        let port = taken.local_addr().unwrap().port();
        let doors = HttpDoors::open(&settings(free, Some(port)), None).await.unwrap();
        assert_ne!(doors.front.local_addr().port(), 0);
        assert!(doors.compat.is_empty());

        drop(taken);
        let doors = HttpDoors::open(&settings(free, Some(port)), None).await.unwrap();
        assert_eq!(doors.compat.iter().map(|door| door.local_addr().port()).collect::<Vec<_>>(), [port]);
    }
}
