//! Numbers of content formats (RFC 7252 §12.3 and the registry), as messages name them.

/// Formats that devices send. What is not listed is carried without a name.
const FORMATS: [(u32, &str); 14] = [
    (0, "text/plain;charset=utf-8"),
    (40, "application/link-format"),
    (41, "application/xml"),
    (42, "application/octet-stream"),
    (47, "application/exi"),
    (50, "application/json"),
    (60, "application/cbor"),
    (63, "application/cbor-seq"),
    (110, "application/senml+json"),
    (111, "application/sensml+json"),
    (112, "application/senml+cbor"),
    (113, "application/sensml+cbor"),
    (310, "application/senml+xml"),
    (11_542, "application/vnd.oma.lwm2m+tlv"),
];

/// The media type of a number.
pub(crate) fn media_type(number: u32) -> Option<&'static str> {
    FORMATS.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}
