//! The ports that the node opens: the front door, the ports of the separate services, and MQTT.
//!
//! The front door and MQTT must open, or the start ends with an error that says which setting to change. A compatibility
//! port that is taken is only a warning, since the same API answers at the front door.

use std::io;
use std::net::SocketAddr;

use web::{Listener, ListenerOptions};

use crate::config::{Address, Capability, Settings};

/// The open HTTP ports.
#[derive(Debug)]
pub(crate) struct HttpDoors {
    /// Everything on one port.
    pub(crate) front: Listener,
    /// The same on the port of each service.
    pub(crate) compat: Vec<Listener>,
}

impl HttpDoors {
    /// Opens them.
    pub(crate) async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let address = &settings.node.http;
        let bind = |at| Listener::bind(at, options(settings, "clients"));
        let front =
            bind_any(address, bind).await.map_err(|error| refused("HTTP", "http", address, &error))?;
        let (mut compat, mut closed) = (Vec::new(), Vec::new());
        for (service, port) in settings.compat_ports() {
            let address = address.with_port(port);
            match bind_any(&address, |at| Listener::bind(at, options(settings, service))).await {
                Ok(listener) => compat.push(listener),
                // The front door may have been put on one of these ports.
                Err(_) if port == front.local_addr().port() => {}
                Err(error) => closed.push(format!("{port} of {service} ({error})")),
            }
        }
        if !closed.is_empty() {
            tracing::warn!(
                "these ports stay closed: {}; --no-compat-ports switches them off, `compat_ports.*` changes them",
                closed.join(", ")
            );
        }
        Ok(Self { front, compat })
    }
}

/// Opens the MQTT port, where this node speaks MQTT.
pub(crate) async fn open_mqtt(settings: &Settings) -> anyhow::Result<Option<messaging::mqtt::Listener>> {
    if !settings.node.only.serves(Capability::Mqtt) {
        return Ok(None);
    }
    let address = &settings.node.mqtt;
    let bind = |at| std::future::ready(messaging::mqtt::Listener::bind(at));
    let listener = bind_any(address, bind).await.map_err(|error| refused("MQTT", "mqtt", address, &error))?;
    Ok(Some(listener))
}

/// Where CoAP is spoken when nobody says otherwise (RFC 7252 §6.1).
const COAP: (&str, u16) = ("0.0.0.0", 5683);

/// Opens the CoAP port, where this node speaks CoAP. One that nobody asked for may be taken.
pub(crate) async fn open_coap(settings: &Settings) -> anyhow::Result<Option<coap::Listener>> {
    if !settings.node.only.serves(Capability::Coap) {
        return Ok(None);
    }
    if let Some(address) = &settings.coap.address {
        let listener = bind_any(address, coap::Listener::bind).await;
        return listener.map(Some).map_err(|error| {
            anyhow::anyhow!(
                "cannot listen for CoAP on `{address}` ({error}); choose another address with `coap.address`"
            )
        });
    }
    if !settings.compat_ports.enabled {
        return Ok(None);
    }
    let (host, port) = COAP;
    match bind_any(&Address { host: host.to_owned(), port }, coap::Listener::bind).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) => {
            tracing::warn!("the CoAP port {port} stays closed ({error}); `coap.address` changes it");
            Ok(None)
        }
    }
}

/// Opens the gRPC ports: the one that was asked for must open, the ports of the separate services may be taken. None opens
/// where other machines could act as any user.
pub(crate) async fn open_grpc(settings: &Settings) -> anyhow::Result<Vec<grpc::Listener>> {
    let grpc = &settings.grpc;
    let mut listeners = Vec::new();
    if let Some(address) = grpc.address.as_ref().filter(|_| grpc.enabled) {
        let bind = |at| grpc::Listener::bind(at, grpc_options(settings, "auth"));
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
        match bind_any(&address, |at| grpc::Listener::bind(at, grpc_options(settings, service))).await {
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

fn grpc_options(settings: &Settings, service: &'static str) -> grpc::ListenerOptions {
    let grpc = &settings.grpc;
    let pair = grpc.server_cert.as_ref().zip(grpc.server_key.as_ref());
    grpc::ListenerOptions {
        service,
        tls: pair.map(|(certificate, key)| grpc::tls::Tls {
            certificate: certificate.source().clone(),
            key: key.source().clone(),
            client_authorities: grpc.client_ca_certs.as_ref().map(|pem| pem.source().clone()),
        }),
        insecure: grpc.insecure,
        max_connections: grpc.max_connections.0,
        grace: settings.node.shutdown_grace,
        ..grpc::ListenerOptions::default()
    }
}

fn options(settings: &Settings, service: &'static str) -> ListenerOptions {
    ListenerOptions {
        service,
        header_timeout: settings.web.header_timeout,
        idle_timeout: settings.web.idle_timeout,
        max_connections: settings.web.max_connections.0,
        grace: settings.node.shutdown_grace,
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

/// One sentence on why `what` cannot listen there, with what to change; `setting` is also the flag.
pub(crate) fn refused(what: &str, setting: &str, address: &Address, error: &io::Error) -> anyhow::Error {
    let change = format!("--{setting}, TRUNKLINE_{} or `{setting}`", setting.to_uppercase());
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
        for service in ["users", "domains", "groups", "channels", "clients", "http_adapter"] {
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
        let error = HttpDoors::open(&settings(at, None)).await.unwrap_err();
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
        let doors = HttpDoors::open(&settings(free, Some(port))).await.unwrap();
        assert_ne!(doors.front.local_addr().port(), 0);
        assert!(doors.compat.is_empty());

        drop(taken);
        let doors = HttpDoors::open(&settings(free, Some(port))).await.unwrap();
        assert_eq!(doors.compat.iter().map(|door| door.local_addr().port()).collect::<Vec<_>>(), [port]);
    }
}
