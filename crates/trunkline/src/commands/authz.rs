//! `trunkline authz`.

use std::fmt::Write;

use clap::{Args, Subcommand};
use kernel::PatId;
use sdk::{AuthzInquiry, Explained, Reason};

use super::output::harmless;
use super::session::Session;

/// What can be asked about rights.
#[derive(Debug, Subcommand)]
pub(crate) enum AuthzCommand {
    /// Show why somebody may do something: the path by which it is allowed, or each condition that failed
    #[command(
        after_help = "Examples:\n  trunkline authz explain olga clients.view client:5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11\n  \
                      trunkline authz explain olga@example.com read_permission \
                      domain:1d9d3c1e-0c43-4e5c-9a55-1c6c8c5f6d10 --json"
    )]
    Explain(ExplainArgs),
}

/// Who would do what to which thing.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Id, e-mail address or name of the user
    #[arg(value_name = "SUBJECT")]
    subject: String,
    /// Operation such as `clients.view`, or permission such as `read_permission`
    #[arg(value_name = "PERMISSION")]
    wanted: String,
    /// `client:ID`, `channel:ID`, `group:ID`, `domain:ID` or `platform:magistrala`
    #[arg(value_name = "OBJECT")]
    object: String,
    /// The other thing of an operation on two, such as the client of `channels.connect_client`
    #[arg(long, value_name = "OBJECT")]
    with: Option<String>,
    /// With this personal access token of the user
    #[arg(long, value_name = "PAT")]
    pat: Option<PatId>,
}

/// Does it.
pub(crate) async fn run(session: &Session, command: AuthzCommand) -> anyhow::Result<()> {
    let AuthzCommand::Explain(ExplainArgs { subject, wanted, object, with, pat }) = command;
    let is_operation = wanted.contains('.');
    let (operation, permission) = if is_operation { (Some(wanted), None) } else { (None, Some(wanted)) };
    let domain = session.named_domain().await?;
    let inquiry = AuthzInquiry { subject, pat, operation, permission, object, with, domain };
    let explained = session.api.authz().explain(&inquiry).await?;
    session.text(&tree(&explained)?)
}

/// The decision as indented lines.
fn tree(explained: &Explained) -> Result<String, std::fmt::Error> {
    let mut text = format!("{}\n", harmless(&explained.summary));
    for step in &explained.steps {
        writeln!(text, "  {} {}: {}", mark(step.allowed), harmless(&step.step), harmless(&step.says))?;
        for reason in &step.because {
            branch(&mut text, reason, 2)?;
        }
    }
    Ok(text)
}

fn branch(text: &mut String, reason: &Reason, depth: usize) -> std::fmt::Result {
    let indent = "  ".repeat(depth);
    writeln!(text, "{indent}{} {}", mark(reason.allowed), harmless(&reason.condition))?;
    reason.because.iter().try_for_each(|inner| branch(text, inner, depth + 1))
}

const fn mark(allowed: bool) -> &'static str {
    if allowed { "yes" } else { "no " }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_shown_as_a_tree() {
        let explained: Explained = serde_json::from_value(serde_json::json!({
            "subject": "user:u", "wanted": "clients.view", "object": "client:c", "allowed": false,
            "summary": "refused: nothing gives the user `read_permission` on the client",
            "steps": [
                {"step": "account", "allowed": true, "says": "the user's account is enabled"},
                {"step": "relation", "allowed": false, "says": "nothing gives it", "because": [
                    {"allowed": false, "condition": "any of", "because": [
                        {"allowed": false, "condition": "related to client:c by `read`"}]}]},
            ],
        }))
        .unwrap();
        assert_eq!(
            tree(&explained).unwrap(),
            "refused: nothing gives the user `read_permission` on the client\n\
             \x20 yes account: the user's account is enabled\n\
             \x20 no  relation: nothing gives it\n\
             \x20   no  any of\n\
             \x20     no  related to client:c by `read`\n"
        );
    }
}
