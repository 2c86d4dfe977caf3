//! Which build this is.

use std::sync::LazyLock;

/// The version of the package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that the program was built from; what the reference prints where it is not known (reference 07 §7.1).
pub const COMMIT: &str = match option_env!("BUILD_COMMIT") {
    Some(commit) => commit,
    None => "ffffffff",
};

/// When it was built, if whoever built it said so (reference 07 §7.1).
pub const BUILD_TIME: &str = match option_env!("BUILD_TIME") {
    Some(time) => time,
    None => "1970-01-01_00:00:00",
};

/// Version and commit for people: `0.1.0 (a1b2c3d4)`.
pub(crate) fn version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| match option_env!("BUILD_COMMIT") {
        Some(commit) => format!("{VERSION} ({commit})"),
        None => VERSION.to_owned(),
    });
    &TEXT
}
