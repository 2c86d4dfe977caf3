//! What a subject may do, as a list that a broker can keep (reference 08 §12.1).
//!
//! Brokers compare filters in ways of their own, and know no denial that only overlaps. So there stands only what is allowed
//! however it is compared; about everything else the broker goes on to ask.

use super::{RuleList, SubscribeDeny};
use crate::{Action, Asked, Who};

/// The most entries for one client; about more the broker asks.
const MAX_ENTRIES: usize = 200;

/// Something that a client may do without a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Granted {
    /// To publish, or to subscribe and read.
    pub(crate) action: Action,
    /// The topic or filter.
    pub(crate) topic: String,
    /// Whether just this filter is meant, letter by letter.
    pub(crate) is_literal: bool,
}

impl RuleList {
    /// What `who` may do whatever else the rules say.
    pub(crate) fn compiled(&self, who: &Who<'_>) -> Vec<Granted> {
        let mut granted = Vec::new();
        // There a denial of a part does not deny the whole.
        let has_holes = self.options.subscribe_deny == SubscribeDeny::Exact && !self.denying.is_empty();
        for topic in self.allowing.iter().flat_map(|rule| rule.plain_topics(who.subject)) {
            let asked = Asked::Filter(topic);
            let may = |action| self.judge(who, action, asked).allowed;
            let entry = |action, is_literal| Granted { action, topic: topic.to_owned(), is_literal };
            let mut found = Vec::new();
            if !has_holes && may(Action::Publish) {
                found.push(entry(Action::Publish, false));
            }
            if !has_holes && may(Action::Subscribe) && may(Action::Read) {
                // A broker may take the `#` of a filter for a level that fits `+`.
                found.push(entry(Action::Subscribe, topic.split('/').any(|level| level == "+")));
            }
            granted.extend(found.into_iter().filter(|entry| !granted.contains(entry)).collect::<Vec<_>>());
            if granted.len() >= MAX_ENTRIES {
                break;
            }
        }
        granted
    }
}
