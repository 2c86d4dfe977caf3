//! A minimal CoAP client of the load generator's own: it publishes with confirmable POSTs (RFC 7252), one at a time.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Before a request is sent again, and how often it is.
const PATIENCE: Duration = Duration::from_secs(2);
const TRIES: usize = 3;
/// 2.01 Created.
const CREATED: u8 = 0x41;
/// An acknowledgement, in the bits of version and type.
const ACKNOWLEDGEMENT: u8 = 0x60;

/// A device.
pub(crate) struct Device {
    socket: UdpSocket,
    /// A request whose message id and token are still to be filled in.
    request: Vec<u8>,
}

impl Device {
    /// One that publishes payloads of this length to a topic.
    ///
    /// # Errors
    /// When a part of the topic is too long, or there is no port.
    pub(crate) async fn new(server: SocketAddr, topic: &str, secret: &str, payload: usize) -> Result<Self> {
        const URI_PATH: u8 = 11;
        const URI_QUERY: u8 = 15;
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await?;
        socket.connect(server).await?;
        // Version 1, confirmable, a token of two bytes; POST; message id; token.
        let mut request = vec![0x42, 0x02, 0, 0, 0, 0];
        let mut last = 0;
        for (number, value) in topic
            .split('/')
            .map(|level| (URI_PATH, level.to_owned()))
            .chain([(URI_QUERY, format!("auth={secret}"))])
        {
            option(&mut request, number - last, value.as_bytes())?;
            last = number;
        }
        request.push(0xff);
        request.resize(request.len() + payload, b'x');
        Ok(Self { socket, request })
    }

    /// Publishes message number `number` and waits until it is accepted.
    ///
    /// # Errors
    /// When it is not, or nobody answers.
    pub(crate) async fn publish(&mut self, number: u64) -> Result<()> {
        let id = (number as u16).to_be_bytes();
        for place in [2, 4] {
            self.request.get_mut(place..place + 2).context("a request without head")?.copy_from_slice(&id);
        }
        let mut answer = [0; 256];
        for _ in 0..TRIES {
            self.socket.send(&self.request).await?;
            while let Ok(received) = timeout(PATIENCE, self.socket.recv(&mut answer)).await {
                let answer = answer.get(..received?).unwrap_or_default();
                let [head, code, high, low, ..] = *answer else { continue };
                // An answer to an earlier one may still come.
                if head & 0x70 == ACKNOWLEDGEMENT && [high, low] == id {
                    ensure!(code == CREATED, "the server answers {}.{:02}", code >> 5, code & 0x1f);
                    return Ok(());
                }
            }
        }
        anyhow::bail!("no answer to a POST")
    }
}

/// Appends an option (RFC 7252 §3.1); none here is longer than 268 bytes.
fn option(out: &mut Vec<u8>, delta: u8, value: &[u8]) -> Result<()> {
    const ONE_BYTE: usize = 13;
    ensure!(delta < 13 && value.len() < ONE_BYTE + 256, "an option of {} bytes", value.len());
    match u8::try_from(value.len()) {
        Ok(short @ ..13) => out.push(delta << 4 | short),
        _ => out.extend_from_slice(&[delta << 4 | 13, u8::try_from(value.len() - ONE_BYTE)?]),
    }
    out.extend_from_slice(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_has_its_length_in_front() {
        let mut bytes = Vec::new();
        option(&mut bytes, 11, b"m").unwrap();
        option(&mut bytes, 0, &[b'x'; 36]).unwrap();
        assert_eq!(bytes[..5], [0xb1, b'm', 0x0d, 23, b'x']);
        assert_eq!(bytes.len(), 40);
        assert!(option(&mut bytes, 0, &[0; 269]).is_err());
    }
}
