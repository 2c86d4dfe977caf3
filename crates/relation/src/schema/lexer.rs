//! Schema text → tokens, each with its place.

use std::fmt;

use super::SchemaError;

/// A place in the text; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The character in that line.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind<'s> {
    Word(&'s str),
    OpenBrace,
    CloseBrace,
    OpenParen,
    CloseParen,
    Colon,
    Pipe,
    Hash,
    Equals,
    Plus,
    Ampersand,
    Minus,
    Arrow,
    End,
}

impl fmt::Display for TokenKind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Word(text) => return write!(f, "`{text}`"),
            Self::OpenBrace => "`{`",
            Self::CloseBrace => "`}`",
            Self::OpenParen => "`(`",
            Self::CloseParen => "`)`",
            Self::Colon => "`:`",
            Self::Pipe => "`|`",
            Self::Hash => "`#`",
            Self::Equals => "`=`",
            Self::Plus => "`+`",
            Self::Ampersand => "`&`",
            Self::Minus => "`-`",
            Self::Arrow => "`->`",
            Self::End => "the end of the schema",
        })
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'s> {
    pub(crate) kind: TokenKind<'s>,
    pub(crate) at: Position,
}

/// Reads tokens one by one; comments and white space are skipped.
pub(crate) struct Lexer<'s> {
    rest: &'s str,
    at: Position,
}

impl<'s> Lexer<'s> {
    pub(crate) const fn new(source: &'s str) -> Self {
        Self { rest: source, at: Position { line: 1, column: 1 } }
    }

    pub(crate) fn next(&mut self) -> Result<Token<'s>, SchemaError> {
        self.skip_blank()?;
        let at = self.at;
        let Some(first) = self.rest.chars().next() else {
            return Ok(Token { kind: TokenKind::End, at });
        };
        let kind = match first {
            'a'..='z' | 'A'..='Z' | '_' | '0'..='9' => TokenKind::Word(self.word(at)?),
            '-' if self.rest.starts_with("->") => self.symbol(2, TokenKind::Arrow),
            '{' => self.symbol(1, TokenKind::OpenBrace),
            '}' => self.symbol(1, TokenKind::CloseBrace),
            '(' => self.symbol(1, TokenKind::OpenParen),
            ')' => self.symbol(1, TokenKind::CloseParen),
            ':' => self.symbol(1, TokenKind::Colon),
            '|' => self.symbol(1, TokenKind::Pipe),
            '#' => self.symbol(1, TokenKind::Hash),
            '=' => self.symbol(1, TokenKind::Equals),
            '+' => self.symbol(1, TokenKind::Plus),
            '&' => self.symbol(1, TokenKind::Ampersand),
            '-' => self.symbol(1, TokenKind::Minus),
            '*' => return Err(SchemaError::new(at, "wildcards (`*`) are not supported")),
            '.' => return Err(SchemaError::new(at, "`.any()` and `.all()` are not supported, write `->`")),
            other => {
                return Err(SchemaError::new(
                    at,
                    format!("unexpected character `{}`", other.escape_default()),
                ));
            }
        };
        Ok(Token { kind, at })
    }

    /// A name: `[a-z][a-z0-9_]*`, at most 64 characters (SpiceDB's rule for names).
    fn word(&mut self, at: Position) -> Result<&'s str, SchemaError> {
        let end =
            self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let word = self.take(end);
        if word.len() > 64 {
            return Err(SchemaError::new(at, "a name has at most 64 characters"));
        }
        let lower = word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !lower || !word.starts_with(|c: char| c.is_ascii_lowercase()) {
            let message = format!(
                "`{word}` is no name: names begin with a lower case letter and have only those, digits and `_`"
            );
            return Err(SchemaError::new(at, message));
        }
        Ok(word)
    }

    fn symbol(&mut self, length: usize, kind: TokenKind<'s>) -> TokenKind<'s> {
        self.take(length);
        kind
    }

    fn skip_blank(&mut self) -> Result<(), SchemaError> {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.take(blank);
            if self.rest.starts_with("//") {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.take(end);
            } else if self.rest.starts_with("/*") {
                let Some(end) = self.rest.find("*/") else {
                    return Err(SchemaError::new(self.at, "this comment has no end, expected `*/`"));
                };
                self.take(end + 2);
            } else {
                return Ok(());
            }
        }
    }

    /// Moves past `length` bytes, which end at a character's end.
    fn take(&mut self, length: usize) -> &'s str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        for c in taken.chars() {
            if c == '\n' {
                self.at = Position { line: self.at.line + 1, column: 1 };
            } else {
                self.at.column += 1;
            }
        }
        self.rest = rest;
        taken
    }
}
