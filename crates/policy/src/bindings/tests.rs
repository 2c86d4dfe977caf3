//! Names and who holds them.

use std::sync::Arc;

use super::*;
use crate::{Subject, SubjectKind, identity::Principal};

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn subject(kind: SubjectKind, id: &str, name: Option<&str>) -> Identity {
    let mut subject = Subject::new(kind, id, [], []);
    subject.name = name.map(str::to_owned);
    Identity::Subject(Arc::new(Principal::new(subject, NOW.after(HOUR))))
}

fn id(found: Option<Identity>) -> Option<String> {
    found.map(|identity| identity.id().to_owned())
}

#[test]
fn a_verified_name_is_found_under_any_client_id_and_another_only_under_its_own() {
    let bindings = Bindings::in_memory();
    let service = subject(SubjectKind::Service, "svc", None);
    bindings.bind("b", "svc", "c1", &service, NOW).unwrap();
    bindings.bind("b", "bob", "c1", &service, NOW).unwrap();
    bindings.bind("b", "", "c9", &service, NOW).unwrap();
    let find = |name, client| id(bindings.find("b", name, client, NOW));
    assert_eq!(find("svc", Some("c1")).as_deref(), Some("svc"));
    assert_eq!(find("svc", Some("c2")).as_deref(), Some("svc"));
    assert_eq!(find("svc", None).as_deref(), Some("svc"));
    assert_eq!(find("bob", Some("c1")).as_deref(), Some("svc"));
    assert_eq!(find("bob", Some("c2")), None);
    assert_eq!(find("bob", None), None);
    assert_eq!(find("", Some("c9")).as_deref(), Some("svc"));
    assert_eq!(find("", Some("c1")), None);
    assert_eq!(
        id(bindings.find("other", "svc", Some("c1"), NOW)),
        None,
        "another broker's clients are others"
    );
}

#[test]
fn a_held_name_is_in_use_and_an_id_takes_it_from_a_user_name() {
    let bindings = Bindings::in_memory();
    let alice = subject(SubjectKind::User, "u-1", Some("shared"));
    let other = subject(SubjectKind::User, "u-2", Some("shared"));
    let owner = subject(SubjectKind::Service, "shared", None);
    let stranger = subject(SubjectKind::Service, "svc", None);
    bindings.bind("b", "shared", "c1", &alice, NOW).unwrap();
    for late in [&other, &stranger] {
        assert_eq!(bindings.bind("b", "shared", "c2", late, NOW), Err(Unbound::NameInUse));
    }
    bindings.bind("b", "shared", "c3", &owner, NOW).unwrap();
    // Nothing of the one before is left under the name.
    assert_eq!(id(bindings.find("b", "shared", Some("c1"), NOW)).as_deref(), Some("shared"));
    assert_eq!(bindings.bind("b", "shared", "c1", &alice, NOW), Err(Unbound::NameInUse));
    // When it has ended it is free.
    let later = NOW.after(HOUR);
    let fresh = Identity::Subject(Arc::new(Principal::new(
        Subject { name: Some("shared".to_owned()), ..Subject::new(SubjectKind::User, "u-2", [], []) },
        later.after(HOUR),
    )));
    bindings.bind("b", "shared", "c1", &fresh, later).unwrap();
    assert_eq!(id(bindings.find("b", "shared", Some("c3"), later)).as_deref(), Some("u-2"));
}

#[test]
fn whoever_had_a_name_without_holding_it_is_not_found_behind_its_holder() {
    let bindings = Bindings::in_memory();
    let bob = subject(SubjectKind::User, "bob", None);
    let service = subject(SubjectKind::Service, "svc", None);
    bindings.bind("b", "svc", "c1", &bob, NOW).unwrap();
    bindings.bind("b", "svc", "c2", &service, NOW).unwrap();
    assert_eq!(id(bindings.find("b", "svc", Some("c1"), NOW)).as_deref(), Some("svc"));
}

#[test]
fn a_binding_ends_with_the_token_and_after_a_day_at_the_latest() {
    let bindings = Bindings::in_memory();
    bindings.bind("b", "svc", "c", &subject(SubjectKind::Service, "svc", None), NOW).unwrap();
    assert!(bindings.find("b", "svc", Some("c"), NOW.after(HOUR - Duration::from_secs(1))).is_some());
    assert!(bindings.find("b", "svc", Some("c"), NOW.after(HOUR)).is_none());

    let year = Principal::new(Subject::new(SubjectKind::Service, "long", [], []), NOW.after(HOUR * 9000));
    bindings.bind("b", "long", "c", &Identity::Subject(Arc::new(year)), NOW).unwrap();
    assert!(bindings.find("b", "long", Some("c"), NOW.after(MAX_LIFE)).is_none());
}

#[test]
fn one_subject_cannot_take_all_places() {
    let bindings = Bindings::in_memory();
    let greedy = subject(SubjectKind::Service, "greedy", None);
    for number in 0..MAX_OF_ONE {
        bindings.bind("b", "greedy", &number.to_string(), &greedy, NOW).unwrap();
    }
    assert_eq!(bindings.bind("b", "greedy", "more", &greedy, NOW), Err(Unbound::Full));
    bindings.bind("b", "svc", "c", &subject(SubjectKind::Service, "svc", None), NOW).unwrap();
    bindings.forget("b", "c");
    assert!(bindings.find("b", "svc", None, NOW).is_some(), "its other clients may still be there");
}

#[test]
fn bindings_survive_a_restart_and_a_cut_last_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bindings.jsonl");
    let open = |now| Bindings::open(&path, None, now).unwrap();
    let bindings = open(NOW);
    bindings.bind("b", "svc", "c1", &subject(SubjectKind::Service, "svc", None), NOW).unwrap();
    bindings.bind("b", "al", "c2", &subject(SubjectKind::User, "u", Some("al")), NOW).unwrap();
    drop(bindings);
    let mut text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2);
    text.push_str("{\"broker\":\"b\",\"usern");
    std::fs::write(&path, text).unwrap();

    let again = open(NOW);
    assert_eq!(id(again.find("b", "svc", Some("other"), NOW)).as_deref(), Some("svc"));
    assert_eq!(id(again.find("b", "al", None, NOW)).as_deref(), Some("u"));
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let late = open(NOW.after(HOUR));
    assert!(late.find("b", "svc", Some("c1"), NOW.after(HOUR)).is_none());
}

#[test]
fn a_login_that_is_repeated_is_not_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bindings.jsonl");
    let bindings = Bindings::open(&path, None, NOW).unwrap();
    let service = subject(SubjectKind::Service, "svc", None);
    for _ in 0..3 {
        bindings.bind("b", "svc", "c1", &service, NOW).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
}
