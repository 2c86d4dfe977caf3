//! Ports for servers that cannot pick one themselves.

use std::net::{Ipv4Addr, TcpListener};

/// A TCP port that is free on 127.0.0.1 at this moment.
///
/// Another process may take it before the caller does, so prefer port 0 where the server can announce what it
/// got. The system hands out such ports in turn, which makes an early second use unlikely.
pub fn free() -> u16 {
    taken().1
}

/// A listener on 127.0.0.1 and its port: a port that is in use as long as the listener lives.
pub fn taken() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("no free port on 127.0.0.1");
    let port = listener.local_addr().expect("a bound listener has an address").port();
    (listener, port)
}
