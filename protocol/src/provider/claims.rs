//! From a provider's answers to a [`Profile`], by JMESPath expressions.
//!
//! Only what an expression reads reaches the profile: an answer may claim to be a superuser or bring a password, and
//! nobody looks. An identifier is a text or a whole number; everything else is not a person.

use std::sync::{Arc, LazyLock};

use jmespath::{Rcvar, Runtime, Variable};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

use crate::profile::Profile;

/// Longer than any identifier, name or address (RFC 5321 §4.5.3.1 has 254 for the last).
const LONGEST: usize = 255;

/// JMESPath with `local_part(email)`, and a `to_string` that makes no text of what is none: with the original, everybody
/// without an identifier would be the person `null`.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut runtime = Runtime::new();
    runtime.register_builtin_functions();
    runtime.register_function(
        "to_string",
        Box::new(|args: &[Rcvar], _: &mut jmespath::Context<'_>| {
            Ok(text_var(args.first().and_then(|arg| identifier(arg))))
        }),
    );
    runtime.register_function(
        "local_part",
        Box::new(|args: &[Rcvar], _: &mut jmespath::Context<'_>| {
            let email = args.first().and_then(|arg| arg.as_string());
            Ok(text_var(email.and_then(|email| email.split('@').next()).map(str::to_owned)))
        }),
    );
    runtime
});

fn text_var(text: Option<String>) -> Rcvar {
    Arc::new(text.map_or(Variable::Null, Variable::String))
}

/// A compiled JMESPath expression.
#[derive(Clone, Debug)]
pub struct Expression(jmespath::Expression<'static>);

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// A sentence that quotes it.
    pub fn parse(source: &str) -> Result<Self, String> {
        RUNTIME.compile(source).map(Self).map_err(|error| {
            format!("`{source}` is not a JMESPath expression: {}", error.reason.to_string().replace('\n', " "))
        })
    }

    /// What it finds; nothing where it does not apply (a length of null).
    fn find(&self, answer: &Answer) -> Rcvar {
        self.0.search(Arc::clone(&answer.0)).unwrap_or_else(|_| Arc::new(Variable::Null))
    }

    /// A text or a whole number, as an identifier: 1 and "1" are the same, 1.0 is none.
    pub fn identifier(&self, answer: &Answer) -> Option<String> {
        identifier(&self.find(answer))
    }

    /// One identifier, or each of a list.
    pub fn identifiers(&self, answer: &Answer) -> Vec<String> {
        match &*self.find(answer) {
            Variable::Array(items) => items.iter().filter_map(|item| identifier(item)).collect(),
            one => identifier(one).into_iter().collect(),
        }
    }

    /// A whole number, also one written as text.
    pub fn number(&self, answer: &Answer) -> Option<i64> {
        match &*self.find(answer) {
            Variable::Number(number) => number.as_i64(),
            Variable::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// Whether it is true, or the text `true` that some providers send.
    pub fn is_true(&self, answer: &Answer) -> bool {
        match &*self.find(answer) {
            Variable::Bool(yes) => *yes,
            Variable::String(text) => text == "true",
            _ => false,
        }
    }

    /// A text for people: trimmed, not empty, without control characters, not longer than 255 characters.
    fn text(&self, answer: &Answer) -> Option<String> {
        let found = self.find(answer);
        let clean: String = found.as_string()?.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        let clean = clean.trim();
        (!clean.is_empty()).then(|| clean.to_owned())
    }

    /// An e-mail address, as it stands. One that is too long, or holds blanks or control characters, is none: cut or
    /// cleaned it would be somebody else's.
    fn address(&self, answer: &Answer) -> Option<String> {
        let found = self.find(answer);
        let text = found.as_string()?.trim_matches(' ');
        let odd = |c: char| c.is_control() || c.is_whitespace();
        (text.len() <= LONGEST && text.contains('@') && !text.contains(odd)).then(|| text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

fn identifier(found: &Variable) -> Option<String> {
    match found {
        Variable::String(text) => {
            let good = !text.trim().is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control);
            good.then(|| text.clone())
        }
        Variable::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// A provider's answers, put together for the expressions.
#[derive(Clone, Debug)]
pub struct Answer(Rcvar);

impl Answer {
    /// The root's members, and each further answer under its name; a further one that was refused is null, also where
    /// the root has a member of that name.
    pub fn new(mut root: Map<String, Value>, further: impl IntoIterator<Item = (String, Value)>) -> Self {
        root.extend(further);
        Self(Arc::new(Variable::from_serializable(&root).unwrap_or(Variable::Null)))
    }

    /// The answers, as they are.
    fn members(&self) -> Map<String, Value> {
        match serde_json::to_value(&*self.0) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(),
        }
    }
}

/// `[claims]`: where each part of a profile is in the answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The identifier that never changes and is never given to another person.
    pub uid: Expression,
    /// The name the person goes by.
    pub username: Option<Expression>,
    /// An address.
    pub email: Option<Expression>,
    /// Whether the provider verified it.
    pub email_verified: Option<Expression>,
    /// Both names in one, where they are not told apart.
    pub fullname: Option<Expression>,
    /// Given name.
    pub first_name: Option<Expression>,
    /// Family name.
    pub last_name: Option<Expression>,
}

/// The answer has no identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer has no identifier")]
pub struct NoIdentifier;

impl Claims {
    /// Who the answers are about.
    ///
    /// # Errors
    /// [`NoIdentifier`].
    pub fn profile(&self, answer: &Answer) -> Result<Profile, NoIdentifier> {
        let text = |path: &Option<Expression>| path.as_ref().and_then(|path| path.text(answer));
        let email = self.email.as_ref().and_then(|path| path.address(answer));
        let mut profile = Profile {
            uid: self.uid.identifier(answer).ok_or(NoIdentifier)?,
            username: text(&self.username),
            email_verified: email.is_some() && self.email_verified.as_ref().is_some_and(|path| path.is_true(answer)),
            email,
            first_name: text(&self.first_name),
            last_name: text(&self.last_name),
            extra: answer.members(),
            ..Profile::default()
        };
        if let Some(full_name) = text(&self.fullname) {
            profile.split_full_name(&full_name);
        }
        Ok(profile)
    }
}
