//! What the schema language says, and how it says no.

use super::{parser::MAX_NESTING, *};
use crate::{Graph, memory::Tuples};

fn error(source: &str) -> String {
    Schema::parse(source).unwrap_err().to_string()
}

#[test]
fn a_syntax_error_says_where_and_what_was_expected() {
    for (source, message) in [
        ("defnition user {}", "line 1, column 1: expected `definition`, found `defnition`"),
        ("definition {", "line 1, column 12: expected the name of the definition, found `{`"),
        ("definition user", "line 1, column 16: expected `{`, found the end of the schema"),
        (
            "definition user {\n  viewer: user\n}",
            "line 2, column 3: expected `relation`, `permission` or `}`, found `viewer`",
        ),
        ("definition user {\n  relation r user }", "line 2, column 14: expected `:`, found `user`"),
        (
            "definition user { relation r: user | }",
            "line 1, column 38: expected the type of a subject, found `}`",
        ),
        (
            "definition user { relation r: user# }",
            "line 1, column 37: expected a relation of that type, found `}`",
        ),
        (
            "definition user { permission p = }",
            "line 1, column 34: expected a relation, a permission, `nil` or `(`, found `}`",
        ),
        (
            "definition user { permission p = (a + b }",
            "line 1, column 41: expected an operator or `)`, found `}`",
        ),
        (
            "definition user { permission p = a b }",
            "line 1, column 36: expected `relation`, `permission` or `}`, found `b`",
        ),
        (
            "definition user { permission p = a-> }",
            "line 1, column 38: expected what the arrow leads to, found `}`",
        ),
        ("definition user { /* no end", "line 1, column 19: this comment has no end, expected `*/`"),
        ("// über\ndefinition üser {}", "line 2, column 12: unexpected character `\\u{fc}`"),
        (
            "definition User {}",
            "line 1, column 12: `User` is no name: names begin with a lower case letter and have only those, digits and `_`",
        ),
        ("definition u { relation r: u:* }", "line 1, column 29: wildcards (`*`) are not supported"),
        ("definition u { permission p = * }", "line 1, column 31: wildcards (`*`) are not supported"),
        (
            "definition u { relation r: u with c }",
            "line 1, column 30: caveats and expirations (`with`) are not supported",
        ),
        (
            "definition u { relation r: u permission p = r.any(x) }",
            "line 1, column 46: `.any()` and `.all()` are not supported, write `->`",
        ),
    ] {
        assert_eq!(error(source), message, "{source}");
    }
}

#[test]
fn a_schema_that_cannot_mean_anything_is_refused() {
    for (source, message) in [
        ("definition a {} definition a {}", "line 1, column 28: `a` is defined twice"),
        ("definition a { relation r: a permission r = r }", "line 1, column 41: `a` has two items named `r`"),
        ("definition a { relation r: b }", "line 1, column 28: unknown type `b`"),
        ("definition a { relation r: a#s }", "line 1, column 30: `a` has no relation or permission `s`"),
        ("definition a { permission p = q }", "line 1, column 31: `a` has no relation or permission `q`"),
        (
            "definition a { relation r: a permission p = r permission q = p->p }",
            "line 1, column 62: an arrow starts at a relation, `p` is a permission",
        ),
        (
            "definition a { relation r: a permission p = r->q }",
            "line 1, column 48: nothing that `r` leads to has `q`",
        ),
        (
            "definition a { permission p = q permission q = p }",
            "line 1, column 27: the permission `p` needs itself on the same object",
        ),
        (
            "definition a { permission p = p }",
            "line 1, column 27: the permission `p` needs itself on the same object",
        ),
        (
            "definition a { relation r: a permission p = r - r->p }",
            "line 1, column 41: what `p` excludes depends on `p` itself",
        ),
        (
            "definition a { relation r: b permission p = r - r->q } definition b { relation r: a#p permission q = r }",
            "line 1, column 41: what `p` excludes depends on `p` itself",
        ),
    ] {
        assert_eq!(error(source), message, "{source}");
    }
}

#[test]
fn hostile_schemas_are_refused_before_they_cost_anything() {
    let nested = |depth: usize| {
        format!("definition a {{ relation r: a permission p = {}r{} }}", "(".repeat(depth), ")".repeat(depth))
    };
    assert!(Schema::parse(&nested(MAX_NESTING as usize)).is_ok());
    assert!(error(&nested(MAX_NESTING as usize + 1)).contains("nest deeper"));
    assert!(error(&nested(100_000)).contains("nest deeper"));
    assert!(error(&"x".repeat(300 * 1024)).contains("at most"));
    assert!(error(&format!("definition {} {{}}", "x".repeat(65))).contains("64 characters"));

    let relations: String = (0..129).map(|i| format!("relation r{i}: a ")).collect();
    assert!(error(&format!("definition a {{ {relations} }}")).contains("more than 128 relations"));
    let definitions: String = (0..129).map(|i| format!("definition d{i} {{}} ")).collect();
    assert!(error(&definitions).contains("more than 128 definitions"));
    let exclusions = format!("definition a {{ relation r: a permission p = r{} }}", " - r".repeat(1000));
    assert!(error(&exclusions).contains("exclusions in a row"));

    // Each permission names the next twice: a tree of 2^100 if it were written out.
    let chain: String = (0..100).map(|i| format!("permission p{i} = p{} & p{} ", i + 1, i + 1)).collect();
    assert!(error(&format!("definition a {{ relation p100: a {chain} }}")).contains("deeper than 32"));
    let reversed: String =
        (0..100).rev().map(|i| format!("permission p{i} = p{} & p{} ", i + 1, i + 1)).collect();
    assert!(error(&format!("definition a {{ relation p100: a {reversed} }}")).contains("deeper than 32"));
}

/// Which of the relations a, b, c a subject must have for `p`, as a truth table over the 8 combinations.
fn truth_table(expression: &str) -> Vec<bool> {
    let source = format!(
        "definition u {{}} definition o {{ relation a: u relation b: u relation c: u permission p = {expression} }}"
    );
    let schema = std::sync::Arc::new(Schema::parse(&source).unwrap());
    (0..8)
        .map(|combination| {
            let mut tuples = Tuples::new(schema.clone());
            for (bit, name) in ["a", "b", "c"].iter().enumerate() {
                if combination >> bit & 1 == 1 {
                    tuples.insert(&schema.parse_tuple(&format!("o:1#{name}@u:1")).unwrap());
                }
            }
            let graph = Graph::new(schema.clone(), 1 << 16);
            let ask = schema.ask("u:1", "p", "o:1").unwrap();
            tuples.answer(&graph, |loaded| graph.check(&ask, loaded)).unwrap()
        })
        .collect()
}

#[test]
fn union_binds_tightest_then_intersection_then_exclusion() {
    assert_eq!(truth_table("a + b & c"), truth_table("(a + b) & c"));
    assert_ne!(truth_table("a + b & c"), truth_table("a + (b & c)"));
    assert_eq!(truth_table("a - b + c"), truth_table("a - (b + c)"));
    assert_eq!(truth_table("a & b - c"), truth_table("(a & b) - c"));
    assert_eq!(truth_table("a - b - c"), truth_table("(a - b) - c"));
    assert_ne!(truth_table("a - b - c"), truth_table("a - (b - c)"));
    assert_eq!(truth_table("nil"), vec![false; 8]);
    assert_eq!(truth_table("a + nil"), truth_table("a"));
    assert_eq!(truth_table("a & nil"), truth_table("nil"));
}

#[test]
fn comments_and_layout_mean_nothing() {
    let schema =
        Schema::parse("/* kinds */definition u{}\r\n\tdefinition o{relation r:u//x\npermission/**/p=r}")
            .unwrap();
    assert!(schema.has_permission("o", "p"));
    assert!(!schema.has_permission("o", "q"));
    assert!(!schema.has_permission("x", "p"));
}

#[test]
fn an_arrow_ignores_types_that_lack_what_it_leads_to() {
    let source = "definition u {} definition a { relation x: u } definition b {}
                  definition o { relation parent: a | b permission p = parent->x }";
    let schema = std::sync::Arc::new(Schema::parse(source).unwrap());
    let mut tuples = Tuples::new(schema.clone());
    for tuple in ["o:1#parent@b:1", "o:2#parent@a:1", "a:1#x@u:1"] {
        tuples.insert(&schema.parse_tuple(tuple).unwrap());
    }
    let graph = Graph::new(schema.clone(), 1 << 16);
    let check = |object| {
        let ask = schema.ask("u:1", "p", object).unwrap();
        tuples.answer(&graph, |loaded| graph.check(&ask, loaded)).unwrap()
    };
    assert_eq!((check("o:1"), check("o:2")), (false, true));
}

#[test]
fn names_are_checked_against_the_schema() {
    let schema = Schema::platform().unwrap();
    for (text, message) in [
        ("client:c", "`client:c` is not of the form `kind:id#relation@subject`"),
        ("thing:c#read@user:u", "the schema has no definition `thing`"),
        ("client:c#reed@user:u", "`client` has no `reed`"),
        ("client:c#read_permission@user:u", "`client` has no `read_permission`"),
        ("client:c#read@user:u", "`client#read` does not admit `user`"),
        ("client:c#read@role:r", "`client#read` does not admit `role`"),
        ("client:c#read@role:r#nobody", "`role` has no `nobody`"),
        ("client:#read@role:r#member", "an id must not be empty"),
    ] {
        assert_eq!(schema.parse_tuple(text).unwrap_err().to_string(), message, "{text}");
    }
    let text = "client:5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11#read@role:client_3tQ4b0o#member";
    let tuple = schema.parse_tuple(text).unwrap();
    assert_eq!(schema.show_tuple(&tuple).to_string(), text);
}
