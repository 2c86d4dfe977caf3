//! Numbers that others must not guess.

use aws_lc_rs::rand;

/// Random bytes. The operating system's randomness does not fail; if it did, they are zeros.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if rand::fill(&mut bytes).is_err() {
        tracing::error!("the operating system gives no random numbers");
    }
    bytes
}

/// A random number.
pub(crate) fn u16() -> u16 {
    u16::from_be_bytes(bytes())
}

/// A duration up to half longer, so that peers do not repeat in step (RFC 7252 §4.2).
pub(crate) fn up_to_half_longer(duration: std::time::Duration) -> std::time::Duration {
    duration + duration.mul_f64(f64::from(u16()) / f64::from(u16::MAX) / 2.0)
}
