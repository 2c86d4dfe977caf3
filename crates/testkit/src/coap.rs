//! CoAP with the clients of the libcoap project, which stand on OpenSSL and on GnuTLS.

use std::process::Command;

use crate::process::{Process, Stream};

/// The programs; both speak plain CoAP too.
pub const CLIENTS: [&str; 2] = ["coap-client-openssl", "coap-client-gnutls"];

/// A client's command line: the program, how many seconds it waits for a server that says nothing, its flags, and the
/// address of what it asks for.
fn client(program: &str, patience: &str, flags: &[&str], uri: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["-B", patience]).args(flags).arg(uri);
    command
}

/// Runs a client to its end and gives what it has printed: the payload, or the code and text of an error.
#[track_caller]
pub fn ask(program: &str, flags: &[&str], uri: &str) -> String {
    let mut process = Process::start(program, &mut client(program, "5", flags, uri));
    process.wait();
    [process.lines(Stream::Out), process.lines(Stream::Err)].concat().join("\n")
}

/// Starts a client that observes; it prints each message on a line.
#[track_caller]
pub fn observe(program: &str, flags: &[&str], uri: &str) -> Observer {
    let flags = [&["-s", "600", "-w"], flags].concat();
    Observer(Process::start(program, &mut client(program, "600", &flags, uri)))
}

/// A running client that observes. Dropping it kills it.
#[derive(Debug)]
pub struct Observer(Process);

impl Observer {
    /// Waits for a message.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn message(&self, payload: &str) {
        self.0.wait_for(Stream::Out, &format!("the message `{payload}`"), |line| {
            line.contains(payload).then_some(())
        });
    }

    /// Everything that it has printed.
    pub fn log(&self) -> String {
        self.0.log()
    }
}
