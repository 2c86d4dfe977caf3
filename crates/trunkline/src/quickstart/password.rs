//! The password, from the terminal without showing it, or from a pipe.

use std::io::{BufRead, IsTerminal, Write};
use std::process::{Command, Stdio};

use anyhow::Context;
use kernel::Secret;

/// Asks for the password of `username`.
pub(super) fn ask(username: &str) -> anyhow::Result<Secret<String>> {
    let is_terminal = std::io::stdin().is_terminal();
    let hidden = is_terminal.then(HiddenInput::begin);
    if is_terminal {
        write!(std::io::stderr(), "Password of {username}: ")?;
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read the password")?;
    if hidden.is_some() {
        writeln!(std::io::stderr())?;
    }
    let password = line.trim_end_matches(['\n', '\r']);
    anyhow::ensure!(!password.is_empty(), "no password; give it with --password or TRUNKLINE_PASSWORD");
    Ok(Secret::new(password.to_owned()))
}

/// While it lives, the terminal does not show what is typed.
struct HiddenInput;

impl HiddenInput {
    fn begin() -> Self {
        echo("-echo");
        Self
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        echo("echo");
    }
}

/// A terminal without `stty` shows the password; asking is still better than not being able to.
fn echo(mode: &str) {
    let _ = Command::new("stty").arg(mode).stderr(Stdio::null()).status();
}
