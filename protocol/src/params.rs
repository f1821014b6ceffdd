//! The parameters of a request body, form or JSON alike, each at most once (RFC 6749 §3.2).
//!
//! Reading is strict: a broken percent escape, bytes that are not UTF-8, a NUL, a number where a text belongs or a
//! parameter twice is `invalid_request`. What is sent without a value counts as not sent.

use std::fmt;

use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::error::OAuthError;

/// Parameters that clients of the Django stack send as a JSON number; all others are texts.
const INTEGERS: [&str; 1] = ["association_id"];

/// Parameters that may be sent several times (RFC 8707 §2, RFC 8693 §2.1), and the check boxes of our own forms.
const REPEATABLE: [&str; 5] = ["resource", "audience", "grant_types", "permissions", "chosen"];

/// The parameters of one request. `Debug` shows their names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    /// `invalid_request`, as the head of this module says.
    pub fn from_form(body: &[u8]) -> Result<Self, OAuthError> {
        let mut params = Self::default();
        for pair in body.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
            let at = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
            let name = decode_form(&pair[..at]).ok_or_else(malformed)?;
            let value = decode_form(pair.get(at + 1..).unwrap_or_default()).ok_or_else(malformed)?;
            params.add(name, value)?;
        }
        Ok(params)
    }

    /// Reads a JSON object whose values are texts.
    ///
    /// # Errors
    /// `invalid_request`, as the head of this module says.
    pub fn from_json(body: &[u8]) -> Result<Self, OAuthError> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        let mut json = serde_json::Deserializer::from_slice(body);
        let pairs = json.deserialize_map(Pairs).and_then(|pairs| json.end().map(|()| pairs)).map_err(|error| {
            OAuthError::invalid_request("The body must be one JSON object whose values are texts.").with_cause(error)
        })?;
        Self::from_pairs(pairs)
    }

    /// A parameter's value. `None`: not sent, or sent empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, value)| own == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter that may be sent several times.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(own, value)| own == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Every parameter with its value, as sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The same parameters from pairs.
    ///
    /// # Errors
    /// `invalid_request`, as the head of this module says.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, OAuthError> {
        let mut params = Self::default();
        for (name, value) in pairs {
            params.add(name, value)?;
        }
        Ok(params)
    }

    /// A parameter that must be there.
    ///
    /// # Errors
    /// `invalid_request` that names it.
    pub fn required(&self, name: &'static str) -> Result<&str, OAuthError> {
        self.get(name).ok_or_else(|| OAuthError::missing(name))
    }

    /// Whether nothing was sent.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, name: String, value: String) -> Result<(), OAuthError> {
        if name.contains('\0') || value.contains('\0') {
            return Err(malformed());
        }
        if !REPEATABLE.contains(&name.as_str()) && self.0.iter().any(|(own, _)| *own == name) {
            return Err(OAuthError::invalid_request("A parameter was sent more than once (RFC 6749 §3.2)."));
        }
        self.0.push((name, value));
        Ok(())
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

fn malformed() -> OAuthError {
    OAuthError::invalid_request("The body holds a broken percent escape, a NUL, or bytes that are not UTF-8.")
}

/// Decodes one name or value of a form. `None`: a broken escape, or not UTF-8.
pub(crate) fn decode_form(text: &[u8]) -> Option<String> {
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A JSON object as pairs in their order, with repeated names kept, so that a repetition can be seen.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(String, String)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = match map.next_value::<serde_json::Value>()? {
                serde_json::Value::String(text) => text,
                serde_json::Value::Number(number) if INTEGERS.contains(&name.as_str()) && number.is_i64() => {
                    number.to_string()
                }
                _ => return Err(de::Error::custom("a value is not a text")),
            };
            pairs.push((name, value));
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Params;

    #[test]
    fn form_and_json_read_alike() {
        let form = Params::from_form(b"grant_type=password&username=ada+l%C3%B6&scope=").unwrap();
        let json =
            Params::from_json("{\"grant_type\": \"password\", \"username\": \"ada lö\", \"scope\": \"\"}".as_bytes())
                .unwrap();

        assert_eq!(form, json);
        assert_eq!(form.get("username"), Some("ada lö"));
        assert_eq!(form.get("scope"), None);
        assert_eq!(form.required("scope").unwrap_err().field, Some("scope"));
    }

    #[test]
    fn broken_escapes_nul_and_foreign_bytes_are_refused() {
        // attack 167
        for bad in [&b"a=%zz"[..], b"a=%2", b"a=%00", b"%00=a", b"a=%C0%AF", b"a=\xff", b"a=%ED%A0%80"] {
            assert_eq!(Params::from_form(bad).unwrap_err().code.as_str(), "invalid_request", "{bad:?}");
        }
        for bad in [r#"{"a": "\ud800"}"#, r#"{"a": "\u0000"}"#] {
            assert_eq!(Params::from_json(bad.as_bytes()).unwrap_err().code.as_str(), "invalid_request", "{bad}");
        }
    }

    #[test]
    fn json_that_is_no_object_of_texts_is_refused() {
        // attack 163
        let bad = [
            "[]",
            "\"a\"",
            "null",
            "1",
            "true",
            "{",
            r#"{"password": 123}"#,
            r#"{"a": ["b"]}"#,
            r#"{"a": {}}"#,
            r#"{"a": null}"#,
            r#"{"a": true}"#,
            r#"{"a": "b"} x"#,
            r#"{"association_id": 1.5}"#,
        ];
        for bad in bad {
            assert_eq!(Params::from_json(bad.as_bytes()).unwrap_err().code.as_str(), "invalid_request", "{bad}");
        }
        assert_eq!(Params::from_json(br#"{"association_id": 7}"#).unwrap().get("association_id"), Some("7"));
    }

    #[test]
    fn a_parameter_twice_is_refused() {
        assert!(Params::from_form(b"a=1&a=1").is_err());
        assert!(Params::from_json(br#"{"a": "1", "a": "2"}"#).is_err());
    }

    proptest! {
        #[test]
        fn no_body_is_too_odd_to_look_at(body: Vec<u8>) {
            let _ = Params::from_form(&body);
            let _ = Params::from_json(&body);
        }
    }
}
