use bytes::Bytes;

use super::*;
use crate::request::{Method, Shown, Target};

const HERE: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 1));

fn request(key: u8, payload: &[u8]) -> Request {
    Request {
        method: Method::Post,
        target: Target::Health,
        shown: Shown::default(),
        observe: None,
        accept: None,
        content_format: None,
        block1: None,
        block2: None,
        size1: None,
        key: vec![key],
        payload: Bytes::copy_from_slice(payload),
    }
}

fn block(number: u32, more: bool) -> Block {
    Block { number, more, exponent: 0 }
}

fn uploads() -> Uploads {
    Uploads::new(Arc::new(Limits { message_bytes: 64, block_bytes: 64, ..Limits::default() }))
}

fn code<T: std::fmt::Debug>(refused: Result<T, Reply>) -> ResponseType {
    refused.unwrap_err().code
}

#[test]
fn blocks_in_order_make_a_body() {
    let (mut uploads, now) = (uploads(), Instant::now());
    uploads.begin(HERE, &request(1, &[1; 16]), block(0, true), now).unwrap();
    assert_eq!(
        uploads.add(HERE, &request(1, &[2; 16]), block(1, true), now),
        Ok(Step::Continue(block(1, true)))
    );
    let body = [[1; 16].as_slice(), &[2; 16], &[3; 2]].concat();
    assert_eq!(
        uploads.add(HERE, &request(1, &[3; 2]), block(2, false), now),
        Ok(Step::Complete(block(2, false), body))
    );
    assert_eq!((uploads.bytes, uploads.by_peer.len()), (0, 0));
}

#[test]
fn a_block_that_does_not_follow_ends_the_transfer() {
    let (mut uploads, now) = (uploads(), Instant::now());
    uploads.begin(HERE, &request(1, &[1; 16]), block(0, true), now).unwrap();
    let missing = uploads.add(HERE, &request(1, &[2; 16]), block(2, true), now);
    assert_eq!(code(missing), ResponseType::RequestEntityIncomplete);
    let gone = uploads.add(HERE, &request(1, &[2; 16]), block(1, true), now);
    assert_eq!(code(gone), ResponseType::RequestEntityIncomplete);
    assert_eq!(uploads.bytes, 0);
}

#[test]
fn what_is_kept_has_bounds_for_each_peer_and_for_all() {
    let (mut uploads, now) = (uploads(), Instant::now());
    let other = SocketAddr::from(([127, 0, 0, 1], 2));
    for key in 0..2 {
        uploads.begin(HERE, &request(key, &[0; 16]), block(0, true), now).unwrap();
    }
    let third = uploads.begin(HERE, &request(2, &[0; 16]), block(0, true), now);
    assert_eq!(code(third), ResponseType::ServiceUnavailable);
    uploads.begin(HERE, &request(1, &[0; 16]), block(0, true), now).unwrap();
    for key in 0..2 {
        uploads.begin(other, &request(key, &[0; 16]), block(0, true), now).unwrap();
    }
    let full = uploads.add(other, &request(0, &[0; 16]), block(1, true), now);
    assert_eq!(code(full), ResponseType::ServiceUnavailable);
    assert_eq!(uploads.bytes, 48);
    uploads.forget(other);
    uploads.sweep(now + BLOCK_PATIENCE);
    assert_eq!((uploads.bytes, uploads.by_peer.len()), (0, 0));
}

#[test]
fn a_body_that_is_or_says_to_be_too_large_is_refused_with_the_bound() {
    let uploads = uploads();
    let mut announced = request(1, &[0; 16]);
    announced.size1 = Some(65);
    let refused = uploads.check(&announced, block(0, true)).unwrap_err();
    assert_eq!(refused.code, ResponseType::RequestEntityTooLarge);
    assert_eq!(refused.options, [(CoapOption::Size1, vec![64])]);
    assert_eq!(
        code(uploads.check(&request(1, &[0; 16]), block(4, true))),
        ResponseType::RequestEntityTooLarge
    );
    assert_eq!(
        code(uploads.check(&request(1, &[0; 16]), block(1 << 19, false))),
        ResponseType::RequestEntityTooLarge
    );
    assert_eq!(code(uploads.check(&request(1, &[0; 15]), block(0, true))), ResponseType::BadRequest);
    assert_eq!(code(uploads.check(&request(1, &[0; 17]), block(0, false))), ResponseType::BadRequest);
    assert!(uploads.check(&request(1, &[0; 16]), block(3, true)).is_ok());
}
