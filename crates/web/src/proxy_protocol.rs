//! The PROXY protocol, versions 1 and 2 (haproxy.org, `proxy-protocol.txt`): the line or record with which a TCP proxy
//! begins a connection, to say whom it connects for.
//!
//! Whether a connection begins with one is never guessed, for then anybody could write one: the operator names the
//! ports, and the proxies that are believed. What they send is bounded in size, read byte for byte so that nothing of
//! what follows is taken, and a header that breaks a rule ends the connection. The caller bounds the time.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::io::{AsyncRead, AsyncReadExt};

/// How version 2 begins.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// How version 1 begins.
const WORD: &[u8] = b"PROXY ";
/// The longest line of version 1, its line break included (§2.1).
const LONGEST_LINE: usize = 107;
/// What may follow the fixed part of version 2: addresses, and some records that are passed over. AWS and Azure send a
/// few hundred bytes.
const MOST: usize = 4_096;

/// Reads the header of a connection that `peer` has opened; returns whom it is for. That is `peer` itself where it has
/// something to say in its own name, such as a health check.
///
/// # Errors
///
/// Those of the stream, and `InvalidData` for what is no header. The connection is then to be closed.
pub async fn origin(stream: &mut (impl AsyncRead + Unpin), peer: SocketAddr) -> io::Result<SocketAddr> {
    // No header is shorter than this.
    let mut first = [0; SIGNATURE.len()];
    stream.read_exact(&mut first).await?;
    let named = if first == SIGNATURE {
        record(stream).await?
    } else if first.starts_with(WORD) {
        line(&first, stream).await?
    } else {
        return Err(bad("the connection does not begin with a PROXY header"));
    };
    Ok(named.map_or(peer, |named| SocketAddr::new(named.ip().to_canonical(), named.port())))
}

fn bad(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The rest of version 1.
async fn line(first: &[u8], stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut line = first.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() == LONGEST_LINE {
            return Err(bad("the PROXY line is too long"));
        }
        line.push(stream.read_u8().await?);
    }
    let text = line.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
    parsed(text).ok_or_else(|| bad("the PROXY line is malformed"))
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 40000 443`; `Some(None)`: the proxy does not know.
fn parsed(line: &str) -> Option<Option<SocketAddr>> {
    let mut words = line.split(' ');
    words.next()?;
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let (source, destination) = (words.next()?, words.next()?);
    let (source, destination): (IpAddr, IpAddr) = match family {
        "TCP4" => (source.parse::<Ipv4Addr>().ok()?.into(), destination.parse::<Ipv4Addr>().ok()?.into()),
        "TCP6" => (source.parse::<Ipv6Addr>().ok()?.into(), destination.parse::<Ipv6Addr>().ok()?.into()),
        _ => return None,
    };
    let (source_port, _) = (port(words.next()?)?, port(words.next()?)?);
    let _ = destination;
    words.next().is_none().then(|| Some(SocketAddr::new(source, source_port)))
}

/// Digits alone: Rust's numbers may have a sign.
fn port(word: &str) -> Option<u16> {
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok()).flatten()
}

/// The rest of version 2.
async fn record(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let [command, family] = [stream.read_u8().await?, stream.read_u8().await?];
    let length = usize::from(stream.read_u16().await?);
    if length > MOST {
        return Err(bad("the PROXY header is too long"));
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    match command {
        // LOCAL: the proxy speaks for itself.
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err(bad("the PROXY header has a version or command that is unknown")),
    }
    match family {
        // Unspecified, or a socket without an address.
        0x00 | 0x31 => Ok(None),
        0x11 => read(&rest, |source: [u8; 4]| Ipv4Addr::from(source).into()),
        0x21 => read(&rest, |source: [u8; 16]| Ipv6Addr::from(source).into()),
        _ => Err(bad("the PROXY header is not about a connection over TCP")),
    }
}

/// Source address, destination address, source port, destination port.
fn read<const N: usize>(
    rest: &[u8],
    address: impl FnOnce([u8; N]) -> IpAddr,
) -> io::Result<Option<SocketAddr>> {
    let short = || bad("the PROXY header is too short for its addresses");
    let source = rest.first_chunk::<N>().ok_or_else(short)?;
    let ports = rest.get(2 * N..2 * N + 4).and_then(|ports| ports.first_chunk::<2>()).ok_or_else(short)?;
    Ok(Some(SocketAddr::new(address(*source), u16::from_be_bytes(*ports))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PEER: &str = "10.0.0.1:5000";

    /// What is read, and what is left for those who come after.
    async fn of(bytes: &[u8]) -> (io::Result<String>, Vec<u8>) {
        let mut stream = bytes;
        let found = origin(&mut stream, PEER.parse().unwrap()).await;
        (found.map(|found| found.to_string()), stream.to_vec())
    }

    fn record(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x9c, 0x40, 1, 187];

    #[tokio::test]
    async fn a_line_names_whom_the_connection_is_for_and_nothing_behind_it_is_taken() {
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n", "192.0.2.7:40000"),
            ("PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n", "[2001:db8::7]:1"),
            ("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", "192.0.2.7:1"),
            ("PROXY UNKNOWN\r\n", PEER),
            ("PROXY UNKNOWN ffff::1 whatever 65535 65535\r\n", PEER),
        ] {
            let (found, left) = of(&[line.as_bytes(), b"\x10\x0cMQTT"].concat()).await;
            assert_eq!(found.unwrap(), expected, "{line}");
            assert_eq!(left, b"\x10\x0cMQTT", "{line}");
        }
    }

    #[tokio::test]
    async fn a_record_does_too() {
        let with_records = [&V4[..], &[0x01, 0, 2, b'h', b'2', 0x04, 0, 1, 0]].concat();
        let mut v6 = [0; 36];
        v6[..2].copy_from_slice(&[0x20, 0x01]);
        v6[15] = 9;
        v6[32..34].copy_from_slice(&[0, 80]);
        for (bytes, expected) in [
            (record(0x21, 0x11, &V4), "192.0.2.7:40000"),
            (record(0x21, 0x11, &with_records), "192.0.2.7:40000"),
            (record(0x21, 0x21, &v6), "[2001::9]:80"),
            (record(0x20, 0x00, &[]), PEER),
            (record(0x20, 0x11, &V4), PEER),
            (record(0x21, 0x00, &[]), PEER),
            (record(0x21, 0x31, &[0; 216]), PEER),
        ] {
            let (found, left) = of(&[&bytes[..], b"rest"].concat()).await;
            assert_eq!(found.unwrap(), expected, "{bytes:?}");
            assert_eq!(left, b"rest");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_ends_the_connection() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        let lines: &[&[u8]] = &[
            b"GET / HTTP/1.1\r\n\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 70000\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n",
            b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
            b"PROXY TCP6 192.0.2.7 192.0.2.8 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
            b"PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
            b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
            b"PROXY TCP4 \xff\xff 198.51.100.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7",
            b"PROXY\r\n\r\n\r\n\r\n",
            long.as_bytes(),
            b"",
        ];
        for line in lines {
            assert!(of(line).await.0.is_err(), "{:?}", String::from_utf8_lossy(line));
        }
        for bytes in [
            record(0x31, 0x11, &V4),
            record(0x22, 0x11, &V4),
            record(0x21, 0x12, &V4),
            record(0x21, 0x11, &V4[..11]),
            record(0x21, 0x21, &V4),
            record(0x21, 0x11, &vec![0; MOST + 1]),
            record(0x21, 0x11, &V4)[..20].to_vec(),
        ] {
            assert!(of(&bytes).await.0.is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail_or_read_without_end(bytes in prop::collection::vec(any::<u8>(), 0..300), v2: bool) {
            let start: &[u8] = if v2 { &SIGNATURE } else { WORD };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _outcome = runtime.block_on(of(&[start, &bytes].concat()));
        }
    }
}
