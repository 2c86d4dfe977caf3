use std::time::Duration;

use coap_lite::{CoapOption, ResponseType};

use proptest::prelude::{any, prop};
use proptest::{prop_assert, proptest};

use super::*;
use crate::request::Request;

const HERE: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 1));
const SECOND: Duration = Duration::from_secs(1);

fn layer() -> Layer {
    Layer::new(Arc::new(Limits::default()), Arc::default())
}

/// A GET of `/a` with the token 7.
fn get(kind: u8, id: u16) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    vec![0x41 | kind << 4, 1, high, low, 7, 0xb1, b'a']
}

fn request(layer: &mut Layer, datagram: &[u8], now: Instant) -> Option<Ticket> {
    match layer.receive(HERE, datagram, now) {
        Some(Incoming::Request(ticket, _)) => Some(ticket),
        _ => None,
    }
}

fn sent(layer: &mut Layer) -> Vec<Vec<u8>> {
    std::mem::take(&mut layer.out).into_iter().map(|(_, bytes)| bytes).collect()
}

fn content() -> Reply {
    Reply::text(ResponseType::Content, "x")
}

#[test]
fn a_repeated_request_is_worked_on_once_and_gets_the_same_answer() {
    let (mut layer, now) = (layer(), Instant::now());
    let ticket = request(&mut layer, &get(0, 9), now).unwrap();
    assert_eq!(request(&mut layer, &get(0, 9), now), None, "while it is worked on");
    assert!(sent(&mut layer).is_empty());
    layer.answer(&ticket, &content(), now);
    let answer = sent(&mut layer);
    assert_eq!(answer, [[0x61, 0x45, 0, 9, 7, 0xff, b'x']], "in the acknowledgement");
    assert_eq!(request(&mut layer, &get(0, 9), now + SECOND), None);
    assert_eq!(sent(&mut layer), answer);
    assert!(layer.tick(now + SECOND * 300).is_empty());
    assert!(request(&mut layer, &get(0, 9), now + SECOND * 300).is_some(), "the id is free again");
}

#[test]
fn a_slow_request_is_acknowledged_first_and_its_answer_repeated_until_it_is_acknowledged() {
    let (mut layer, now) = (layer(), Instant::now());
    let ticket = request(&mut layer, &get(0, 9), now).unwrap();
    layer.tick(now + SECOND);
    assert_eq!(sent(&mut layer), [[0x60, 0, 0, 9]]);
    request(&mut layer, &get(0, 9), now + SECOND);
    assert_eq!(sent(&mut layer), [[0x60, 0, 0, 9]], "a repetition is acknowledged again");
    layer.answer(&ticket, &content(), now + SECOND * 2);
    let answer = sent(&mut layer).remove(0);
    assert_eq!((answer[0], answer[1], answer[4]), (0x41, 0x45, 7), "confirmable, with the token");
    layer.tick(now + SECOND * 6);
    assert_eq!(sent(&mut layer), std::slice::from_ref(&answer));
    let acknowledgement = [0x60, 0, answer[2], answer[3]];
    let settled = layer.receive(HERE, &acknowledgement, now + SECOND * 6);
    assert!(matches!(settled, Some(Incoming::Settled { fate: Fate::Delivered, .. })), "{settled:?}");
    assert!(layer.tick(now + SECOND * 600).is_empty() && sent(&mut layer).is_empty());
}

#[test]
fn what_nobody_acknowledges_is_sent_five_times_ever_more_slowly_and_then_lost() {
    let (mut layer, start) = (layer(), Instant::now());
    request(&mut layer, &get(1, 1), start);
    let id = layer.send(HERE, &[7], &content(), true, start).unwrap();
    sent(&mut layer);
    let (mut times, mut lost) = (vec![start], Vec::new());
    while let Some(at) = layer.next() {
        lost.extend(layer.tick(at));
        if !sent(&mut layer).is_empty() {
            times.push(at);
        }
    }
    let waits: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    assert_eq!(waits.len(), 4);
    assert!((2.0..=3.0).contains(&waits[0]), "{waits:?}");
    assert!(waits.windows(2).all(|pair| (pair[1] / pair[0] - 2.0).abs() < 0.01), "{waits:?}");
    assert!(matches!(lost[..], [Incoming::Settled { id: of, fate: Fate::Lost, .. }] if of == id), "{lost:?}");
}

#[test]
fn what_is_no_request_and_wants_an_answer_is_reset() {
    let (mut layer, now) = (layer(), Instant::now());
    layer.receive(HERE, &[0x40, 0, 0, 3], now);
    layer.receive(HERE, &[0x40, 0x45, 0, 4], now);
    layer.receive(HERE, &[0x40, 0xe1, 0, 5], now);
    layer.receive(HERE, &[0x41, 1, 0, 6], now);
    assert_eq!(sent(&mut layer), [[0x70, 0, 0, 3], [0x70, 0, 0, 4], [0x70, 0, 0, 5], [0x70, 0, 0, 6]]);
    layer.receive(HERE, &[0x50, 0x45, 0, 4], now);
    assert!(layer.receive(HERE, &[0x60, 0, 0, 4], now).is_none(), "an acknowledgement of nothing");
    assert!(sent(&mut layer).is_empty());
    assert_eq!(layer.peers.len(), 0, "nothing is remembered for it");
}

#[test]
fn an_address_that_has_not_answered_gets_no_large_answers() {
    let (mut layer, now) = (layer(), Instant::now());
    let ticket = request(&mut layer, &get(0, 1), now).unwrap();
    layer.answer(&ticket, &Reply::text(ResponseType::Content, "x".repeat(FREE_BYTES)), now);
    assert_eq!(sent(&mut layer), [[0x61, 0x45, 0, 1, 7]]);

    let id = layer.ping(HERE, now).unwrap();
    let [high, low] = id.to_be_bytes();
    assert_eq!(sent(&mut layer), [[0x40, 0, high, low]]);
    layer.receive(HERE, &[0x70, 0, high, low], now);
    let ticket = request(&mut layer, &get(0, 2), now).unwrap();
    layer.answer(&ticket, &Reply::text(ResponseType::Content, "x".repeat(FREE_BYTES)), now);
    assert_eq!(sent(&mut layer)[0].len(), 6 + FREE_BYTES);
}

#[test]
fn an_address_is_asked_for_proof_once_at_a_time() {
    let (mut layer, now) = (layer(), Instant::now());
    request(&mut layer, &get(0, 1), now).unwrap();
    layer.ask_for_proof(HERE, now);
    let question = sent(&mut layer).remove(0);
    for _ in 0..100 {
        layer.ask_for_proof(HERE, now);
    }
    assert!(sent(&mut layer).is_empty());
    layer.receive(HERE, &[0x70, 0, question[2], question[3]], now);
    assert!(layer.peers.get(HERE).unwrap().is_proven);
}

#[test]
fn answers_that_nobody_acknowledges_are_not_kept_without_end() {
    let (mut layer, mut now) = (layer(), Instant::now());
    for id in 0..1_000 {
        let ticket = request(&mut layer, &get(0, id), now).unwrap();
        now += Duration::from_secs(2);
        layer.tick(now);
        layer.answer(&ticket, &content(), now);
        // Nothing is given up meanwhile.
        now -= Duration::from_secs(2);
    }
    assert_eq!(layer.peers.get(HERE).unwrap().outgoing.len(), MOST_OUTGOING);
}

#[test]
fn a_flood_of_strangers_leaves_bounded_memory() {
    let mut layer = Layer::new(Arc::new(Limits { strangers: 10, ..Limits::default() }), Arc::default());
    let now = Instant::now();
    for port in 1..2_000 {
        for id in 0..40 {
            layer.receive(SocketAddr::from(([127, 0, 0, 1], port)), &get(1, id), now);
        }
    }
    assert_eq!((layer.peers.len(), layer.gone.len()), (10, 1_989));
}

#[test]
fn a_reply_to_a_request_that_needs_no_acknowledgement_has_an_id_of_its_own() {
    let (mut layer, now) = (layer(), Instant::now());
    let ticket = request(&mut layer, &get(1, 9), now).unwrap();
    layer.answer(&ticket, &content().with(CoapOption::Observe, vec![]), now);
    let answer = sent(&mut layer).remove(0);
    assert_eq!((answer[0], answer[4]), (0x51, 7));
}

proptest! {
    #[test]
    fn no_bytes_are_too_much_for_reading(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        is_version_1 in any::<bool>(),
    ) {
        if let (Some(first), true) = (bytes.first_mut(), is_version_1) {
            *first = 0x40 | *first & 0x38;
        }
        let mut layer = layer();
        if let Some(Incoming::Request(ticket, packet)) = layer.receive(HERE, &bytes, Instant::now())
            && let Err(refusal) = Request::read(&packet)
        {
            layer.answer(&ticket, &refusal, Instant::now());
        }
        let bound = (bytes.len() * AMPLIFICATION).max(FREE_BYTES);
        prop_assert!(layer.out.iter().all(|(_, answer)| answer.len() <= bound));
    }
}
