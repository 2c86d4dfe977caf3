//! Chapter 6: MQTT over WebSocket, frame by frame.

use bytes::{Bytes, BytesMut};
use messaging::wire::{Decoder, Packet, QoS, Subscribe, Subscription, Text, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::DropGuard;
use web::{App, AppInfo, Listener, ListenerOptions};

use super::{BOTH, bytes_of, options};
use crate::{Broker, soon};

const BINARY: u8 = 0x2;
const TEXT: u8 = 0x1;
const PING: u8 = 0x9;

/// A port that speaks MQTT over WebSocket.
struct Door {
    address: std::net::SocketAddr,
    _open: DropGuard,
}

impl Door {
    async fn of(broker: &Broker) -> Self {
        let info = AppInfo {
            version: String::new(),
            commit: String::new(),
            build_time: String::new(),
            instance_id: String::new(),
        };
        let app = App::new(vec![messaging::http::mqtt_routes(broker.engine.clone())], info);
        let listener =
            Listener::bind("127.0.0.1:0".parse().unwrap(), ListenerOptions::default()).await.unwrap();
        let address = listener.local_addr();
        let open = broker.stop.child_token();
        tokio::spawn(listener.serve(app, open.clone()));
        Self { address, _open: open.drop_guard() }
    }

    /// Asks for a WebSocket with these sub-protocols; the head of the answer in small letters, and the stream.
    async fn ask(&self, protocols: &str) -> (String, TcpStream) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocols}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon("the answer", stream.read_u8()).await.unwrap());
        }
        (String::from_utf8(head).unwrap().to_lowercase(), stream)
    }

    async fn open(&self) -> Socket {
        let (head, stream) = self.ask("Sec-WebSocket-Protocol: mqtt\r\n").await;
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        Socket { stream, input: BytesMut::new() }
    }
}

/// A WebSocket.
struct Socket {
    stream: TcpStream,
    /// Bytes of MQTT that have come and were not decoded.
    input: BytesMut,
}

impl Socket {
    /// A whole frame; its mask is zero, so that the payload stays as it is.
    async fn frame(&mut self, kind: u8, payload: &[u8]) {
        let mut frame = vec![0x80 | kind];
        match u8::try_from(payload.len()) {
            Ok(short @ ..126) => frame.push(0x80 | short),
            _ => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        // The server may have closed already.
        let _written = self.stream.write_all(&frame).await;
    }

    /// The next frame of the server; `None`: it has closed.
    async fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        soon("a frame", self.stream.read_exact(&mut head)).await.ok()?;
        let length = match head[1] {
            126 => usize::from(self.stream.read_u16().await.ok()?),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some((head[0] & 0x0f, payload))
    }

    /// The next packet, out of binary frames and nothing else.
    async fn receive(&mut self, decoder: &mut Decoder) -> Packet {
        loop {
            let mut input = self.input.split().freeze();
            let packet = decoder.decode(&mut input).unwrap();
            self.input = BytesMut::from(&*input);
            if let Some(packet) = packet {
                return packet;
            }
            match self.next_frame().await {
                Some((BINARY, payload)) => self.input.extend_from_slice(&payload),
                other => panic!("expected a binary frame: {other:?}"),
            }
        }
    }

    /// The server closes, after a close frame or without one.
    async fn is_closed(&mut self) {
        while let Some((kind, _)) = self.next_frame().await {
            assert_eq!(kind, 0x8, "nothing but a close frame");
        }
    }
}

#[tokio::test]
async fn the_sub_protocol_is_mqtt_and_without_it_there_is_no_websocket() {
    let broker = Broker::start().await;
    let door = Door::of(&broker).await;
    for offered in ["mqtt", "other, mqtt"] {
        let (head, _stream) = door.ask(&format!("Sec-WebSocket-Protocol: {offered}\r\n")).await;
        assert!(head.contains("\r\nsec-websocket-protocol: mqtt\r\n"), "{head}");
    }
    for offered in ["", "Sec-WebSocket-Protocol: other\r\n"] {
        let (head, _stream) = door.ask(offered).await;
        assert!(head.starts_with("http/1.1 400 "), "{head}");
    }
}

#[tokio::test]
async fn packets_and_frames_need_not_begin_together() {
    let broker = Broker::start().await;
    let door = Door::of(&broker).await;
    for version in BOTH {
        let mut socket = door.open().await;
        let mut decoder = Decoder::of_server(version, usize::MAX);
        // A packet in many frames, with pings of WebSocket and empty frames between them.
        for byte in bytes_of(&Packet::Connect(Box::new(broker.plant.connect(version, 0))), version) {
            socket.frame(BINARY, &[byte]).await;
            socket.frame(BINARY, &[]).await;
        }
        match socket.receive(&mut decoder).await {
            Packet::ConnAck(connack) => assert!(!connack.reason.is_failure()),
            other => panic!("{other:?}"),
        }
        // Many packets in one frame, and half of one in it.
        let topic = broker.topic("/x");
        let subscribe = Subscribe {
            packet_id: messaging::wire::PacketId::MIN,
            subscription_id: None,
            user_properties: Vec::new(),
            filters: vec![Subscription { filter: Text::from(&*topic), options: options(QoS::AtMostOnce) }],
        };
        let publish = messaging::wire::Publish {
            topic: Text::from(&*topic),
            payload: Bytes::from(vec![b'x'; 300]),
            ..messaging::wire::Publish::default()
        };
        let mut bytes = bytes_of(&Packet::Subscribe(subscribe), version);
        bytes.extend(bytes_of(&Packet::Publish(publish), version));
        bytes.extend(b"\xc0\0\xc0");
        socket.frame(BINARY, &bytes).await;
        assert!(matches!(socket.receive(&mut decoder).await, Packet::SubAck(_)));
        let mut got = [socket.receive(&mut decoder).await, socket.receive(&mut decoder).await];
        got.sort_by_key(|packet| matches!(packet, Packet::PingResp));
        assert!(matches!(&got[0], Packet::Publish(publish) if publish.payload.len() == 300));
        assert_eq!(got[1], Packet::PingResp);
        socket.frame(BINARY, b"\0").await;
        assert_eq!(socket.receive(&mut decoder).await, Packet::PingResp);
    }
}

#[tokio::test]
async fn a_frame_that_is_not_binary_closes_the_connection() {
    let broker = Broker::start().await;
    let door = Door::of(&broker).await;
    let mut witness = broker.client(Version::V5, 1).await;
    witness.subscribe(&broker.topic("/#"), QoS::AtMostOnce).await;
    // Before CONNECT and after it.
    let mut socket = door.open().await;
    socket.frame(TEXT, b"\x10\x0c").await;
    socket.is_closed().await;
    let mut socket = door.open().await;
    let mut decoder = Decoder::of_server(Version::V311, usize::MAX);
    let connect = Packet::Connect(Box::new(broker.plant.connect(Version::V311, 0)));
    socket.frame(BINARY, &bytes_of(&connect, Version::V311)).await;
    assert!(matches!(socket.receive(&mut decoder).await, Packet::ConnAck(_)));
    socket.frame(PING, b"").await;
    let pong = socket.next_frame().await.unwrap();
    assert_eq!(pong.0, 0xa, "a ping of WebSocket is answered as such");
    // What is in it would be a good packet.
    let mut publish = witness.message(&broker.topic("/x"), "x", QoS::AtMostOnce);
    publish.packet_id = None;
    socket.frame(TEXT, &bytes_of(&Packet::Publish(publish), Version::V311)).await;
    socket.is_closed().await;
    witness.has_nothing().await;
}
