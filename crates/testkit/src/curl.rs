//! HTTP with curl, a client that others wrote: requests that tests build, and command lines as documents have them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

/// An answer, as it came.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, and values, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body, as text.
    pub body: String,
}

impl Response {
    /// The first header of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// With the whole answer, when it is something else.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }
}

/// A request in the making; [`Request::send`] runs curl.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<String>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: &str, url: &str) -> Self {
        Self { method: method.to_owned(), url: url.to_owned(), headers: Vec::new(), body: None }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(format!("{name}: {value}"));
        self
    }

    /// `Authorization: Bearer <token>`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// A JSON body with its content type.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json").body(body.to_string())
    }

    /// A body as it is; without a `Content-Type` header of the caller's none is sent.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends the request and waits for the answer.
    ///
    /// # Panics
    /// When there is none: curl's own words say why.
    #[track_caller]
    pub fn send(&self) -> Response {
        self.try_send().unwrap_or_else(|error| panic!("{} {}: {error}", self.method, self.url))
    }

    /// Sends the request; the error is what curl says when there is no answer.
    ///
    /// # Errors
    /// When the server cannot be reached or breaks off.
    pub fn try_send(&self) -> Result<Response, String> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--include", "--max-time", "60", "--noproxy", "*"]).args([
            "--header",
            "Expect:",
            "--request",
            &self.method,
        ]);
        if self.method == "HEAD" {
            curl.arg("--head");
        }
        if self.body.is_some() {
            // curl would invent a content type for a body that has none.
            if !self.headers.iter().any(|header| header.to_ascii_lowercase().starts_with("content-type:")) {
                curl.args(["--header", "Content-Type:"]);
            }
            curl.args(["--data-binary", "@-"]);
        }
        for header in &self.headers {
            curl.args(["--header", header]);
        }
        let mut child = curl
            .arg(&self.url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start `curl`: {error}; `make test` installs it"));
        let mut input = child.stdin.take().expect("stdin is piped");
        // A server may answer and close before it has read a body that is too long: that is no error here.
        input.write_all(self.body.as_deref().unwrap_or_default()).ok();
        drop(input);
        let output = child.wait_with_output().expect("curl is ours");
        let answer = String::from_utf8_lossy(&output.stdout);
        match parse(&answer) {
            Some(response) => Ok(response),
            None => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }
}

/// A command line with curl in it, as a document has it, run by a shell.
#[derive(Clone, Debug)]
pub struct CommandLine {
    text: String,
    /// Options that each curl in the text gets.
    options: String,
}

impl CommandLine {
    /// The text as it is.
    pub fn new(text: &str) -> Self {
        let options =
            "--silent --show-error --dump-header /dev/stderr --max-time 60 --noproxy '*'".to_owned();
        Self { text: text.to_owned(), options }
    }

    /// What goes to the first port of each pair on localhost reaches the second.
    #[must_use]
    pub fn leading(mut self, ports: &[(u16, u16)]) -> Self {
        for (written, real) in ports {
            self.options.push_str(&format!(" --connect-to localhost:{written}:127.0.0.1:{real}"));
        }
        self
    }

    /// Runs it to its end. The answer's body is what the command line prints.
    ///
    /// # Panics
    /// When there is no answer: the shell's or curl's own words say why.
    #[track_caller]
    pub fn run(&self) -> Response {
        let script = format!("curl() {{ command curl {} \"$@\"; }}\n{}", self.options, self.text);
        let output = Command::new("bash").args(["-c", &script]).stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|error| panic!("cannot start `bash`: {error}"));
        let (printed, heads) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        parse(&format!("{heads}{printed}")).unwrap_or_else(|| panic!("{}: {heads}", self.text))
    }
}

/// Takes the last head (there may be `100 Continue` before it) and the body apart.
fn parse(answer: &str) -> Option<Response> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    if status < 200 {
        return parse(body);
    }
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    Some(Response { status, headers, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::io::BufRead as _;

    use super::*;

    #[test]
    fn an_answer_is_taken_apart_and_interim_ones_are_skipped() {
        let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nX-Request-Id: 7\r\n\r\n{\"a\":\"\r\n\r\n\"}";
        let response = parse(answer).unwrap();
        assert_eq!((response.status, response.header("x-request-id")), (201, Some("7")));
        assert_eq!(response.body, "{\"a\":\"\r\n\r\n\"}");
    }

    #[test]
    fn a_command_line_is_led_to_another_port_and_may_pipe_what_it_gets() {
        let (listener, port) = crate::ports::taken();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            std::io::BufReader::new(&stream).read_line(&mut line).unwrap();
            stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nabc").unwrap();
            line
        });
        let line = CommandLine::new("curl -X PUT http://localhost:9/x \\\n | tr a-c A-C");
        let answer = line.leading(&[(9, port)]).run();
        assert_eq!(
            (answer.status, &*answer.body, &*server.join().unwrap()),
            (201, "ABC", "PUT /x HTTP/1.1\r\n")
        );
    }

    #[test]
    fn no_server_is_an_error_in_the_words_of_curl() {
        let url = format!("http://127.0.0.1:{}/", crate::ports::free());
        let error = Request::new("GET", &url).try_send().unwrap_err();
        assert!(error.contains("connect"), "{error}");
    }
}
