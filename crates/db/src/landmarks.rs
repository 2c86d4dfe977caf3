//! Which row stands at which place of a long list, remembered for as long as the list has not changed.
//!
//! OFFSET walks over all rows before a page. Whoever reads a list page by page, or comes back to a late page, would walk
//! the same way again and again; from a landmark it is a few steps. A landmark is true for one version of the list
//! ([`crate::tally::Tally::version`]), which the reader has from the same snapshot as its rows; so nothing has to be
//! forgotten when things change, on whichever node that is.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use crate::Val;

/// Places before this one are reached quickly enough.
const NEAREST: u64 = 1000;
/// Landmarks of one list.
const PER_LIST: usize = 64;
/// Lists that have landmarks. With names of 1 KiB in all of them that makes 18 MiB.
const LISTS: usize = 256;

/// The landmarks of all lists of a database.
#[derive(Debug, Default)]
pub(crate) struct Landmarks(Mutex<HashMap<String, Known>>);

#[derive(Debug)]
struct Known {
    version: u64,
    places: BTreeMap<u64, Key>,
}

/// A row's values in the columns that the list is ordered by; the last one is unique.
pub(crate) type Key = [Val; 2];

impl Landmarks {
    /// The last known place of `list` that is not behind `place`, and the key of the row there.
    pub(crate) fn before(&self, list: &str, version: u64, place: u64) -> Option<(u64, Key)> {
        let lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lists.get(list).filter(|known| known.version == version)?;
        known.places.range(..=place).next_back().map(|(place, key)| (*place, key.clone()))
    }

    /// Notes what a page has shown.
    pub(crate) fn note(&self, list: String, version: u64, places: impl IntoIterator<Item = (u64, Key)>) {
        let mut places = places.into_iter().filter(|(place, _)| *place >= NEAREST).peekable();
        if places.peek().is_none() {
            return;
        }
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lists.len() >= LISTS && !lists.contains_key(&list) {
            lists.clear();
        }
        let known = lists.entry(list).or_insert_with(|| Known { version, places: BTreeMap::new() });
        if known.version > version {
            return;
        }
        if known.version < version {
            *known = Known { version, places: BTreeMap::new() };
        }
        known.places.extend(places);
        while known.places.len() > PER_LIST {
            // The way to the first one is the shortest.
            known.places.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(place: u64) -> Key {
        [Val::from(place), Val::from("id")]
    }

    #[test]
    fn the_last_place_before_the_one_asked_for_is_known_in_its_version_alone() {
        let marks = Landmarks::default();
        marks.note("a".into(), 7, [2_000, 3_000].map(|place| (place, key(place))));
        assert_eq!(marks.before("a", 7, 2_999), Some((2_000, key(2_000))));
        assert_eq!(marks.before("a", 7, 3_000), Some((3_000, key(3_000))));
        for (list, version, place) in [("a", 7, 1_999), ("a", 6, 3_000), ("a", 8, 3_000), ("b", 7, 3_000)] {
            assert_eq!(marks.before(list, version, place), None, "{list} {version} {place}");
        }
    }

    #[test]
    fn what_an_older_snapshot_showed_does_not_replace_what_a_newer_one_did() {
        let marks = Landmarks::default();
        marks.note("a".into(), 7, [(2_000, key(1))]);
        marks.note("a".into(), 6, [(2_000, key(2)), (2_500, key(3))]);
        assert_eq!(marks.before("a", 7, 9_999), Some((2_000, key(1))));
        marks.note("a".into(), 8, [(1_500, key(4))]);
        assert_eq!(marks.before("a", 8, 9_999), Some((1_500, key(4))));
    }

    #[test]
    fn there_are_only_so_many_and_none_where_the_way_is_short() {
        let marks = Landmarks::default();
        marks.note("a".into(), 1, [(NEAREST - 1, key(1))]);
        assert_eq!(marks.before("a", 1, NEAREST), None);
        let more = PER_LIST as u64 + 10;
        marks.note("a".into(), 1, (0..more).map(|n| (NEAREST + n, key(n))));
        assert_eq!(marks.before("a", 1, NEAREST + 9), None);
        assert_eq!(marks.before("a", 1, NEAREST + 10), Some((NEAREST + 10, key(10))));
        for n in 0..LISTS {
            marks.note(format!("list {n}"), 1, [(NEAREST, key(1))]);
        }
        assert_eq!(marks.0.lock().unwrap().len(), 1, "all were forgotten, then one more was noted");
    }
}
