//! The ways by which messages come and go.

/// How somebody publishes or reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// MQTT, over whatever transport.
    Mqtt,
    /// A message in a request.
    Http,
    /// A raw WebSocket.
    WebSocket,
    /// Server-sent events.
    Events,
    /// CoAP, over UDP or DTLS.
    Coap,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Mqtt, Self::Http, Self::WebSocket, Self::Events, Self::Coap];

    /// What the bus and the metrics call it (reference 05 §10.1).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Http => "http",
            Self::WebSocket => "websocket",
            Self::Events => "sse",
            Self::Coap => "coap",
        }
    }
}
