//! JMESPath expressions over a provider's answers, with the few functions that answers of providers need.
//!
//! An expression is total: where it does not apply it finds nothing. An identifier is a text or a whole number; everything
//! else is not a person.

use std::sync::{Arc, LazyLock};

use jmespath::{Rcvar, Runtime, Variable};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

/// Longer than any identifier, name or address (RFC 5321 §4.5.3.1 has 254 for the last).
const LONGEST: usize = 255;

/// JMESPath with functions on texts, and a `to_string` that makes no text of what is none: with the original, everybody
/// without an identifier would be the person `null`.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut runtime = Runtime::new();
    runtime.register_builtin_functions();
    on_values(&mut runtime, "to_string", |values| text_var(identifier(values.first()?)));
    on_texts(&mut runtime, "local_part", |texts| text_var(texts.first()?.split('@').next().map(str::to_owned)));
    on_texts(&mut runtime, "lower", |texts| text_var(Some(texts.first()?.to_lowercase())));
    on_texts(&mut runtime, "replace", |texts| {
        let [text, from, to] = texts else { return None };
        text_var(Some(text.replace(from, to)))
    });
    on_texts(&mut runtime, "split", |texts| {
        let [text, separator] = texts else { return None };
        let piece = |piece: &str| Arc::new(Variable::String(piece.to_owned()));
        Some(Arc::new(Variable::Array(match separator.is_empty() {
            true => text.chars().map(|c| piece(&c.to_string())).collect(),
            false => text.split(separator).map(piece).collect(),
        })))
    });
    runtime
});

type Found = Option<Rcvar>;

fn on_values(runtime: &mut Runtime, name: &str, function: fn(&[Rcvar]) -> Found) {
    let total = move |values: &[Rcvar], _: &mut jmespath::Context<'_>| {
        Ok(function(values).unwrap_or_else(|| Arc::new(Variable::Null)))
    };
    runtime.register_function(name, Box::new(total));
}

/// Null where an argument is no text.
fn on_texts(runtime: &mut Runtime, name: &str, function: fn(&[&str]) -> Found) {
    let total = move |values: &[Rcvar], _: &mut jmespath::Context<'_>| {
        let texts: Option<Vec<&str>> = values.iter().map(|value| value.as_string().map(String::as_str)).collect();
        Ok(texts.and_then(|texts| function(&texts)).unwrap_or_else(|| Arc::new(Variable::Null)))
    };
    runtime.register_function(name, Box::new(total));
}

fn text_var(text: Option<String>) -> Found {
    Some(Arc::new(text.map_or(Variable::Null, Variable::String)))
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

    /// As it was written.
    pub fn source(&self) -> &str {
        self.0.as_str()
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
    pub fn text(&self, answer: &Answer) -> Option<String> {
        let found = self.find(answer);
        let clean: String = found.as_string()?.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        let clean = clean.trim();
        (!clean.is_empty()).then(|| clean.to_owned())
    }

    /// A text as it stands: a token, an address, a URL.
    pub fn plain(&self, answer: &Answer) -> Option<String> {
        self.find(answer).as_string().filter(|text| !text.is_empty()).cloned()
    }

    /// An e-mail address, as it stands. One that is too long, or holds blanks or control characters, is none: cut or
    /// cleaned it would be somebody else's.
    pub fn address(&self, answer: &Answer) -> Option<String> {
        let found = self.find(answer);
        let text = found.as_string()?.trim_matches(' ');
        let odd = |c: char| c.is_control() || c.is_whitespace();
        (text.len() <= LONGEST && text.contains('@') && !text.contains(odd)).then(|| text.to_owned())
    }

    /// Whatever it finds; `None` for null.
    pub fn value(&self, answer: &Answer) -> Option<Value> {
        serde_json::to_value(&*self.find(answer)).ok().filter(|value| !value.is_null())
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

/// A provider's answers, put together for the expressions. Clones share everything.
#[derive(Clone, Debug)]
pub struct Answer(Rcvar);

impl Answer {
    /// The root's members, and each further answer under its name; a further one that was refused is null, also where
    /// the root has a member of that name.
    pub fn new(mut root: Map<String, Value>, further: impl IntoIterator<Item = (String, Value)>) -> Self {
        root.extend(further);
        Self(Arc::new(Variable::from_serializable(&root).unwrap_or(Variable::Null)))
    }
}
