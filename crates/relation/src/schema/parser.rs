//! Tokens → syntax tree.
//!
//! The subset of SpiceDB's language: definitions, relations (types and usersets), permissions with `+`, `&`, `-`, `->`,
//! parentheses and `nil`. Precedence is SpiceDB's, which is not arithmetic's: `+` binds tightest, then `&`, then `-`, so
//! `a + b & c` is `(a + b) & c`. Wildcards, caveats, expirations, imports and arrow functions are refused by name.

use super::{
    SchemaError,
    lexer::{Lexer, Position, Token, TokenKind},
};

/// The largest schema in bytes; the platform's own takes a fifth of it.
const MAX_SOURCE: usize = 256 * 1024;
/// How deep parentheses may nest.
pub(super) const MAX_NESTING: u32 = 32;

/// A name and where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word<'s> {
    pub(crate) text: &'s str,
    pub(crate) at: Position,
}

#[derive(Debug)]
pub(crate) struct Definition<'s> {
    pub(crate) name: Word<'s>,
    pub(crate) relations: Vec<Relation<'s>>,
    pub(crate) permissions: Vec<Permission<'s>>,
}

#[derive(Debug)]
pub(crate) struct Relation<'s> {
    pub(crate) name: Word<'s>,
    pub(crate) subjects: Vec<Allowed<'s>>,
}

/// `kind` or `kind#members`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed<'s> {
    pub(crate) kind: Word<'s>,
    pub(crate) members: Option<Word<'s>>,
}

#[derive(Debug)]
pub(crate) struct Permission<'s> {
    pub(crate) name: Word<'s>,
    pub(crate) expression: Expression<'s>,
}

#[derive(Debug)]
pub(crate) enum Expression<'s> {
    Nil,
    Name(Word<'s>),
    /// `relation->name`
    Arrow(Word<'s>, Word<'s>),
    Union(Vec<Expression<'s>>),
    Intersection(Vec<Expression<'s>>),
    /// The first without the second.
    Exclusion(Box<(Expression<'s>, Expression<'s>)>),
}

/// Reads a whole schema.
pub(crate) fn parse(source: &str) -> Result<Vec<Definition<'_>>, SchemaError> {
    if source.len() > MAX_SOURCE {
        let start = Position { line: 1, column: 1 };
        return Err(SchemaError::new(start, format!("a schema has at most {MAX_SOURCE} bytes")));
    }
    let mut parser = Parser::new(source)?;
    let mut definitions = Vec::new();
    while parser.next.kind != TokenKind::End {
        definitions.push(parser.definition()?);
    }
    Ok(definitions)
}

struct Parser<'s> {
    lexer: Lexer<'s>,
    next: Token<'s>,
    nesting: u32,
}

impl<'s> Parser<'s> {
    fn new(source: &'s str) -> Result<Self, SchemaError> {
        let mut lexer = Lexer::new(source);
        let next = lexer.next()?;
        Ok(Self { lexer, next, nesting: 0 })
    }

    fn advance(&mut self) -> Result<Token<'s>, SchemaError> {
        let following = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.next, following))
    }

    fn unexpected<T>(&self, expected: &str) -> Result<T, SchemaError> {
        Err(SchemaError::new(self.next.at, format!("expected {expected}, found {}", self.next.kind)))
    }

    fn take(&mut self, kind: TokenKind<'static>) -> Result<bool, SchemaError> {
        let here = self.next.kind == kind;
        if here {
            self.advance()?;
        }
        Ok(here)
    }

    fn expect(&mut self, kind: TokenKind<'static>, expected: &str) -> Result<(), SchemaError> {
        if self.take(kind)? { Ok(()) } else { self.unexpected(expected) }
    }

    fn word(&mut self, expected: &str) -> Result<Word<'s>, SchemaError> {
        let Token { kind: TokenKind::Word(text), at } = self.next else {
            return self.unexpected(expected);
        };
        if matches!(text, "definition" | "relation" | "permission" | "nil" | "with") {
            return self.unexpected(expected);
        }
        self.advance()?;
        Ok(Word { text, at })
    }

    fn definition(&mut self) -> Result<Definition<'s>, SchemaError> {
        self.expect(TokenKind::Word("definition"), "`definition`")?;
        let name = self.word("the name of the definition")?;
        let mut definition = Definition { name, relations: Vec::new(), permissions: Vec::new() };
        self.expect(TokenKind::OpenBrace, "`{`")?;
        loop {
            match self.next.kind {
                TokenKind::CloseBrace => break,
                TokenKind::Word("relation") => definition.relations.push(self.relation()?),
                TokenKind::Word("permission") => definition.permissions.push(self.permission()?),
                _ => return self.unexpected("`relation`, `permission` or `}`"),
            }
        }
        self.advance()?;
        Ok(definition)
    }

    fn relation(&mut self) -> Result<Relation<'s>, SchemaError> {
        self.advance()?;
        let name = self.word("the name of the relation")?;
        self.expect(TokenKind::Colon, "`:`")?;
        let mut subjects = vec![self.allowed()?];
        while self.take(TokenKind::Pipe)? {
            subjects.push(self.allowed()?);
        }
        Ok(Relation { name, subjects })
    }

    fn allowed(&mut self) -> Result<Allowed<'s>, SchemaError> {
        let kind = self.word("the type of a subject")?;
        let members =
            if self.take(TokenKind::Hash)? { Some(self.word("a relation of that type")?) } else { None };
        if self.next.kind == TokenKind::Colon {
            return Err(SchemaError::new(self.next.at, "wildcards (`*`) are not supported"));
        }
        if self.next.kind == TokenKind::Word("with") {
            return Err(SchemaError::new(self.next.at, "caveats and expirations (`with`) are not supported"));
        }
        Ok(Allowed { kind, members })
    }

    fn permission(&mut self) -> Result<Permission<'s>, SchemaError> {
        self.advance()?;
        let name = self.word("the name of the permission")?;
        self.expect(TokenKind::Equals, "`=`")?;
        Ok(Permission { name, expression: self.exclusion()? })
    }

    fn exclusion(&mut self) -> Result<Expression<'s>, SchemaError> {
        let mut left = self.intersection()?;
        let mut terms = 1u32;
        while self.take(TokenKind::Minus)? {
            // `a - b - c` nests to the left, so that its length is depth.
            terms += 1;
            if terms > MAX_NESTING {
                return Err(SchemaError::new(
                    self.next.at,
                    format!("more than {MAX_NESTING} exclusions in a row"),
                ));
            }
            left = Expression::Exclusion(Box::new((left, self.intersection()?)));
        }
        Ok(left)
    }

    fn intersection(&mut self) -> Result<Expression<'s>, SchemaError> {
        self.list(TokenKind::Ampersand, Self::union, Expression::Intersection)
    }

    fn union(&mut self) -> Result<Expression<'s>, SchemaError> {
        self.list(TokenKind::Plus, Self::operand, Expression::Union)
    }

    /// One operand, or several with `operator` between them.
    fn list(
        &mut self,
        operator: TokenKind<'static>,
        operand: fn(&mut Self) -> Result<Expression<'s>, SchemaError>,
        all: fn(Vec<Expression<'s>>) -> Expression<'s>,
    ) -> Result<Expression<'s>, SchemaError> {
        let first = operand(self)?;
        if self.next.kind != operator {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.take(operator)? {
            operands.push(operand(self)?);
        }
        Ok(all(operands))
    }

    fn operand(&mut self) -> Result<Expression<'s>, SchemaError> {
        if self.take(TokenKind::Word("nil"))? {
            return Ok(Expression::Nil);
        }
        if self.next.kind == TokenKind::OpenParen {
            return self.parenthesised();
        }
        let name = self.word("a relation, a permission, `nil` or `(`")?;
        if self.take(TokenKind::Arrow)? {
            return Ok(Expression::Arrow(name, self.word("what the arrow leads to")?));
        }
        Ok(Expression::Name(name))
    }

    fn parenthesised(&mut self) -> Result<Expression<'s>, SchemaError> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(SchemaError::new(
                self.next.at,
                format!("parentheses nest deeper than {MAX_NESTING}"),
            ));
        }
        self.advance()?;
        let inner = self.exclusion()?;
        self.expect(TokenKind::CloseParen, "an operator or `)`")?;
        self.nesting -= 1;
        Ok(inner)
    }
}
