//! The subscriptions of one channel, as a tree of the levels of their filters, and what it answers: who gets a
//! message with this subtopic.
//!
//! The tree works on text alone and knows nothing of sessions; `S` is whatever stands for a subscriber.

use hashbrown::HashMap;

/// A tree of filters with values at their ends.
#[derive(Debug)]
pub(crate) struct FilterTree<S> {
    root: Node<S>,
}

#[derive(Debug)]
struct Node<S> {
    /// By literal level.
    children: HashMap<Box<str>, Node<S>>,
    /// `+`.
    any: Option<Box<Node<S>>>,
    /// Filters that end here.
    here: Vec<S>,
    /// Filters that end with `#` below here; they match here too (MQTT 5.0 §4.7.1.2).
    below: Vec<S>,
}

impl<S> Default for Node<S> {
    fn default() -> Self {
        Self { children: HashMap::new(), any: None, here: Vec::new(), below: Vec::new() }
    }
}

impl<S> Default for FilterTree<S> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<S> FilterTree<S> {
    /// The values of a filter, made if there are none.
    pub(crate) fn entry(&mut self, filter: &str) -> &mut Vec<S> {
        let mut node = &mut self.root;
        for level in levels(filter) {
            node = match level {
                "#" => return &mut node.below,
                "+" => node.any.get_or_insert_default(),
                name => node.children.entry(name.into()).or_default(),
            };
        }
        &mut node.here
    }

    /// Drops the values of a filter for which `gone` holds, and the branches that only they needed.
    pub(crate) fn remove(&mut self, filter: &str, gone: impl Fn(&S) -> bool) {
        let levels: Vec<&str> = levels(filter).collect();
        self.root.remove(&levels, &gone);
    }

    /// Calls `visit` for every value whose filter matches.
    pub(crate) fn matching<'a>(&'a self, subtopic: &str, mut visit: impl FnMut(&'a S)) {
        let levels: Vec<&str> = levels(subtopic).collect();
        self.root.matching(&levels, &mut visit);
    }

    /// Calls `visit` for every value.
    pub(crate) fn each<'a>(&'a self, mut visit: impl FnMut(&'a S)) {
        self.root.each(&mut visit);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.root.is_empty()
    }
}

impl<S> Node<S> {
    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.any.is_none() && self.here.is_empty() && self.below.is_empty()
    }

    fn remove(&mut self, levels: &[&str], gone: &impl Fn(&S) -> bool) {
        match levels {
            [] => self.here.retain(|value| !gone(value)),
            ["#"] => self.below.retain(|value| !gone(value)),
            ["+", rest @ ..] => {
                if let Some(node) = &mut self.any {
                    node.remove(rest, gone);
                    if node.is_empty() {
                        self.any = None;
                    }
                }
            }
            [name, rest @ ..] => {
                if let Some(node) = self.children.get_mut(*name) {
                    node.remove(rest, gone);
                    if node.is_empty() {
                        self.children.remove(*name);
                    }
                }
            }
        }
    }

    fn matching<'a>(&'a self, levels: &[&str], visit: &mut impl FnMut(&'a S)) {
        self.below.iter().for_each(&mut *visit);
        let Some((level, rest)) = levels.split_first() else {
            self.here.iter().for_each(visit);
            return;
        };
        if let Some(node) = self.children.get(*level) {
            node.matching(rest, visit);
        }
        if let Some(node) = &self.any {
            node.matching(rest, visit);
        }
    }

    fn each<'a>(&'a self, visit: &mut impl FnMut(&'a S)) {
        self.here.iter().chain(&self.below).for_each(&mut *visit);
        self.children.values().for_each(|node| node.each(visit));
        if let Some(node) = &self.any {
            node.each(visit);
        }
    }
}

/// The levels of a subtopic; the empty one, the channel itself, has none.
fn levels(subtopic: &str) -> impl Iterator<Item = &str> {
    subtopic.split('/').filter(|level| !level.is_empty())
}

/// Whether a filter matches a subtopic: the rule of the tree for one filter alone.
pub(crate) fn matches(filter: &str, subtopic: &str) -> bool {
    let (mut filter, mut subtopic) = (levels(filter), levels(subtopic));
    loop {
        match (filter.next(), subtopic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hash_matches_its_parent_and_a_plus_exactly_one_level() {
        for (filter, subtopic, expected) in [
            ("", "", true),
            ("", "a", false),
            ("#", "", true),
            ("#", "a/b", true),
            ("+", "", false),
            ("+", "a", true),
            ("+", "a/b", false),
            ("a/#", "a", true),
            ("a/#", "ab", false),
            ("a/+/c", "a/b/c", true),
            ("a/+/c", "a/b/d", false),
        ] {
            assert_eq!(matches(filter, subtopic), expected, "{filter:?} {subtopic:?}");
        }
    }

    fn subtopic() -> impl Strategy<Value = String> {
        prop::collection::vec("[abc]", 0..4).prop_map(|levels| levels.join("/"))
    }

    fn filter() -> impl Strategy<Value = String> {
        (prop::collection::vec("[ab+]", 0..4), any::<bool>()).prop_map(|(mut levels, hash)| {
            if hash {
                levels.push("#".to_owned());
            }
            levels.join("/")
        })
    }

    proptest! {
        #[test]
        fn the_tree_and_the_naive_walk_agree(
            filters in prop::collection::vec(filter(), 0..12),
            removed in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
            subtopic in subtopic(),
        ) {
            let mut tree = FilterTree::default();
            let mut naive: Vec<(usize, String)> = filters.into_iter().enumerate().collect();
            for (index, filter) in &naive {
                tree.entry(filter).push(*index);
            }
            for index in removed {
                if !naive.is_empty() {
                    let (gone, filter) = naive.remove(index.index(naive.len()));
                    tree.remove(&filter, |value| *value == gone);
                }
            }

            let mut found = Vec::new();
            tree.matching(&subtopic, |value| found.push(*value));
            found.sort_unstable();
            let expected: Vec<usize> =
                naive.iter().filter(|(_, filter)| matches(filter, &subtopic)).map(|(index, _)| *index).collect();
            prop_assert_eq!(found, expected);

            let mut all = 0;
            tree.each(|_| all += 1);
            prop_assert_eq!(all, naive.len());
            prop_assert_eq!(tree.is_empty(), naive.is_empty());
        }
    }
}
