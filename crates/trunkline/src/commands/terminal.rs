//! The terminal: how wide it is, and what is asked there.

use std::io::{BufRead, IsTerminal, Read, Write, stderr, stdin, stdout};

use anyhow::{Context, bail, ensure};
use kernel::Secret;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::output::harmless;

/// The longest secret or answer that is read from a pipe, in bytes.
const MAX_INPUT: u64 = 64 * 1024;

/// The columns of the terminal that answers go to; none if they go elsewhere.
pub(crate) fn width() -> Option<u16> {
    let out = stdout();
    if !out.is_terminal() {
        return None;
    }
    let columns = tcgetwinsize(&out).map_or(0, |size| size.ws_col);
    Some(if columns < 20 { 80 } else { columns })
}

/// Asks for one line, for example a name.
pub(crate) fn ask(question: &str) -> anyhow::Result<String> {
    ensure!(stdin().is_terminal(), "there is nobody to ask for it here");
    write!(stderr(), "{question}: ")?;
    line()
}

/// Asks for a secret without showing it. From a pipe it is read without asking.
pub(crate) fn ask_secret(question: &str) -> anyhow::Result<Secret<String>> {
    if !stdin().is_terminal() {
        return Ok(Secret::new(line()?));
    }
    write!(stderr(), "{question}: ")?;
    let hidden = Hidden::begin();
    let secret = line();
    drop(hidden);
    writeln!(stderr())?;
    Ok(Secret::new(secret?))
}

/// Asks for somebody's password.
pub(crate) fn ask_password(username: &str) -> anyhow::Result<Secret<String>> {
    let password = ask_secret(&format!("Password of {}", harmless(username)))?;
    ensure!(!password.expose().is_empty(), "nothing was typed");
    Ok(password)
}

/// Asks for a new secret twice, as it cannot be read back.
pub(crate) fn ask_new_secret(question: &str) -> anyhow::Result<Secret<String>> {
    let secret = ask_secret(question)?;
    ensure!(!secret.expose().is_empty(), "it must not be empty");
    if stdin().is_terminal() {
        ensure!(secret == ask_secret("Once more")?, "the two are not the same");
    }
    Ok(secret)
}

/// Reads a secret that a program passes on standard input; what ends its line does not belong to it.
pub(crate) fn piped_secret(what: &str) -> anyhow::Result<Secret<String>> {
    let secret = line().with_context(|| format!("cannot read the {what} from standard input"))?;
    ensure!(!secret.is_empty(), "there is no {what} on standard input");
    Ok(Secret::new(secret))
}

/// Asks whether to go on with what cannot be undone. Without a terminal the answer has to be given before, with `--yes`.
pub(crate) fn confirm(question: &str) -> anyhow::Result<()> {
    if !stdin().is_terminal() {
        bail!("{question} Say --yes to do it without being asked");
    }
    write!(stderr(), "{question} [y/N] ")?;
    ensure!(["y", "yes"].contains(&line()?.to_lowercase().as_str()), "nothing has been done");
    Ok(())
}

fn line() -> anyhow::Result<String> {
    let mut line = String::new();
    stdin().lock().take(MAX_INPUT).read_line(&mut line)?;
    line.truncate(line.trim_end_matches(['\n', '\r']).len());
    Ok(line)
}

/// While it lives, the terminal does not show what is typed.
struct Hidden(Option<Termios>);

impl Hidden {
    fn begin() -> Self {
        let before = tcgetattr(stdin()).ok();
        if let Some(before) = &before {
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHO);
            // A terminal that cannot do it shows the secret; asking is still better than not being able to.
            let _ = tcsetattr(stdin(), OptionalActions::Flush, &silent);
        }
        Self(before)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}
