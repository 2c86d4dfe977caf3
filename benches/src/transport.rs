//! What is between the load generator and a server's codec: TCP, TLS, or the frames of a WebSocket.
//!
//! Like the codec of the generator it is its own, as little as a load needs.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The name in the certificate of a server under test.
pub(crate) const SERVER_NAME: &str = "localhost";
/// A binary frame that is whole, and the bit of a length that says that a mask follows (RFC 6455 §5.2).
const BINARY: u8 = 0x82;
const MASKED: u8 = 0x80;

/// Where a connection begins.
#[derive(Clone)]
pub(crate) enum Door {
    /// MQTT over TCP.
    Tcp(SocketAddr),
    /// MQTT over TLS, to a server that is trusted.
    Tls(SocketAddr, TlsConnector),
    /// MQTT over WebSocket, on a port of HTTP.
    WebSocket(SocketAddr),
}

impl Door {
    /// One over TLS to a server with this certificate.
    ///
    /// # Errors
    /// When it is no certificate.
    pub(crate) fn tls(address: SocketAddr, certificate: CertificateDer<'static>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate)?;
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self::Tls(address, TlsConnector::from(Arc::new(config))))
    }

    /// Connects; MQTT may begin.
    ///
    /// # Errors
    /// When nobody answers, or not as a server of that kind.
    pub(crate) async fn open(&self) -> Result<(Incoming, Outgoing)> {
        let (Self::Tcp(address) | Self::Tls(address, _) | Self::WebSocket(address)) = self;
        let stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        match self {
            Self::Tcp(_) => {
                let (reader, writer) = stream.into_split();
                Ok((Incoming::Tcp(reader), Outgoing::Tcp(writer)))
            }
            Self::Tls(_, connector) => {
                let stream = connector.connect(ServerName::try_from(SERVER_NAME)?, stream).await?;
                let (reader, writer) = tokio::io::split(stream);
                Ok((Incoming::Tls(reader), Outgoing::Tls(writer)))
            }
            Self::WebSocket(_) => upgrade(stream).await,
        }
    }
}

/// Bytes of MQTT from a server.
pub(crate) enum Incoming {
    Tcp(OwnedReadHalf),
    Tls(ReadHalf<TlsStream<TcpStream>>),
    /// With the bytes that are left of the frame that has begun.
    WebSocket(BufReader<OwnedReadHalf>, usize),
}

impl Incoming {
    /// What has come, at least a byte; 0 at the end.
    ///
    /// # Errors
    /// When the connection is broken, or something else than a message comes.
    pub(crate) async fn read(&mut self, free: &mut [u8]) -> Result<usize> {
        match self {
            Self::Tcp(half) => Ok(half.read(free).await?),
            Self::Tls(half) => Ok(half.read(free).await?),
            Self::WebSocket(half, left) => {
                while *left == 0 {
                    *left = frame(half).await?;
                }
                let most = free.len().min(*left);
                let count = half.read(free.get_mut(..most).unwrap_or_default()).await?;
                *left -= count;
                Ok(count)
            }
        }
    }
}

/// The length of the next frame, which a server does not mask.
async fn frame(half: &mut BufReader<OwnedReadHalf>) -> Result<usize> {
    ensure!(half.read_u8().await? == BINARY, "a frame that is no whole binary one");
    Ok(match half.read_u8().await? {
        126 => usize::from(half.read_u16().await?),
        127 => usize::try_from(half.read_u64().await?)?,
        short @ ..126 => usize::from(short),
        _ => bail!("a frame of the server with a mask"),
    })
}

/// Bytes of MQTT to a server.
pub(crate) enum Outgoing {
    Tcp(OwnedWriteHalf),
    Tls(WriteHalf<TlsStream<TcpStream>>),
    WebSocket(OwnedWriteHalf),
}

impl Outgoing {
    /// Sends all of it; over a WebSocket as one frame.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Tcp(half) => half.write_all(bytes).await?,
            Self::Tls(half) => {
                half.write_all(bytes).await?;
                half.flush().await?;
            }
            Self::WebSocket(half) => half.write_all(&framed(bytes)?).await?,
        }
        Ok(())
    }
}

/// A frame whose mask is zero, so that its bytes stay as they are.
fn framed(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut frame = Vec::with_capacity(bytes.len() + 14);
    frame.push(BINARY);
    match bytes.len() {
        short @ ..126 => frame.push(MASKED | u8::try_from(short)?),
        medium @ ..=0xffff => {
            frame.push(MASKED | 126);
            frame.extend_from_slice(&u16::try_from(medium)?.to_be_bytes());
        }
        long => {
            frame.push(MASKED | 127);
            frame.extend_from_slice(&u64::try_from(long)?.to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(bytes);
    Ok(frame)
}

async fn upgrade(stream: TcpStream) -> Result<(Incoming, Outgoing)> {
    const LONGEST: usize = 4_096;
    let (reader, mut writer) = stream.into_split();
    let request = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Protocol: mqtt\r\n\r\n";
    writer.write_all(request.as_bytes()).await?;
    let mut reader = BufReader::with_capacity(64 * 1024, reader);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(reader.read_u8().await?);
        ensure!(head.len() < LONGEST, "an answer to the upgrade without an end");
    }
    ensure!(head.starts_with(b"HTTP/1.1 101 "), "no upgrade: {}", String::from_utf8_lossy(&head));
    Ok((Incoming::WebSocket(reader, 0), Outgoing::WebSocket(writer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_shortest_length_and_a_mask_that_changes_nothing() {
        assert_eq!(framed(b"ab").unwrap(), [0x82, 0x82, 0, 0, 0, 0, b'a', b'b']);
        assert_eq!(framed(&[7; 126]).unwrap()[..8], [0x82, 0xfe, 0, 126, 0, 0, 0, 0]);
        assert_eq!(framed(&[7; 65_536]).unwrap()[..10], [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
