//! From an error to a gRPC status: one table.

use kernel::{Error, Kind};
use tonic::{
    Code, Status,
    metadata::{Ascii, MetadataValue},
};

/// The code for each kind (reference 01 §6.1), where conflicts and what cannot be carried out have codes of their own.
pub(crate) const fn code(kind: Kind) -> Code {
    match kind {
        Kind::Invalid | Kind::MediaType => Code::InvalidArgument,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::Denied => Code::PermissionDenied,
        Kind::NotFound => Code::NotFound,
        Kind::Conflict => Code::AlreadyExists,
        Kind::TooLarge | Kind::Limited => Code::ResourceExhausted,
        Kind::Unprocessable => Code::FailedPrecondition,
        Kind::Unavailable => Code::Unavailable,
        Kind::Internal => Code::Internal,
    }
}

/// The status that a caller gets: the public message alone. What is our fault is logged with all of its causes.
pub(crate) fn of(error: &Error, request: &str) -> Status {
    match error.kind() {
        Kind::Internal | Kind::Unavailable => {
            tracing::error!(request.id = request, causes = error.chain(), "a gRPC call failed: {error}");
        }
        _ => {
            tracing::debug!(request.id = request, causes = error.chain(), "a gRPC call was refused: {error}");
        }
    }
    let mut status = Status::new(code(error.kind()), error.public());
    if let Ok(id) = request.parse::<MetadataValue<Ascii>>() {
        status.metadata_mut().insert("x-request-id", id);
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_told_the_public_message_and_the_request_alone() {
        let error = Error::internal(std::io::Error::other("disk /var is full"));
        let status = of(&error, "5f0b4e1c");
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(status.message(), error.public());
        assert_eq!(status.metadata().get("x-request-id").unwrap(), "5f0b4e1c");
    }

    #[test]
    fn kinds_that_callers_tell_apart_have_codes_of_their_own() {
        let codes = [
            (Kind::Invalid, Code::InvalidArgument),
            (Kind::Unauthenticated, Code::Unauthenticated),
            (Kind::Denied, Code::PermissionDenied),
            (Kind::NotFound, Code::NotFound),
            (Kind::Conflict, Code::AlreadyExists),
        ];
        for (kind, expected) in codes {
            assert_eq!(code(kind), expected, "{kind:?}");
        }
    }
}
