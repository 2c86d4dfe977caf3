//! A device that speaks CoAP packet by packet.

use std::net::SocketAddr;

use coap_lite::{CoapOption, MessageClass, MessageType, Packet, RequestType};
use tokio::net::UdpSocket;

use crate::soon;

/// A device with a socket of its own.
pub(crate) struct Device {
    socket: UdpSocket,
    pub(crate) last_id: u16,
}

/// A request with the next message id.
pub(crate) fn request(code: RequestType, path: &str, query: &str) -> Packet {
    let mut packet = Packet::new();
    packet.header.set_type(MessageType::Confirmable);
    packet.header.code = MessageClass::Request(code);
    for segment in path.split('/') {
        packet.add_option(CoapOption::UriPath, segment.as_bytes().to_vec());
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        packet.add_option(CoapOption::UriQuery, pair.as_bytes().to_vec());
    }
    packet
}

/// The code of an answer as it is written: `2.05`.
pub(crate) fn code(packet: &Packet) -> String {
    packet.header.code.to_string()
}

/// The observe option's number.
pub(crate) fn sequence(packet: &Packet) -> Option<u32> {
    packet.get_observe_value().map(Result::unwrap)
}

impl Device {
    pub(crate) async fn of(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(server).await.unwrap();
        Self { socket, last_id: 0 }
    }

    /// Sends bytes as they are.
    pub(crate) async fn send_bytes(&self, bytes: &[u8]) {
        self.socket.send(bytes).await.unwrap();
    }

    /// Sends a packet.
    pub(crate) async fn send(&self, packet: &Packet) {
        self.send_bytes(&packet.to_bytes_unlimited().unwrap()).await;
    }

    /// The next packet.
    pub(crate) async fn receive(&self) -> Packet {
        let mut buffer = [0; 2_048];
        let len = soon("an answer", self.socket.recv(&mut buffer)).await.unwrap();
        Packet::from_bytes(&buffer[..len]).unwrap()
    }

    /// Sends a request with an id and a token of its own, and gives the answer, which must be its acknowledgement.
    pub(crate) async fn ask(&mut self, mut request: Packet) -> Packet {
        self.last_id += 1;
        request.header.message_id = self.last_id;
        if request.get_token().is_empty() {
            request.set_token(self.last_id.to_be_bytes().to_vec());
        }
        self.send(&request).await;
        let answer = self.receive().await;
        assert_eq!(answer.header.get_type(), MessageType::Acknowledgement, "{answer:?}");
        assert_eq!(answer.header.message_id, self.last_id);
        assert_eq!(answer.get_token(), request.get_token());
        answer
    }

    /// POSTs a payload and gives the code of the answer.
    pub(crate) async fn post(&mut self, path: &str, query: &str, payload: &[u8]) -> String {
        let mut packet = request(RequestType::Post, path, query);
        packet.payload = payload.to_vec();
        code(&self.ask(packet).await)
    }

    /// A GET with Observe and this token; the answer.
    pub(crate) async fn observe(&mut self, path: &str, query: &str, token: &[u8]) -> Packet {
        let mut packet = request(RequestType::Get, path, query);
        packet.set_observe_value(0);
        packet.set_token(token.to_vec());
        self.ask(packet).await
    }

    /// Shows that somebody is here: answers the question that follows an observation.
    pub(crate) async fn pong(&self) {
        let ping = self.receive().await;
        assert_eq!((ping.header.get_type(), code(&ping).as_str()), (MessageType::Confirmable, "0.00"));
        self.answer(&ping, MessageType::Reset).await;
    }

    /// Acknowledges or refuses a packet.
    pub(crate) async fn answer(&self, packet: &Packet, kind: MessageType) {
        let bits = if kind == MessageType::Acknowledgement { 0x60 } else { 0x70 };
        let [high, low] = packet.header.message_id.to_be_bytes();
        self.send_bytes(&[bits, 0, high, low]).await;
    }
}
