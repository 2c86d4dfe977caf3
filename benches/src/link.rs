//! One MQTT connection of the load generator.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::mqtt::{self, Incoming, Party};
use crate::transport::{self, Door, Outgoing};

/// No handshake may take longer; a server that needs more has failed the run.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);

/// An open connection, in its two directions.
pub(crate) struct Link {
    /// Packets from the server.
    pub(crate) reader: Reader,
    /// Bytes to the server.
    pub(crate) writer: Outgoing,
}

impl Link {
    /// Connects as `party` and waits for the server's yes. `buffer` is how many bytes one read may take.
    ///
    /// # Errors
    /// When the server refuses, or does not answer in time.
    pub(crate) async fn open(door: &Door, party: &Party, buffer: usize) -> Result<Self> {
        tokio::time::timeout(HANDSHAKE_LIMIT, Self::shake_hands(door, party, buffer))
            .await
            .context("no answer to CONNECT")?
    }

    async fn shake_hands(door: &Door, party: &Party, buffer: usize) -> Result<Self> {
        const KEEP_ALIVE_S: u16 = 600;
        let (reader, writer) = door.open().await?;
        let mut link =
            Self { reader: Reader { half: reader, buffer: vec![0; buffer], start: 0, end: 0 }, writer };
        link.writer.write_all(&mqtt::connect(party, KEEP_ALIVE_S)?).await?;
        match link.reader.expect().await? {
            Incoming::ConnAck(0) => Ok(link),
            other => bail!("the server answers CONNECT with {other:?}"),
        }
    }

    /// Subscribes to `filter` and waits for the server's yes.
    ///
    /// # Errors
    /// When the server refuses or grants a lower QoS.
    pub(crate) async fn subscribe(&mut self, filter: &str, qos: u8) -> Result<()> {
        self.writer.write_all(&mqtt::subscribe(1, filter, qos)?).await?;
        let answer = tokio::time::timeout(HANDSHAKE_LIMIT, self.reader.expect())
            .await
            .context("no answer to SUBSCRIBE")??;
        ensure!(answer == Incoming::SubAck(qos), "the server answers SUBSCRIBE to {filter} with {answer:?}");
        Ok(())
    }

    /// Says good-bye and closes.
    ///
    /// # Errors
    /// When the connection is already broken.
    pub(crate) async fn close(mut self) -> Result<()> {
        self.writer.write_all(&mqtt::DISCONNECT).await
    }
}

/// Splits what arrives into packets.
pub(crate) struct Reader {
    half: transport::Incoming,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Reader {
    /// Waits for more bytes; those not yet taken stay in front of them.
    ///
    /// # Errors
    /// When the server closed, or sent a packet that is larger than the buffer.
    pub(crate) async fn fill(&mut self) -> Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let free = self.buffer.get_mut(self.end..).unwrap_or_default();
        ensure!(!free.is_empty(), "a packet larger than the buffer");
        let read = self.half.read(free).await?;
        ensure!(read > 0, "the server closed the connection");
        self.end += read;
        Ok(())
    }

    /// The next packet that has arrived already.
    ///
    /// # Errors
    /// See [`mqtt::decode`].
    pub(crate) fn next(&mut self) -> Result<Option<Incoming<'_>>> {
        let arrived = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some((incoming, used)) = mqtt::decode(arrived)? else { return Ok(None) };
        self.start += used;
        Ok(Some(incoming))
    }

    /// Waits for one packet while nothing but an answer can come.
    async fn expect(&mut self) -> Result<Incoming<'_>> {
        let used = loop {
            let arrived = self.buffer.get(self.start..self.end).unwrap_or_default();
            match mqtt::decode(arrived)? {
                Some((_, used)) => break used,
                None => self.fill().await?,
            }
        };
        let arrived = self.buffer.get(self.start..self.end).unwrap_or_default();
        self.start += used;
        mqtt::decode(arrived)?.map(|(incoming, _)| incoming).context("a packet that was there is gone")
    }
}
