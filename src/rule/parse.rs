//! From text to expression.

use super::expression::{Binary, Expressions, Id, Node, Unary};
use super::names::{Function, Name, Names};
use crate::error::{Error, Result};
use crate::number::{beyond_range, require_in_range};
use std::collections::HashMap;

/// Characters that a text may have.
const LONGEST: usize = 4_096;

/// Parentheses, functions and signs that may be in one another.
const DEEPEST: usize = 64;

/// The largest whole power.
const LARGEST_POWER: i32 = 1_000;

/// A text as an expression, as it is written.
pub(super) struct Parsed {
    pub root: Id,
    /// The column where each node stands for the first time.
    pub columns: HashMap<Id, usize>,
}

/// Reads an expression into an arena.
///
/// # Errors
/// [`Error::Rule`] with the column, counted in characters from 1, of what does not belong there.
pub(super) fn parse(text: &str, names: &Names, expressions: &mut Expressions) -> Result<Parsed> {
    let mut parser = Parser {
        text,
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
        names,
        expressions,
        columns: HashMap::new(),
    };
    let root = parser.sum()?;
    parser.expect(&Token::End, "an operator or the end")?;
    Ok(Parsed {
        root,
        columns: parser.columns,
    })
}

/// What is wrong at a column of a text.
pub(super) fn error_at(text: &str, column: usize, reason: impl Into<String>) -> Error {
    Error::Rule {
        text: text.to_owned(),
        column,
        reason: reason.into(),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(f64),
    Name(String),
    Symbol(char),
    End,
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(value) => write!(f, "the number {value}"),
            Self::Name(name) => write!(f, "`{name}`"),
            Self::Symbol(symbol) => write!(f, "`{symbol}`"),
            Self::End => write!(f, "the end"),
        }
    }
}

/// Every token with its column, the end last.
fn tokens(text: &str) -> Result<Vec<(Token, usize)>> {
    let characters: Vec<char> = text.chars().take(LONGEST + 1).collect();
    if characters.len() > LONGEST {
        let reason = format!(
            "{} characters, at most {LONGEST} are supported",
            text.chars().count()
        );
        return Err(error_at(text, LONGEST + 1, reason));
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&character) = characters.get(at) {
        let column = at + 1;
        let rest = &characters[at..];
        let length = match character {
            _ if character.is_whitespace() => {
                at += 1;
                continue;
            }
            '0'..='9' | '.' => {
                let length = length_of_number(rest);
                let digits: String = rest[..length].iter().collect();
                tokens.push((Token::Number(number(text, column, &digits)?), column));
                length
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let is_name = |c: &&char| c.is_ascii_alphanumeric() || **c == '_';
                let name: String = rest.iter().take_while(is_name).collect();
                let length = name.len();
                tokens.push((Token::Name(name), column));
                length
            }
            '+' | '-' | '*' | '/' | '^' | '(' | ')' | ',' => {
                tokens.push((Token::Symbol(character), column));
                1
            }
            _ => {
                let shown = character.escape_debug();
                return Err(error_at(
                    text,
                    column,
                    format!("unexpected character `{shown}`"),
                ));
            }
        };
        at += length;
    }
    tokens.push((Token::End, characters.len() + 1));
    Ok(tokens)
}

/// Characters of the number at the beginning: digits with a point, and an exponent.
fn length_of_number(characters: &[char]) -> usize {
    let digits = |from: usize| {
        let rest = characters.get(from..).unwrap_or(&[]);
        rest.iter().take_while(|c| c.is_ascii_digit()).count()
    };
    let mut length = digits(0);
    if characters.get(length) == Some(&'.') {
        length += 1 + digits(length + 1);
    }
    if matches!(characters.get(length), Some('e' | 'E')) {
        let sign = usize::from(matches!(characters.get(length + 1), Some('+' | '-')));
        let exponent = digits(length + 1 + sign);
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    length
}

fn number(text: &str, column: usize, digits: &str) -> Result<f64> {
    let Ok(value) = digits.parse::<f64>() else {
        return Err(error_at(
            text,
            column,
            format!("`{digits}` is not a number"),
        ));
    };
    if value.is_infinite() {
        return Err(error_at(
            text,
            column,
            format!("{digits}, beyond the range of f64"),
        ));
    }
    // A rule means the same on every engine.
    match require_in_range::<f32>("", value) {
        Ok(()) => Ok(value),
        Err(_) => Err(error_at(text, column, beyond_range::<f32>(value))),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, usize)>,
    next: usize,
    depth: usize,
    names: &'a Names<'a>,
    expressions: &'a mut Expressions,
    columns: HashMap<Id, usize>,
}

impl Parser<'_> {
    fn token(&self) -> &Token {
        &self.tokens[self.next].0
    }

    fn column(&self) -> usize {
        self.tokens[self.next].1
    }

    /// Goes past the next token; its column.
    fn advance(&mut self) -> usize {
        let column = self.column();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        column
    }

    fn is_at(&self, symbol: char) -> bool {
        *self.token() == Token::Symbol(symbol)
    }

    fn error(&self, reason: impl Into<String>) -> Error {
        error_at(self.text, self.column(), reason)
    }

    fn expected(&self, what: &str) -> Error {
        self.error(format!("expected {what}, found {}", self.token()))
    }

    fn expect(&mut self, token: &Token, what: &str) -> Result<()> {
        if self.token() != token {
            return Err(self.expected(what));
        }
        self.advance();
        Ok(())
    }

    fn push(&mut self, node: Node, column: usize) -> Id {
        let id = self.expressions.push(node);
        self.columns.entry(id).or_insert(column);
        id
    }

    /// One level further in.
    fn nested(&mut self, inner: fn(&mut Self) -> Result<Id>) -> Result<Id> {
        if self.depth == DEEPEST {
            let reason = format!("nested more deeply than the {DEEPEST} levels that are supported");
            return Err(self.error(reason));
        }
        self.depth += 1;
        let id = inner(self)?;
        self.depth -= 1;
        Ok(id)
    }

    fn sum(&mut self) -> Result<Id> {
        let mut left = self.product()?;
        loop {
            let function = match self.token() {
                Token::Symbol('+') => Binary::Sum,
                Token::Symbol('-') => Binary::Difference,
                _ => return Ok(left),
            };
            let column = self.advance();
            let right = self.product()?;
            left = self.push(Node::Binary(function, left, right), column);
        }
    }

    fn product(&mut self) -> Result<Id> {
        let mut left = self.signed()?;
        loop {
            let function = match self.token() {
                Token::Symbol('*') => Binary::Product,
                Token::Symbol('/') => Binary::Quotient,
                _ => return Ok(left),
            };
            let column = self.advance();
            let right = self.signed()?;
            left = self.push(Node::Binary(function, left, right), column);
        }
    }

    fn signed(&mut self) -> Result<Id> {
        if !self.is_at('-') {
            return self.power();
        }
        let column = self.advance();
        let a = self.nested(Self::signed)?;
        Ok(self.push(Node::Unary(Unary::Negative, a), column))
    }

    fn power(&mut self) -> Result<Id> {
        let base = self.primary()?;
        if !self.is_at('^') {
            return Ok(base);
        }
        let column = self.advance();
        let sign = if self.is_at('-') {
            self.advance();
            -1
        } else {
            1
        };
        let exponent = match *self.token() {
            Token::Number(value) if value.fract() != 0.0 => {
                return Err(self.expected("a whole power"));
            }
            Token::Number(value) if value > f64::from(LARGEST_POWER) => {
                let reason = format!("the power {value}, at most {LARGEST_POWER} is supported");
                return Err(self.error(reason));
            }
            // Whole and small.
            Token::Number(value) => sign * value as i32,
            _ => return Err(self.expected("a whole power")),
        };
        self.advance();
        if self.is_at('^') {
            return Err(self.error("a power of a power needs parentheses"));
        }
        Ok(self.push(Node::Power(base, exponent), column))
    }

    fn primary(&mut self) -> Result<Id> {
        match self.token().clone() {
            Token::Number(value) => {
                let column = self.advance();
                Ok(self.push(Node::Number(value.to_bits()), column))
            }
            Token::Name(name) => self.named(&name),
            Token::Symbol('(') => {
                self.advance();
                let inner = self.nested(Self::sum)?;
                self.expect(&Token::Symbol(')'), "an operator or `)`")?;
                Ok(inner)
            }
            _ => Err(self.expected("a number, a variable, a function or `(`")),
        }
    }

    /// A variable, or a function with its arguments.
    fn named(&mut self, name: &str) -> Result<Id> {
        let function = match self.names.find(name) {
            Ok(Name::Variable(variable)) => {
                let column = self.advance();
                return Ok(self.push(Node::Variable(variable), column));
            }
            Ok(Name::Function(function)) => function,
            Err(reason) => return Err(self.error(reason)),
        };
        let column = self.advance();
        self.expect(&Token::Symbol('('), &format!("`(` after {name}"))?;
        let mut arguments = vec![self.nested(Self::sum)?];
        while self.is_at(',') {
            self.advance();
            arguments.push(self.nested(Self::sum)?);
        }
        self.expect(&Token::Symbol(')'), "an operator, `,` or `)`")?;
        let node = match (function, &arguments[..]) {
            (Function::Unary(function), &[a]) => Node::Unary(function, a),
            (Function::Binary(function), &[a, b]) => Node::Binary(function, a, b),
            (Function::WhereLess, &[a, b, then, otherwise]) => {
                Node::WhereLess([a, b, then, otherwise])
            }
            (Function::Clamp, &[a, low, high]) => {
                let raised = self.push(Node::Binary(Binary::Max, a, low), column);
                Node::Binary(Binary::Min, raised, high)
            }
            (function, _) => {
                let (takes, found) = (function.arguments(), arguments.len());
                let reason = format!("{name} takes {takes}, found {found}");
                return Err(error_at(self.text, column, reason));
            }
        };
        Ok(self.push(node, column))
    }
}
