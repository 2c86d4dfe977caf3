//! The flags of lists.

use clap::{Args, ValueEnum};
use sdk::{Query, Span};

use super::input;

/// Which page.
#[derive(Debug, Args)]
pub(crate) struct Paging {
    /// How many at the most, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) limit: u64,
    /// How many to pass over
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) offset: u64,
    /// All of them, page by page
    #[arg(long, conflicts_with_all = ["limit", "offset"])]
    pub(crate) all: bool,
}

impl Paging {
    /// The page that was asked for.
    pub(crate) fn span(&self) -> Span {
        Span { offset: Some(self.offset), limit: Some(self.limit) }
    }
}

/// Which of them, in which order.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Part of the name
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Status; without it the enabled ones
    #[arg(long, value_name = "STATUS")]
    status: Option<StatusWord>,
    /// A tag that they have; more than one: all of them; `a,b`: one of the two
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// What the metadata contains: a JSON object, or @FILE
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    /// What they are sorted by
    #[arg(long, value_name = "FIELD", default_value = "updated-at")]
    order: Order,
    /// The smallest or earliest first
    #[arg(long)]
    ascending: bool,
}

/// What a list is sorted by.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Order {
    /// The name
    Name,
    /// When it was made
    CreatedAt,
    /// When it was last changed
    UpdatedAt,
}

/// A status, or all.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StatusWord {
    /// In use
    Enabled,
    /// Switched off
    Disabled,
    /// Closed to all but the platform's administrators; domains only
    #[value(alias = "freezed")]
    Frozen,
    /// Marked for removal
    Deleted,
    /// Whatever it is
    All,
}

impl StatusWord {
    /// As the API spells it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Frozen => "freezed",
            Self::Deleted => "deleted",
            Self::All => "all",
        }
    }
}

impl Filter {
    /// As the API takes it.
    pub(crate) fn query(&self, span: Span) -> anyhow::Result<Query> {
        let order = match self.order {
            Order::Name => "name",
            Order::CreatedAt => "created_at",
            Order::UpdatedAt => "updated_at",
        };
        Ok(Query {
            offset: span.offset,
            limit: span.limit,
            order: Some(order.to_owned()),
            dir: Some(direction(self.ascending).to_owned()),
            name: self.name.clone(),
            status: self.status.map(|status| status.word().to_owned()),
            tags: tags(&self.tags),
            metadata: self.metadata.as_deref().map(input::metadata_text).transpose()?,
            ..Query::default()
        })
    }
}

/// The API's word.
pub(crate) const fn direction(ascending: bool) -> &'static str {
    if ascending { "asc" } else { "desc" }
}

/// Tags that all have to be there, as the API takes them.
pub(crate) fn tags(tags: &[String]) -> Option<String> {
    (!tags.is_empty()).then(|| tags.join("+"))
}
