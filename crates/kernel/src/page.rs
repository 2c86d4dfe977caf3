//! Lists come in pages.

use std::str::FromStr;

use crate::{Error, Metadata, Result, metadata::TagFilter};

/// Which part of a list is wanted (reference 07 §8.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// How many rows to pass over.
    pub offset: u64,
    /// How many rows at the most, 1 to [`PageRequest::MAX_LIMIT`] in most lists.
    pub limit: u64,
    /// Count only, return no rows.
    pub only_total: bool,
}

impl PageRequest {
    /// Rows on a page where the caller names no number.
    pub const DEFAULT_LIMIT: u64 = 10;
    /// The most rows on a page.
    pub const MAX_LIMIT: u64 = 100;

    /// The page at `offset` with `limit` rows.
    pub fn new(offset: Option<u64>, limit: Option<u64>, only_total: bool) -> Result<Self> {
        Self::up_to(Self::MAX_LIMIT, offset, limit, only_total)
    }

    /// As [`PageRequest::new`], for a list of which a page may have up to `most` rows.
    pub fn up_to(most: u64, offset: Option<u64>, limit: Option<u64>, only_total: bool) -> Result<Self> {
        let limit = limit.unwrap_or(Self::DEFAULT_LIMIT);
        if limit == 0 || limit > most {
            return Err(Error::invalid("invalid limit size"));
        }
        // Both databases count in signed 64-bit numbers.
        let offset = offset.unwrap_or_default();
        if i64::try_from(offset).is_err() {
            return Err(Error::invalid("invalid offset size"));
        }
        Ok(Self { offset, limit, only_total })
    }
}

/// The direction of a list's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first; the default.
    #[default]
    Descending,
}

impl Direction {
    /// The SQL keyword.
    pub const fn sql(self) -> &'static str {
        match self {
            Self::Ascending => "ASC",
            Self::Descending => "DESC",
        }
    }
}

impl FromStr for Direction {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "asc" => Ok(Self::Ascending),
            "" | "desc" => Ok(Self::Descending),
            _ => Err(Error::invalid("invalid list direction provided")),
        }
    }
}

/// The column by which clients, channels, groups and domains are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By name.
    Name,
    /// By the time of creation.
    CreatedAt,
    /// By the time of the last change, or of creation where there was none; the default.
    #[default]
    UpdatedAt,
}

impl FromStr for Order {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "name" => Ok(Self::Name),
            "created_at" => Ok(Self::CreatedAt),
            "" | "updated_at" => Ok(Self::UpdatedAt),
            _ => Err(Error::invalid("invalid list order provided")),
        }
    }
}

/// What every list of the registry can be asked for: a page, an order, and conditions on what the user has attached.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// The page.
    pub page: PageRequest,
    /// The column to order by.
    pub order: Order,
    /// The direction.
    pub direction: Direction,
    /// Part of the name, whatever the case.
    pub name: Option<String>,
    /// Tags.
    pub tags: Option<TagFilter>,
    /// JSON that the metadata contains.
    pub metadata: Option<Metadata>,
}

/// One page of a list, and how many rows there are in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Rows that match, on all pages.
    pub total: u64,
    /// What was asked for.
    pub request: PageRequest,
    /// The rows of this page.
    pub items: Vec<T>,
}

impl<T> Page<T> {
    /// The same page with each row changed.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { total: self.total, request: self.request, items: self.items.into_iter().map(change).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_bounded() {
        assert_eq!(PageRequest::new(None, None, false).unwrap().limit, 10);
        for bad in [0, 101] {
            assert_eq!(
                PageRequest::new(None, Some(bad), false).unwrap_err().to_string(),
                "invalid limit size"
            );
        }
        assert!(PageRequest::new(Some(u64::MAX), None, false).is_err());
        assert_eq!(PageRequest::up_to(1000, None, Some(1000), false).unwrap().limit, 1000);
        assert!(PageRequest::up_to(1000, None, Some(1001), false).is_err());
    }
}
