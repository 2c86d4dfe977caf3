//! The properties of MQTT 5 (§2.2.2): identifiers, and the walk over a property section.

use std::ops::Range;

use bytes::BytesMut;

use super::message_properties::{self, MessageProperties};
use super::packet::{Diagnostics, UserProperty};
use super::reader::Reader;
use super::text::check_text;
use super::topic::check_topic_name;
use super::violation::Violation;

pub(super) const PAYLOAD_FORMAT: u8 = message_properties::PAYLOAD_FORMAT;
pub(super) const MESSAGE_EXPIRY: u8 = 0x02;
pub(super) const CONTENT_TYPE: u8 = message_properties::CONTENT_TYPE;
pub(super) const RESPONSE_TOPIC: u8 = message_properties::RESPONSE_TOPIC;
pub(super) const CORRELATION_DATA: u8 = message_properties::CORRELATION_DATA;
pub(super) const SUBSCRIPTION_ID: u8 = 0x0B;
pub(super) const SESSION_EXPIRY: u8 = 0x11;
pub(super) const ASSIGNED_CLIENT_ID: u8 = 0x12;
pub(super) const SERVER_KEEP_ALIVE: u8 = 0x13;
pub(super) const AUTHENTICATION_METHOD: u8 = 0x15;
pub(super) const AUTHENTICATION_DATA: u8 = 0x16;
pub(super) const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
pub(super) const WILL_DELAY: u8 = 0x18;
pub(super) const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
pub(super) const RESPONSE_INFORMATION: u8 = 0x1A;
pub(super) const SERVER_REFERENCE: u8 = 0x1C;
pub(super) const REASON_STRING: u8 = 0x1F;
pub(super) const RECEIVE_MAXIMUM: u8 = 0x21;
pub(super) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
pub(super) const TOPIC_ALIAS: u8 = 0x23;
pub(super) const MAXIMUM_QOS: u8 = 0x24;
pub(super) const RETAIN_AVAILABLE: u8 = 0x25;
pub(super) const USER_PROPERTY: u8 = message_properties::USER_PROPERTY;
pub(super) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
pub(super) const WILDCARD_SUBSCRIPTION_AVAILABLE: u8 = 0x28;
pub(super) const SUBSCRIPTION_IDS_AVAILABLE: u8 = 0x29;
pub(super) const SHARED_SUBSCRIPTION_AVAILABLE: u8 = 0x2A;

/// One bit per identifier of table 2-4. All are below 64, so a set of them is a word.
const KNOWN: u64 = {
    let identifiers = [
        PAYLOAD_FORMAT,
        MESSAGE_EXPIRY,
        CONTENT_TYPE,
        RESPONSE_TOPIC,
        CORRELATION_DATA,
        SUBSCRIPTION_ID,
        SESSION_EXPIRY,
        ASSIGNED_CLIENT_ID,
        SERVER_KEEP_ALIVE,
        AUTHENTICATION_METHOD,
        AUTHENTICATION_DATA,
        REQUEST_PROBLEM_INFORMATION,
        WILL_DELAY,
        REQUEST_RESPONSE_INFORMATION,
        RESPONSE_INFORMATION,
        SERVER_REFERENCE,
        REASON_STRING,
        RECEIVE_MAXIMUM,
        TOPIC_ALIAS_MAXIMUM,
        TOPIC_ALIAS,
        MAXIMUM_QOS,
        RETAIN_AVAILABLE,
        USER_PROPERTY,
        MAXIMUM_PACKET_SIZE,
        WILDCARD_SUBSCRIPTION_AVAILABLE,
        SUBSCRIPTION_IDS_AVAILABLE,
        SHARED_SUBSCRIPTION_AVAILABLE,
    ];
    let mut known = 0;
    let mut rest: &[u8] = &identifiers;
    while let Some((&identifier, tail)) = rest.split_first() {
        known |= 1 << identifier;
        rest = tail;
    }
    known
};

/// The properties that may occur more than once. Where a subscription identifier may not, the packet's decoder
/// says so.
const REPEATABLE: u64 = 1 << USER_PROPERTY | 1 << SUBSCRIPTION_ID;

/// A walk over one property section.
pub(super) struct Properties<'a> {
    /// The fields; a caller reads the value of the identifier that it was given from here.
    pub(super) fields: Reader<'a>,
    seen: u64,
}

impl<'a> Properties<'a> {
    /// Takes the section, with its length in front, from a packet.
    pub(super) fn read(packet: &mut Reader<'a>) -> Result<Self, Violation> {
        let length = packet.variable_byte_integer()?;
        let fields = packet.section(usize::try_from(length).unwrap_or(usize::MAX))?;
        Ok(Self { fields, seen: 0 })
    }

    /// The next identifier, known and not a forbidden repetition; `None` at the end of the section.
    ///
    /// Identifiers are variable byte integers, but all of them have one byte (table 2-4).
    pub(super) fn next(&mut self) -> Result<Option<u8>, Violation> {
        if self.fields.is_empty() {
            return Ok(None);
        }
        let identifier = self.fields.u8()?;
        let bit = 1_u64.checked_shl(u32::from(identifier)).unwrap_or(0);
        if KNOWN & bit == 0 {
            return Err(Violation::PropertyUnknown);
        }
        if self.seen & bit & !REPEATABLE != 0 {
            return Err(Violation::PropertyDuplicate);
        }
        self.seen |= bit;
        Ok(Some(identifier))
    }

    /// A byte that is 0 or 1.
    pub(super) fn boolean(&mut self) -> Result<bool, Violation> {
        match self.fields.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Violation::PropertyNotBoolean),
        }
    }

    /// Name and value.
    pub(super) fn user_property(&mut self) -> Result<UserProperty, Violation> {
        Ok((self.fields.text()?, self.fields.text()?))
    }

    /// Reads the properties of a packet that may have user properties only.
    pub(super) fn user_properties(mut self) -> Result<Vec<UserProperty>, Violation> {
        let mut found = Vec::new();
        while let Some(identifier) = self.next()? {
            match identifier {
                USER_PROPERTY => found.push(self.user_property()?),
                _ => return Err(Violation::PropertyNotAllowed),
            }
        }
        Ok(found)
    }

    /// Reads the properties of a packet that may have a reason string and user properties only.
    pub(super) fn diagnostics(mut self) -> Result<Diagnostics, Violation> {
        let mut found = Diagnostics::default();
        while let Some(identifier) = self.next()? {
            self.diagnostic(identifier, &mut found)?;
        }
        Ok(found)
    }

    /// Reads the value of a reason string or user property; no other identifier is allowed.
    pub(super) fn diagnostic(&mut self, identifier: u8, found: &mut Diagnostics) -> Result<(), Violation> {
        match identifier {
            REASON_STRING => found.reason_string = Some(self.fields.text()?),
            USER_PROPERTY => found.user_properties.push(self.user_property()?),
            _ => return Err(Violation::PropertyNotAllowed),
        }
        Ok(())
    }
}

/// Gathers the properties of a message that are forwarded unaltered while its section is walked over.
///
/// Where they stand together, which is nearly always, the result is a slice of the read buffer; otherwise the
/// pieces are copied.
pub(super) struct Forwarded<'a> {
    section: Reader<'a>,
    run: Range<usize>,
    copied: BytesMut,
}

impl<'a> Forwarded<'a> {
    /// Before the first property of a section is read.
    pub(super) fn of(properties: &Properties<'a>) -> Self {
        Self { section: properties.fields, run: 0..0, copied: BytesMut::new() }
    }

    /// Takes the property whose identifier was just read, or refuses one that is not forwarded.
    pub(super) fn take(&mut self, identifier: u8, properties: &mut Properties<'a>) -> Result<(), Violation> {
        // The identifier is the one byte before the value.
        let start = self.position(properties).saturating_sub(1);
        check_forwarded(identifier, properties)?;
        if self.run.end != start {
            self.copy_run();
            self.run.start = start;
        }
        self.run.end = self.position(properties);
        Ok(())
    }

    /// After the last property of the section.
    pub(super) fn finish(mut self) -> MessageProperties {
        if self.copied.is_empty() {
            return MessageProperties::from_checked(self.section.share(self.run_bytes()));
        }
        self.copy_run();
        MessageProperties::from_checked(self.copied.freeze())
    }

    fn position(&self, properties: &Properties<'a>) -> usize {
        self.section.rest().len() - properties.fields.rest().len()
    }

    fn run_bytes(&self) -> &'a [u8] {
        self.section.rest().get(self.run.clone()).unwrap_or_default()
    }

    fn copy_run(&mut self) {
        self.copied.extend_from_slice(self.run_bytes());
    }
}

/// Checks the value of a property that is forwarded.
fn check_forwarded(identifier: u8, properties: &mut Properties<'_>) -> Result<(), Violation> {
    let fields = &mut properties.fields;
    match identifier {
        PAYLOAD_FORMAT => properties.boolean().map(|_| ()),
        CONTENT_TYPE => check_text(fields.field()?).map(|_| ()),
        RESPONSE_TOPIC => check_topic_name(fields.field()?).map_err(|violation| match violation {
            Violation::TopicWildcard => Violation::ResponseTopicWildcard,
            other => other,
        }),
        CORRELATION_DATA => fields.field().map(|_| ()),
        USER_PROPERTY => {
            check_text(fields.field()?)?;
            check_text(fields.field()?).map(|_| ())
        }
        _ => Err(Violation::PropertyNotAllowed),
    }
}
