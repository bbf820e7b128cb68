//! The names that a text may mention.

use super::expression::{Binary, Unary, Variable};
use crate::error::{Error, Result};

/// Coefficients that a rule may have.
pub(crate) const MOST_COEFFICIENTS: usize = 8;

/// The variables, functions and coefficients of the texts of one rule.
pub(super) struct Names<'a> {
    has_eligibility: bool,
    coefficients: &'a [&'a str],
}

/// What a name stands for.
pub(super) enum Name {
    Variable(Variable),
    Function(Function),
}

impl<'a> Names<'a> {
    /// # Errors
    /// [`Error::Coefficient`] for a coefficient that cannot have its name.
    pub fn new(has_eligibility: bool, coefficients: &'a [&'a str]) -> Result<Self> {
        for (index, name) in coefficients.iter().enumerate() {
            if let Some(reason) = misnamed(name, &coefficients[..index]) {
                return Err(Error::Coefficient {
                    name: (*name).to_owned(),
                    reason,
                });
            }
        }
        Ok(Self {
            has_eligibility,
            coefficients,
        })
    }

    /// What the name stands for, or why it stands for nothing.
    pub fn find(&self, name: &str) -> Result<Name, String> {
        if let Some(variable) = variable(name) {
            if variable == Variable::Eligibility && !self.has_eligibility {
                let reason =
                    "the rule has no eligibility trace `e`: it has no text for what that becomes";
                return Err(reason.to_owned());
            }
            return Ok(Name::Variable(variable));
        }
        if let Some(function) = function(name) {
            return Ok(Name::Function(function));
        }
        // At most 8.
        let coefficient = self.coefficients.iter().position(|it| *it == name);
        match coefficient {
            Some(index) => Ok(Name::Variable(Variable::Coefficient(index as u8))),
            None => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> String {
        let is_there = |variable| self.has_eligibility || variable != Variable::Eligibility;
        let variables = Variable::NAMED.into_iter();
        let variables: Vec<_> = variables
            .filter_map(|(name, variable)| is_there(variable).then_some(name))
            .collect();
        let functions: Vec<_> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
        let coefficients = match self.coefficients {
            [] => "no coefficients".to_owned(),
            names => format!("the coefficients {}", names.join(", ")),
        };
        format!(
            "unknown name `{name}`: the rule has the variables {}, the functions {} and {coefficients}",
            variables.join(", "),
            functions.join(", "),
        )
    }
}

/// Why a coefficient cannot have this name, after others.
fn misnamed(name: &str, before: &[&str]) -> Option<String> {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_identifier =
        name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit());
    let reason = if before.len() >= MOST_COEFFICIENTS {
        return Some(format!(
            "one too many: a rule may have {MOST_COEFFICIENTS} coefficients"
        ));
    } else if !is_identifier {
        "a name is of letters, digits and underscores, and does not start with a digit"
    } else if variable(name).is_some() {
        "that is a variable of every rule; choose another name"
    } else if function(name).is_some() {
        "that is a function; choose another name"
    } else if before.contains(&name) {
        "given twice"
    } else {
        return None;
    };
    Some(reason.to_owned())
}

fn variable(name: &str) -> Option<Variable> {
    let mut named = Variable::NAMED.into_iter();
    named.find_map(|(known, variable)| (known == name).then_some(variable))
}

fn function(name: &str) -> Option<Function> {
    let mut named = FUNCTIONS.into_iter();
    named.find_map(|(known, function)| (known == name).then_some(function))
}

#[derive(Clone, Copy)]
pub(super) enum Function {
    Unary(Unary),
    Binary(Binary),
    Clamp,
    WhereLess,
}

impl Function {
    /// How many arguments it takes.
    pub fn arguments(self) -> &'static str {
        match self {
            Self::Unary(_) => "1 argument",
            Self::Binary(_) => "2 arguments",
            Self::Clamp => "3 arguments",
            Self::WhereLess => "4 arguments",
        }
    }
}

/// The functions of the language.
const FUNCTIONS: [(&str, Function); 9] = [
    ("tanh", Function::Unary(Unary::Tanh)),
    ("exp", Function::Unary(Unary::Exp)),
    ("log", Function::Unary(Unary::Log)),
    ("sqrt", Function::Unary(Unary::Sqrt)),
    ("abs", Function::Unary(Unary::Abs)),
    ("min", Function::Binary(Binary::Min)),
    ("max", Function::Binary(Binary::Max)),
    ("clamp", Function::Clamp),
    ("where_less", Function::WhereLess),
];
