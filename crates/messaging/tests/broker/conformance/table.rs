//! docs/mqtt-conformance.md lists every normative statement of both specifications. It is true only as long as none is
//! missing and every test that it names is there.

use std::{collections::BTreeMap, fs, ops::RangeInclusive, path::PathBuf};

/// Chapter, and the statements that it has.
type Chapter = (&'static str, RangeInclusive<u32>);

const MQTT_5: &[Chapter] = &[
    ("1.5.4", 1..=3),
    ("1.5.5", 1..=1),
    ("1.5.7", 1..=1),
    ("2.1.3", 1..=1),
    // There is no 2.2.1-1.
    ("2.2.1", 2..=6),
    ("2.2.2", 1..=1),
    ("3.1.0", 1..=2),
    ("3.1.2", 1..=30),
    ("3.1.3", 1..=12),
    ("3.1.4", 1..=6),
    ("3.2.0", 1..=2),
    ("3.2.2", 1..=22),
    ("3.3.1", 1..=13),
    ("3.3.2", 1..=20),
    ("3.3.4", 1..=10),
    ("3.4.2", 1..=3),
    ("3.5.2", 1..=3),
    ("3.6.1", 1..=1),
    ("3.6.2", 1..=3),
    ("3.7.2", 1..=3),
    ("3.8.1", 1..=1),
    ("3.8.3", 1..=5),
    ("3.8.4", 1..=8),
    ("3.9.2", 1..=2),
    ("3.9.3", 1..=2),
    ("3.10.1", 1..=1),
    ("3.10.3", 1..=2),
    ("3.10.4", 1..=6),
    ("3.11.2", 1..=2),
    ("3.11.3", 1..=2),
    ("3.12.4", 1..=1),
    ("3.14.0", 1..=1),
    ("3.14.1", 1..=1),
    ("3.14.2", 1..=4),
    ("3.14.4", 1..=3),
    ("3.15.1", 1..=1),
    ("3.15.2", 1..=3),
    ("4.1.0", 1..=2),
    ("4.2", 1..=1),
    ("4.3.1", 1..=1),
    ("4.3.2", 1..=5),
    ("4.3.3", 1..=13),
    ("4.4.0", 1..=2),
    ("4.5.0", 1..=2),
    ("4.6.0", 1..=6),
    ("4.7.0", 1..=1),
    ("4.7.1", 1..=2),
    ("4.7.2", 1..=1),
    ("4.7.3", 1..=4),
    ("4.8.2", 1..=6),
    ("4.9.0", 1..=3),
    ("4.12.0", 1..=7),
    ("4.12.1", 1..=2),
    ("4.13.1", 1..=1),
    ("4.13.2", 1..=1),
    ("6.0.0", 1..=4),
];

const MQTT_3_1_1: &[Chapter] = &[
    ("1.5.3", 1..=3),
    ("2.2.2", 1..=2),
    ("2.3.1", 1..=7),
    ("3.1.0", 1..=2),
    ("3.1.2", 1..=24),
    ("3.1.3", 1..=11),
    ("3.1.4", 1..=5),
    ("3.2.0", 1..=1),
    ("3.2.2", 1..=6),
    ("3.3.1", 1..=12),
    ("3.3.2", 1..=3),
    ("3.3.4", 1..=1),
    ("3.3.5", 1..=2),
    ("3.6.1", 1..=1),
    ("3.8.1", 1..=1),
    ("3.8.3", 1..=4),
    ("3.8.4", 1..=6),
    ("3.9.3", 1..=2),
    ("3.10.1", 1..=1),
    ("3.10.3", 1..=2),
    ("3.10.4", 1..=6),
    ("3.12.4", 1..=1),
    ("3.14.1", 1..=1),
    ("3.14.4", 1..=3),
    ("4.1.0", 1..=2),
    ("4.3.1", 1..=1),
    ("4.3.2", 1..=2),
    ("4.3.3", 1..=2),
    ("4.4.0", 1..=1),
    ("4.5.0", 1..=2),
    ("4.6.0", 1..=6),
    ("4.7.1", 1..=3),
    ("4.7.2", 1..=1),
    ("4.7.3", 1..=4),
    ("4.8.0", 1..=2),
    ("6.0.0", 1..=4),
    ("7.0.0", 1..=2),
    ("7.1.1", 1..=1),
    ("7.1.2", 1..=1),
];

/// One row of the table.
struct Row {
    number: String,
    binds: String,
    words: String,
    /// The tests, or why there is none.
    tests: String,
}

fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The rows below a heading, up to the next one of its rank.
fn rows(paper: &str, heading: &str) -> Vec<Row> {
    let (_, section) = paper.split_once(&format!("\n## {heading}\n")).expect("the heading is there");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = rows.map(|row| row.split(" | ").map(str::to_owned).collect::<Vec<_>>());
    cells
        .filter(|cells| cells[0].starts_with(|first: char| first.is_ascii_digit()))
        .map(|cells| {
            let [number, binds, words, tests] = <[String; 4]>::try_from(cells).expect("four columns");
            Row { number, binds, words, tests }
        })
        .collect()
}

/// Names of tests in a cell: `crate::path::name`.
fn named(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2).filter(|name| name.contains("::"))
}

/// Whether the sources have this test, read from files that are kept in `read`.
fn exists(test: &str, read: &mut BTreeMap<PathBuf, String>) -> bool {
    let segments: Vec<&str> = test.split("::").collect();
    let [package, path @ .., name] = &segments[..] else { return false };
    let root = match *package {
        "tests" => workspace().join("tests"),
        package => workspace().join("crates").join(package),
    };
    let path = path.join("/");
    let files = ["src", "tests", ""].into_iter().flat_map(|directory| {
        [".rs", "/mod.rs", "/main.rs"].map(|ending| root.join(directory).join(format!("{path}{ending}")))
    });
    for file in files {
        let source = read.entry(file).or_insert_with_key(|file| fs::read_to_string(file).unwrap_or_default());
        if let Some(at) = source.find(&format!("fn {name}(")) {
            // Its attributes stand between it and the end of what is before it.
            let before = source[..at].rsplit("\n\n").next().unwrap_or_default();
            return before.contains("test]") || before.contains("test(") || before.contains("proptest!");
        }
    }
    false
}

#[test]
fn every_normative_statement_is_covered_by_a_test_that_is_there_or_says_why_not() {
    let paper = fs::read_to_string(workspace().join("docs/mqtt-conformance.md")).unwrap();
    let mut read = BTreeMap::new();
    let mut wrong = Vec::new();
    for (heading, chapters) in [("MQTT 5.0", MQTT_5), ("MQTT 3.1.1", MQTT_3_1_1)] {
        let rows = rows(&paper, heading);
        let expected: Vec<String> = chapters
            .iter()
            .flat_map(|(chapter, range)| range.clone().map(move |number| format!("{chapter}-{number}")))
            .collect();
        let listed: Vec<&String> = rows.iter().map(|row| &row.number).collect();
        assert_eq!(listed, expected.iter().collect::<Vec<_>>(), "{heading}: each statement once, in order");
        for Row { number, binds, words, tests } in &rows {
            if !matches!(binds.as_str(), "server" | "client" | "both") || words.is_empty() {
                wrong.push(format!("{heading} {number}: whom does it bind, and to what?"));
            }
            if named(tests).next().is_none() && tests.len() < 10 {
                wrong.push(format!("{heading} {number}: no test, and no reason"));
            }
            let missing = named(tests).filter(|test| !exists(test, &mut read));
            wrong.extend(missing.map(|test| format!("{heading} {number}: there is no test {test}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_test_that_is_not_there_is_noticed() {
    let mut read = BTreeMap::new();
    let this = "messaging::broker::conformance::table::a_test_that_is_not_there_is_noticed";
    assert!(exists(this, &mut read));
    for wrong in [
        "messaging::broker::conformance::table::a_test_that_is_not_there",
        "messaging::broker::conformance::table::exists",
        "messaging::broker::nowhere::a_test_that_is_not_there_is_noticed",
        "nothing::a_test_that_is_not_there_is_noticed",
    ] {
        assert!(!exists(wrong, &mut read), "{wrong}");
    }
}
