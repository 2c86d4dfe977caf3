//! The matcher against one that is so simple that it must be right, and the cases with an identity in them.

use proptest::prelude::*;

use super::*;
use crate::{Subject, SubjectKind};

fn subject(id: &str) -> Subject {
    Subject::new(SubjectKind::User, id, [], [])
}

fn who(subject: &Subject) -> Who<'_> {
    Who { subject, username: None, clientid: "" }
}

/// MQTT's own matching of one name, by its definition and without any care for speed.
fn naive_match(filter: &[&str], name: &[&str], depth: usize) -> bool {
    let hidden = depth == 0 && name.first().is_some_and(|level| level.starts_with('$'));
    match (filter.first(), name.first()) {
        (Some(&"#"), _) => !hidden,
        (Some(&"+"), Some(_)) => !hidden && naive_match(&filter[1..], &name[1..], depth + 1),
        (Some(one), Some(other)) => one == other && naive_match(&filter[1..], &name[1..], depth + 1),
        (None, None) => true,
        _ => false,
    }
}

/// Every name of up to `depth` levels over an alphabet that has a letter which no pattern uses; among them the
/// empty one, which is no topic but which `+` and `/#` have in common.
fn names(depth: usize) -> Vec<Vec<&'static str>> {
    let mut all: Vec<Vec<&str>> = vec![vec![]];
    let mut longest = all.clone();
    for _ in 0..depth {
        longest = longest
            .iter()
            .flat_map(|start| {
                ["a", "b", "", "$s", "other"].map(|level| [start.as_slice(), &[level]].concat())
            })
            .collect();
        all.extend(longest.clone());
    }
    all.retain(|name| !name.is_empty());
    all
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![Just("a"), Just("b"), Just(""), Just("+"), Just("$s")];
    (prop::collection::vec(level, 1..4), any::<bool>())
        .prop_map(|(mut levels, rest)| {
            if rest {
                *levels.last_mut().unwrap() = "#";
            }
            levels.join("/")
        })
        .prop_filter("an empty text is no filter", |text| !text.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn cover_and_overlap_are_what_the_sets_of_topics_say(pattern in filter(), asked in filter()) {
        let nobody = subject("u");
        let compiled = Pattern::parse(&pattern).unwrap();
        let split = |text: &'_ str| -> Vec<String> { text.split('/').map(str::to_owned).collect() };
        let (p, f) = (split(&pattern), split(&asked));
        let (p, f): (Vec<&str>, Vec<&str>) =
            (p.iter().map(String::as_str).collect(), f.iter().map(String::as_str).collect());
        let all = names(5);
        let of = |filter: &[&str]| -> Vec<bool> { all.iter().map(|name| naive_match(filter, name, 0)).collect() };
        let (ours, theirs) = (of(&p), of(&f));

        let covered = ours.iter().zip(&theirs).all(|(own, their)| *own || !their);
        // `+/#` and `#` are one set; only the spelling of the pattern itself counts.
        let same_set = p.last() == Some(&"#") && f == ["#"] && p != ["#"];
        if !same_set {
            prop_assert_eq!(compiled.covers(&asked, &who(&nobody)), covered, "{} covers {}", pattern, asked);
        }
        let shared = ours.iter().zip(&theirs).any(|(own, their)| *own && *their);
        // The one place where it says yes for safety.
        let reaches_hidden = asked.starts_with('$') && matches!(p[0], "+" | "#");
        if !reaches_hidden {
            prop_assert_eq!(compiled.overlaps(&asked, &who(&nobody)), shared, "{} overlaps {}", pattern, asked);
        }
    }

    #[test]
    fn a_name_is_covered_exactly_if_it_matches(pattern in filter(), at in 0_usize..700) {
        let nobody = subject("u");
        let compiled = Pattern::parse(&pattern).unwrap();
        let all = names(4);
        let name = &all[at % all.len()];
        let levels: Vec<&str> = pattern.split('/').collect();
        prop_assert_eq!(compiled.covers(&name.join("/"), &who(&nobody)), naive_match(&levels, name, 0));
    }
}

#[test]
fn a_deny_reaches_filters_that_begin_with_a_dollar() {
    let nobody = subject("u");
    assert!(Pattern::parse("#").unwrap().overlaps("$SYS/#", &who(&nobody)));
    assert!(Pattern::parse("+/x").unwrap().overlaps("$SYS/+", &who(&nobody)));
    assert!(!Pattern::parse("$SYS/x").unwrap().overlaps("#", &who(&nobody)));
    assert!(!Pattern::parse("$SYS/x").unwrap().overlaps("+/x", &who(&nobody)));
}

#[test]
fn a_placeholder_is_the_asking_clients_own() {
    let subject = subject("u-1");
    let pattern = Pattern::parse("celine/nudging/triggers/${subject.id}").unwrap();
    assert!(pattern.covers("celine/nudging/triggers/u-1", &who(&subject)));
    assert!(!pattern.covers("celine/nudging/triggers/u-2", &who(&subject)));
    assert!(!pattern.covers("celine/nudging/triggers/+", &who(&subject)));
    assert!(pattern.overlaps("celine/nudging/triggers/+", &who(&subject)));

    let inside = Pattern::parse("d/x-${clientid}-y/#").unwrap();
    let client = Who { clientid: "c1", ..who(&subject) };
    assert!(inside.covers("d/x-c1-y/z", &client) && !inside.covers("d/x-c2-y/z", &client));
    assert!(!inside.covers("d/x--y/z", &who(&subject)), "no client id is no client");

    // A name that was not verified is no name.
    let named = Pattern::parse("n/${username}").unwrap();
    assert!(!named.covers("n/", &who(&subject)));
    assert!(named.covers("n/al", &Who { username: Some("al"), ..who(&subject) }));
}

#[test]
fn an_identity_that_cannot_stand_in_a_topic_is_allowed_nothing_and_escapes_no_denial() {
    for id in ["a/b", "+", "#", "", "x\0"] {
        let subject = subject(id);
        let pattern = Pattern::parse("own/${subject.id}/x").unwrap();
        for topic in ["own/a/x", "own/+/x", "own/#", "own//x", "own/a/b/x"] {
            assert!(!pattern.covers(topic, &who(&subject)), "{id} {topic}");
        }
        assert!(pattern.overlaps("own/a/x", &who(&subject)), "{id}");
        assert!(pattern.is_unfit_for(&who(&subject)));
    }
    let hidden = subject("$SYS");
    assert!(!Pattern::parse("${subject.id}/#").unwrap().covers("$SYS/x", &who(&hidden)));
}

#[test]
fn a_placeholder_that_is_none_is_found() {
    let odd = |text: &str| Pattern::parse(text).unwrap().odd_placeholder().map(str::to_owned);
    assert_eq!(odd("a/${subject.id}/${clientid}"), None);
    assert_eq!(odd("a/${subject.ids}/x").as_deref(), Some("${subject.ids}"));
    assert_eq!(odd("$SYS/{a}"), None);
}
