//! `trunkline keys`: API keys, and the key that signs tokens.

use clap::Subcommand;

use super::output::Shape;
use super::session::Session;
use super::things::confirm;

const SHAPE: Shape = Shape {
    list: "keys",
    id: "/id",
    columns: &[("ID", "/id"), ("ISSUED", "/issued_at"), ("EXPIRES", "/expires_at")],
    fields: &[
        ("ID", "/id"),
        ("Token", "/value"),
        ("Of", "/subject"),
        ("Issued", "/issued_at"),
        ("Expires", "/expires_at"),
    ],
};

/// The public keys that verify tokens, the one that signs first.
const SIGNING: Shape = Shape {
    list: "keys",
    id: "/kid",
    columns: &[("ID", "/kid"), ("ALGORITHM", "/alg")],
    fields: &[("ID", "/kid"), ("Algorithm", "/alg")],
};

/// What can be done with API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Issue a key that a program shows for you; it is shown this once
    #[command(
        after_help = "A key may do all that you may. A personal access token (`trunkline pats`) can be limited."
    )]
    Create {
        /// How long it is good: 90s, 15m, 12h, 30d, 1y; without it until it is revoked
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        expires: Option<u64>,
    },
    /// Show a key, but not what it is
    #[command(visible_alias = "get")]
    View {
        /// Id of the key
        #[arg(value_name = "ID", value_parser = id)]
        id: String,
    },
    /// Sign tokens with another key; those of the one before stay good
    Rotate,
    /// End a key
    #[command(visible_alias = "delete")]
    Revoke {
        /// Id of the key
        #[arg(value_name = "ID", value_parser = id)]
        id: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Does it.
pub(crate) async fn run(session: &Session, command: KeysCommand) -> anyhow::Result<()> {
    let keys = session.api.keys();
    match command {
        KeysCommand::Create { expires } => {
            keys.issue(expires.unwrap_or(0)).await?;
        }
        KeysCommand::View { id } => {
            keys.view(&id).await?;
        }
        KeysCommand::Rotate => {
            keys.rotate().await?;
            return session.many(&SIGNING);
        }
        KeysCommand::Revoke { id, yes } => {
            confirm("key", std::slice::from_ref(&id), yes)?;
            keys.revoke(&id).await?;
            return session.done("the key has ended");
        }
    }
    session.one(&SHAPE)
}

/// Seconds of a time such as `12h`.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a time such as 90s, 15m, 12h, 30d or 1y");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        "y" => 31_536_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).filter(|&seconds| seconds > 0).ok_or_else(wrong)
}

/// An id, as it becomes a part of a path.
fn id(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if fits { Ok(text.to_owned()) } else { Err("not an id".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("30d"), Ok(30 * 86_400));
        for wrong in ["", "12", "h", "0h", "1.5h", "5 h", "99999999999999999999y", "9999999999999999y"] {
            assert!(seconds(wrong).unwrap_err().contains("is not a time"), "{wrong}");
        }
    }
}
