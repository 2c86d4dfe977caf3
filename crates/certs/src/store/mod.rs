//! SQL, nothing else.

pub(crate) mod authorities;
pub(crate) mod certificates;
#[cfg(test)]
mod tests;
