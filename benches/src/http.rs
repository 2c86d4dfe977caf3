//! A minimal HTTP/1.1 client: one connection kept open, one request at a time, JSON or nothing as body.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// No request of a benchmark may take longer; the longest is a bulk creation.
const LIMIT: Duration = Duration::from_secs(120);
/// Answers larger than this are none that a benchmark asks for.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// A kept-alive connection.
pub(crate) struct Http {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A request, encoded once and sent as often as wanted.
pub(crate) struct Request(Vec<u8>);

impl Request {
    /// A request to `path`, with the bearer `token` and a JSON `body` where given.
    pub(crate) fn new(method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> Self {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n");
        if let Some(token) = token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            head.push_str("Content-Type: application/json\r\n");
        }
        if method != "GET" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        Self([head.as_bytes(), b"\r\n", body.as_bytes()].concat())
    }
}

/// Status and body of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Status code.
    pub(crate) status: u16,
    /// Body without its transfer coding.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON, when the answer is a success.
    ///
    /// # Errors
    /// When it is none, with what the server says about it.
    pub(crate) fn json(&self) -> Result<Value> {
        let text = String::from_utf8_lossy(&self.body);
        ensure!((200..300).contains(&self.status), "status {}: {}", self.status, text.trim());
        if text.trim().is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&text)?) }
    }
}

impl Http {
    /// Connects to `server`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub(crate) async fn open(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server).await.with_context(|| format!("connect to {server}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// When the connection breaks, or the answer is not HTTP/1.1 or does not come.
    pub(crate) async fn send(&mut self, request: &Request) -> Result<Answer> {
        tokio::time::timeout(LIMIT, self.exchange(request)).await.context("no answer over HTTP")?
    }

    /// Sends one request with a JSON body and returns the JSON of a successful answer.
    ///
    /// # Errors
    /// As [`send`](Self::send), and every status but a success.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value> {
        let answer = self.send(&Request::new(method, path, token, body)).await?;
        answer.json().with_context(|| format!("{method} {path}"))
    }

    async fn exchange(&mut self, request: &Request) -> Result<Answer> {
        self.stream.write_all(&request.0).await?;
        loop {
            if let Some((answer, used)) = parse(&self.received)? {
                self.received.drain(..used);
                return Ok(answer);
            }
            ensure!(self.received.len() < LARGEST_ANSWER, "an answer without end");
            ensure!(self.stream.read_buf(&mut self.received).await? > 0, "the server closed the connection");
        }
    }
}

/// One answer at the start of `bytes` and its length; `None` while it is incomplete.
fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>> {
    const END: &[u8] = b"\r\n\r\n";
    let Some(head_len) = bytes.windows(END.len()).position(|window| window == END) else { return Ok(None) };
    let (head, body) = bytes.split_at_checked(head_len + END.len()).unwrap_or_default();
    let head = std::str::from_utf8(head)?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).and_then(|rest| rest.get(..3));
    let status = status.context("not an HTTP/1.1 answer")?.parse()?;
    let mut length = None;
    let mut chunked = false;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse()?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.trim().eq_ignore_ascii_case("chunked");
        }
    }
    let decoded = match (length, chunked) {
        (_, true) => dechunk(body)?,
        (Some(length), false) => body.get(..length).map(|body| (body.to_vec(), length)),
        (None, false) if status == 204 => Some((Vec::new(), 0)),
        (None, false) => bail!("an answer without a length"),
    };
    Ok(decoded.map(|(body, used)| (Answer { status, body }, head.len() + used)))
}

/// A chunked body (RFC 9112, 7.1) and how many bytes it took.
fn dechunk(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>> {
    let (mut body, mut rest) = (Vec::new(), bytes);
    loop {
        let Some(line_len) = rest.windows(2).position(|window| window == b"\r\n") else { return Ok(None) };
        let (line, after) = rest.split_at_checked(line_len).unwrap_or_default();
        let size = std::str::from_utf8(line)?.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16).context("a chunk without size")?;
        let Some(chunk) = after.get(2..2 + size) else { return Ok(None) };
        let Some(next) = after.get(2 + size + 2..) else { return Ok(None) };
        body.extend_from_slice(chunk);
        rest = next;
        if size == 0 {
            return Ok(Some((body, bytes.len() - rest.len())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let bytes = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 ";
        let (answer, used) = parse(bytes).unwrap().unwrap();
        assert_eq!((answer.status, answer.body, used), (201, b"{}".to_vec(), bytes.len() - 9));
        assert_eq!(parse(&bytes[..used - 1]).unwrap(), None);
    }

    #[test]
    fn a_chunked_answer_is_put_together() {
        let bytes =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        let (answer, used) = parse(bytes).unwrap().unwrap();
        assert_eq!((answer.body, used), (b"abcde".to_vec(), bytes.len()));
        assert!((0..bytes.len()).all(|cut| parse(&bytes[..cut]).unwrap().is_none()));
    }

    #[test]
    fn a_request_carries_token_and_body() {
        let request = Request::new("POST", "/x", Some("t"), Some(&serde_json::json!({"a": 1})));
        let text = String::from_utf8(request.0).unwrap();
        assert!(text.starts_with("POST /x HTTP/1.1\r\n"), "{text}");
        assert!(text.contains("Authorization: Bearer t\r\n"), "{text}");
        assert!(text.ends_with("Content-Length: 7\r\n\r\n{\"a\":1}"), "{text}");
    }

    #[test]
    fn a_failure_names_status_and_message() {
        let answer = Answer { status: 403, body: b"{\"message\":\"no\"}".to_vec() };
        assert_eq!(answer.json().unwrap_err().to_string(), "status 403: {\"message\":\"no\"}");
    }
}
