//! What to do about an error: what a person at the command line has to know beside what the platform says.

use kernel::Operation;
use relation::Schema;

use super::output::harmless;
use super::session::{Proof, Session};

/// The error in the words of the command line.
pub(crate) async fn with_advice(error: anyhow::Error, session: &Session) -> anyhow::Error {
    match error.downcast_ref::<sdk::Error>() {
        Some(sdk::Error::Refused { status: 403, message, .. }) => {
            let sentence = refused(message, session).await;
            anyhow::anyhow!(sentence)
        }
        Some(known) => anyhow::anyhow!(sentence(known, &session.url, session.proof)),
        None => error,
    }
}

/// The error of a login that could not be renewed.
pub(crate) fn of_renewal(error: anyhow::Error, url: &str) -> anyhow::Error {
    match error.downcast_ref::<sdk::Error>() {
        Some(known) => anyhow::anyhow!(sentence(known, url, Proof::Stored)),
        None => error,
    }
}

/// An error of the API without the story of a refusal.
pub(crate) fn sentence(error: &sdk::Error, url: &str, proof: Proof) -> String {
    match error {
        sdk::Error::Refused { status: 401, message, .. } => {
            let message = harmless(message);
            match proof {
                Proof::Stored => {
                    format!("your login has ended ({message}); log in again: trunkline login --url {url}")
                }
                Proof::Given => format!("the token is not accepted: {message}; it may be expired or revoked"),
                Proof::Nothing => format!("{message}; log in first: trunkline login --url {url}"),
            }
        }
        sdk::Error::Refused { status, message, detail, request_id } => {
            let mut sentence = harmless(message);
            if let Some(detail) = detail.as_deref().filter(|detail| *detail != message) {
                sentence.push_str(&format!(": {}", harmless(detail)));
            }
            match (status, request_id) {
                (500.., Some(id)) => {
                    sentence.push_str(&format!(
                        " (status {status}; the log of the platform has the cause under {})",
                        harmless(id)
                    ));
                }
                _ => sentence.push_str(&format!(" (status {status})")),
            }
            sentence
        }
        sdk::Error::Unreachable { cause, .. } => format!(
            "no answer from {url} ({}); is it running (`trunkline serve`)? Another address is given with --url or \
             TRUNKLINE_URL",
            root(cause)
        ),
        sdk::Error::Unexpected { .. } => {
            format!(
                "what answers at {url} is not this platform; give its address with --url or TRUNKLINE_URL"
            )
        }
        sdk::Error::Setup(_) => error.to_string(),
    }
}

/// What is not allowed, which permission it takes, and how to find out why the caller does not have it.
async fn refused(message: &str, session: &Session) -> String {
    let message = harmless(message);
    let Some(aim) = session.aimed() else { return format!("not allowed: {message}") };
    let (entity, name) = aim.operation;
    let operation = Operation { entity, name };
    let takes = match permission(operation) {
        Some(permission) => format!("it takes {permission} on {}", aim.object),
        None => format!("it takes the right to {entity}.{name} on {}", aim.object),
    };
    let user = session.caller().await.map_or_else(|| "USER".to_owned(), |id| format!("user:{id}"));
    let domain = aim.domain.map_or_else(String::new, |domain| format!(" --domain {domain}"));
    format!(
        "not allowed: {message}; {takes}. What is missing shows:\n  trunkline authz explain {user} {entity}.{name} {}{domain}",
        aim.object
    )
}

/// The permission that an operation takes, by the table that comes with the program; the platform may have another.
fn permission(operation: Operation) -> Option<String> {
    let schema = Schema::platform().ok()?;
    let table = access::permission::Permissions::parse(access::permission::DEFAULT, &schema, &[]).ok()?;
    table.get(operation).map(str::to_owned)
}

/// The last cause: what really happened.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, message: &str, detail: Option<&str>) -> sdk::Error {
        sdk::Error::Refused {
            status,
            message: message.to_owned(),
            detail: detail.map(str::to_owned),
            request_id: Some("r-1".to_owned()),
        }
    }

    #[test]
    fn each_error_says_what_to_do() {
        let url = "http://h:1";
        for (error, proof, said) in [
            (
                refusal(401, "token expired", None),
                Proof::Stored,
                "your login has ended (token expired); log in again: trunkline login --url http://h:1",
            ),
            (
                refusal(401, "token expired", None),
                Proof::Given,
                "the token is not accepted: token expired; it may be expired or revoked",
            ),
            (
                refusal(409, "route not available", Some("conflict")),
                Proof::Stored,
                "route not available: conflict (status 409)",
            ),
            (
                refusal(500, "internal\u{1b}", None),
                Proof::Stored,
                r"internal\u{1b} (status 500; the log of the platform has the cause under r-1)",
            ),
        ] {
            assert_eq!(sentence(&error, url, proof), said);
        }
    }

    #[test]
    fn the_permission_of_an_operation_is_known() {
        let of = |entity, name| permission(Operation { entity, name });
        assert_eq!(of("clients", "update").as_deref(), Some("update_permission"));
        assert_eq!(of("clients", "role_add_members").as_deref(), Some("add_role_users_permission"));
        assert_eq!(of("clients", "fly"), None);
    }
}
