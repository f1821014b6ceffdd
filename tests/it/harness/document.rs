//! The OpenAPI document, as answers are held against it: those of every test, not only of the tests about the document.
//!
//! Of JSON Schema this knows what the document uses, and no more. It is stricter in one thing: an object may have no member
//! that its schema does not name, for what is not named is not documented.

use std::sync::LazyLock;

use serde_json::{Map, Value};
use vestibule::openapi;
use vestibule::settings::Settings;

use super::Answer;

/// Under the default mount, of a server with any providers.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| openapi::document(&Settings::default(), &[]));

/// What says nothing about a value's form.
const ANNOTATIONS: [&str; 5] = ["description", "format", "default", "examples", "minimum"];

pub const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Every operation: path, method, and what is said of it.
pub fn operations() -> Vec<(&'static str, &'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let of_path = |(path, item): (&'static String, &'static Value)| {
        METHODS.iter().filter_map(move |method| Some((path.as_str(), *method, item.get(method)?)))
    };
    paths.iter().flat_map(of_path).collect()
}

/// Follows a reference within the document.
pub fn resolve(value: &'static Value) -> &'static Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(place) => DOCUMENT.pointer(place.trim_start_matches('#')).unwrap_or_else(|| panic!("{place} is nowhere")),
        None => value,
    }
}

/// Holds an answer of this server against the document; gives the operation's id, for a path that is in it.
pub fn hold(method: &str, path: &str, answer: &Answer) -> Option<&'static str> {
    let (template, item) = find(path)?;
    if answer.header("x-request-id").is_empty() || !METHODS.contains(&method.to_lowercase().as_str()) {
        return None;
    }
    let place = format!("{method} {template} answered {answer:?}");
    let Some(operation) = item.get(method.to_lowercase()) else {
        assert_eq!(answer.status, 405, "{place}, but the method is not documented");
        return None;
    };
    let documented = &operation["responses"][answer.status.to_string()];
    assert!(!documented.is_null(), "{place}, but this status is not documented");
    let documented = resolve(documented);
    for (name, header) in documented.get("headers").and_then(Value::as_object).into_iter().flatten() {
        let is_there = answer.headers.contains_key(name.as_str());
        assert!(is_there || resolve(header)["required"] != true, "{place}, but without its header {name}");
    }
    let Some(content) = documented.get("content").and_then(Value::as_object) else {
        assert!(answer.text.is_empty(), "{place}, but no body is documented");
        return operation["operationId"].as_str();
    };
    let media_type = answer.header("content-type");
    let media_type = media_type.split(';').next().unwrap_or_default();
    let body = content.get(media_type).unwrap_or_else(|| panic!("{place}, but `{media_type}` is not documented"));
    let value = match media_type {
        "application/json" => serde_json::from_str(&answer.text).unwrap_or_else(|error| panic!("{place}: {error}")),
        _ => Value::from(answer.text.clone()),
    };
    check(&body["schema"], &value).unwrap_or_else(|wrong| panic!("{place}, but {wrong}"));
    operation["operationId"].as_str()
}

/// The path of the document that an address fits; of several the one with the most words of its own.
fn find(path: &str) -> Option<(&'static str, &'static Value)> {
    let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let words = |template: &str| template.split('/').filter(|part| !part.starts_with('{')).count();
    let fits = |template: &str| {
        let own: Vec<&str> = template.split('/').collect();
        let is_open = own.last() == Some(&"{path}"); // the rest, however many parts it has
        (own.len() == parts.len() || is_open && own.len() < parts.len())
            && own.iter().zip(&parts).all(|(own, part)| own == part || own.starts_with('{') && !part.is_empty())
    };
    let paths = DOCUMENT["paths"].as_object()?.iter().map(|(template, item)| (template.as_str(), item));
    paths.filter(|(template, _)| fits(template)).max_by_key(|(template, _)| words(template))
}

/// Whether a value is what a schema says; `Err`: what of it is not.
pub fn check(schema: &'static Value, value: &Value) -> Result<(), String> {
    let Some(rules) = schema.as_object() else { panic!("{schema} is no schema") };
    for (name, rule) in rules {
        match name.as_str() {
            "$ref" => check(resolve(schema), value)?,
            "type" => {
                let is_one = |name: &Value| is_of_type(value, name.as_str().unwrap_or_default());
                let fits = rule.as_array().map_or_else(|| is_one(rule), |all| all.iter().any(is_one));
                fits.then_some(()).ok_or_else(|| format!("{value} is not of the type {rule}"))?;
            }
            "enum" => {
                let is_known = rule.as_array().is_some_and(|all| all.contains(value));
                is_known.then_some(()).ok_or_else(|| format!("{value} is not one of {rule}"))?;
            }
            "const" => (rule == value).then_some(()).ok_or_else(|| format!("{value} is not {rule}"))?,
            "anyOf" => {
                let all = rule.as_array().into_iter().flatten();
                let refused: Result<Vec<String>, ()> = all.map(|one| check(one, value).err().ok_or(())).collect();
                refused.map_or(Ok(()), |reasons| Err(reasons.join("; and ")))?;
            }
            "items" => value.as_array().into_iter().flatten().try_for_each(|one| check(rule, one))?,
            "properties" | "required" | "additionalProperties" => {}
            known if ANNOTATIONS.contains(&known) => {}
            unknown => panic!("a schema says `{unknown}`, which is not checked here"),
        }
    }
    match value {
        Value::Object(members) if !rules.contains_key("$ref") && !rules.contains_key("anyOf") => {
            check_members(rules, members)
        }
        _ => Ok(()),
    }
}

fn check_members(rules: &'static Map<String, Value>, members: &Map<String, Value>) -> Result<(), String> {
    for name in rules.get("required").and_then(Value::as_array).into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        members.contains_key(name).then_some(()).ok_or_else(|| format!("`{name}` is missing"))?;
    }
    for (name, value) in members {
        let known = rules.get("properties").and_then(|known| known.get(name));
        match known.or(rules.get("additionalProperties")) {
            Some(Value::Bool(true)) => {}
            Some(schema) if schema.is_object() => {
                check(schema, value).map_err(|wrong| format!("in `{name}` {wrong}"))?;
            }
            _ => return Err(format!("`{name}` is not documented")),
        }
    }
    Ok(())
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        unknown => panic!("a schema says the type `{unknown}`, which is not checked here"),
    }
}
