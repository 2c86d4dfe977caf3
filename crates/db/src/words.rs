//! What the nodes that share a database tell each other: which rows have changed.
//!
//! A transaction collects words ([`Tx::tell`](crate::Tx::tell)); they travel with its COMMIT as notifications of
//! PostgreSQL, so that a word is heard if and only if the change was made, in the order of the commits, by every node, the
//! one that spoke included. Each word has a topic; whoever keeps something of that topic in memory registers with
//! [`Db::hear`](crate::Db::hear) and drops what the word names.
//!
//! The race to win: a node that does not hear for a while (its connection broke, the server restarts) must not serve what
//! others have changed meanwhile. From the moment it knows that it is deaf until it listens again, [`Hears::now`] says no:
//! caches neither answer nor keep anything, and when it listens again, every topic hears [`Word::Everything`]. How long a
//! broken connection may go unnoticed is in `postgres/lock.rs`.

use std::{
    fmt::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

/// The most bytes that PostgreSQL takes as one notification, less room for the mark of [`Said::pieces`].
const PIECE: usize = 7_900;
/// The most bytes that one transaction may have to say; with more, its topics are told that everything has changed.
const MOST: usize = 256 << 10;

/// What is said about a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word<'a> {
    /// This has changed.
    This(&'a str),
    /// Nobody knows what has changed.
    Everything,
}

type Hearer = Arc<dyn Fn(Word<'_>) + Send + Sync>;

/// When a hearer is told, within one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Those who remember.
    First,
    /// Those who act, and ask those who remember.
    Then,
}

/// Whether this node hears what others change. Clones know the same.
#[derive(Debug, Clone)]
pub struct Hears(Arc<AtomicBool>);

impl Hears {
    /// One that nobody else changes anything for.
    pub fn always() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Whether what is remembered may be used.
    pub fn now(&self) -> bool {
        self.0.load(SeqCst)
    }
}

/// Who hears what.
pub(crate) struct Words {
    hearers: Mutex<Vec<(&'static str, Turn, Hearer)>>,
    hears: Hears,
}

impl Words {
    /// Of a node that does not listen yet.
    pub(crate) fn new() -> Self {
        Self { hearers: Mutex::default(), hears: Hears(Arc::new(AtomicBool::new(false))) }
    }

    pub(crate) fn hears(&self) -> Hears {
        self.hears.clone()
    }

    pub(crate) fn add(&self, topic: &'static str, hearer: impl Fn(Word<'_>) + Send + Sync + 'static) {
        self.hearers().push((topic, Turn::First, Arc::new(hearer)));
    }

    pub(crate) fn add_late(&self, topic: &'static str, hearer: impl Fn(Word<'_>) + Send + Sync + 'static) {
        self.hearers().push((topic, Turn::Then, Arc::new(hearer)));
    }

    /// The node does not hear any more.
    pub(crate) fn deafen(&self) {
        self.hears.0.store(false, SeqCst);
        self.everything();
    }

    /// The node listens again: nothing that was read before may be kept.
    pub(crate) fn listens(&self) {
        self.everything();
        self.hears.0.store(true, SeqCst);
    }

    fn everything(&self) {
        for turn in [Turn::First, Turn::Then] {
            for (_, _, hearer) in self.of(turn) {
                hearer(Word::Everything);
            }
        }
    }

    /// Passes on what one transaction has said.
    fn heard(&self, said: &str) {
        for turn in [Turn::First, Turn::Then] {
            let hearers = self.of(turn);
            for line in said.lines() {
                let (topic, word) = match line.split_once('\t') {
                    Some((topic, text)) => (topic, Word::This(text)),
                    None => (line, Word::Everything),
                };
                for (_, _, hearer) in hearers.iter().filter(|(known, _, _)| *known == topic) {
                    hearer(word);
                }
            }
        }
    }

    fn of(&self, turn: Turn) -> Vec<(&'static str, Turn, Hearer)> {
        self.hearers().iter().filter(|(_, of, _)| *of == turn).cloned().collect()
    }

    fn hearers(&self) -> MutexGuard<'_, Vec<(&'static str, Turn, Hearer)>> {
        self.hearers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The notifications of one connection, put together again.
pub(crate) struct Ear {
    words: Arc<Words>,
    begun: String,
}

impl Ear {
    pub(crate) const fn new(words: Arc<Words>) -> Self {
        Self { words, begun: String::new() }
    }

    /// The next notification. Those of one transaction come in one piece: PostgreSQL says so.
    pub(crate) fn notified(&mut self, payload: &str) {
        match payload.split_at_checked(1) {
            Some((CONTINUED, piece)) => self.begun.push_str(piece),
            Some((LAST, piece)) => {
                self.begun.push_str(piece);
                self.words.heard(&std::mem::take(&mut self.begun));
            }
            // Another program's word.
            _ => {}
        }
    }
}

const CONTINUED: &str = "+";
const LAST: &str = ".";

/// What one transaction has to say.
#[derive(Debug, Default)]
pub(crate) struct Said {
    text: String,
    topics: Vec<&'static str>,
}

impl Said {
    /// Adds a word. One that a line cannot hold is said as [`Word::Everything`].
    pub(crate) fn say(&mut self, topic: &'static str, word: &str) {
        if !self.topics.contains(&topic) {
            self.topics.push(topic);
        }
        // Past the bound the topics are all that is said.
        if self.text.len() > MOST {
            return;
        }
        // Writing to a String cannot fail.
        let _ = if word.contains(['\n', '\r']) {
            writeln!(self.text, "{topic}")
        } else {
            writeln!(self.text, "{topic}\t{word}")
        };
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// The payloads of its notifications.
    pub(crate) fn pieces(self) -> Vec<String> {
        let Self { mut text, topics } = self;
        if text.len() > MOST {
            text = topics.iter().fold(String::new(), |all, topic| all + topic + "\n");
        }
        let mut rest = text.as_str();
        let mut pieces = Vec::new();
        while rest.len() > PIECE {
            let (piece, others) = rest.split_at(rest.floor_char_boundary(PIECE));
            pieces.push(format!("{CONTINUED}{piece}"));
            rest = others;
        }
        pieces.push(format!("{LAST}{rest}"));
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(said: Said) -> Vec<String> {
        let words = Arc::new(Words::new());
        let log = Arc::new(Mutex::new(Vec::new()));
        let note = |name: &'static str| {
            let log = Arc::clone(&log);
            move |word: Word<'_>| log.lock().unwrap().push(format!("{name} {word:?}"))
        };
        words.add_late("account", note("acts"));
        words.add("account", note("remembers"));
        words.add("gate", note("gates"));
        let mut ear = Ear::new(words);
        ear.notified("another program's");
        for piece in said.pieces() {
            assert!(piece.len() < 8_000);
            ear.notified(&piece);
        }
        log.lock().unwrap().clone()
    }

    #[test]
    fn those_who_remember_hear_of_a_change_before_those_who_act() {
        let mut said = Said::default();
        said.say("account", "1");
        said.say("gate", "2");
        assert_eq!(heard(said), [r#"remembers This("1")"#, r#"gates This("2")"#, r#"acts This("1")"#],);
    }

    #[test]
    fn a_long_word_arrives_in_one_piece() {
        let long = "ü".repeat(20_000);
        let mut said = Said::default();
        said.say("gate", &long);
        assert_eq!(heard(said), [format!("gates {:?}", Word::This(&long))]);
    }

    #[test]
    fn too_much_is_everything_and_a_line_cannot_be_forged() {
        let mut said = Said::default();
        for _ in 0..40_000 {
            said.say("gate", "0123456789");
        }
        assert_eq!(heard(said), ["gates Everything"]);
        let mut said = Said::default();
        said.say("gate", "1\naccount\t2");
        assert_eq!(heard(said), ["gates Everything"]);
    }
}
