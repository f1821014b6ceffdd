//! What of a provider's tokens outlives the next sign-in.
//!
//! Most give a refresh token at the first sign-in only, and an application may convert an ID token, with which no access
//! token comes at all: what is not replaced stays, as in python-social-auth's extra data.

use serde_json::{Map, Value};

/// What stands for the access token, beside itself.
const OF_THE_ACCESS_TOKEN: [&str; 4] = ["token_type", "scope", "expires_at", "token_secret"];
/// What a refresh needs.
const OF_THE_REFRESH: [&str; 2] = ["refresh_token", "kept"];

/// The tokens that are stored when `new` arrives where `before` is.
pub(super) fn kept(before: &[u8], new: &[u8]) -> Vec<u8> {
    let read = |bytes| serde_json::from_slice::<Map<String, Value>>(bytes).ok();
    let (Some(before), Some(mut all)) = (read(before), read(new)) else { return new.to_vec() };
    let is_there = |tokens: &Map<String, Value>, name: &str| tokens.get(name).is_some_and(|value| !value.is_null());
    // The provider has ended these: they are of no use to anybody.
    if before.get("is_ended") == Some(&Value::Bool(true)) {
        return new.to_vec();
    }
    let mut stays: Vec<&str> = Vec::new();
    if !is_there(&all, "refresh_token") {
        stays.extend(OF_THE_REFRESH);
    }
    let same = is_there(&all, "access_token") && all.get("access_token") == before.get("access_token");
    if same || !is_there(&all, "access_token") {
        stays.push("access_token");
        stays.extend(OF_THE_ACCESS_TOKEN);
    }
    for name in stays {
        if !is_there(&all, name)
            && let Some(value) = before.get(name).filter(|value| !value.is_null())
        {
            all.insert(name.to_owned(), value.clone());
        }
    }
    serde_json::to_vec(&all).unwrap_or_else(|_| new.to_vec())
}

/// Whether both are the same tokens, however they are written.
pub(super) fn are_same(one: &[u8], other: &[u8]) -> bool {
    let read = |bytes| serde_json::from_slice::<Value>(bytes).ok();
    one == other || read(one).is_some_and(|one| Some(one) == read(other))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{are_same, kept};

    fn after(before: &Value, new: &Value) -> Value {
        serde_json::from_slice(&kept(before.to_string().as_bytes(), new.to_string().as_bytes())).unwrap()
    }

    #[test]
    fn a_refresh_token_outlives_a_sign_in_that_brings_none() {
        let before =
            json!({"access_token": "a", "refresh_token": "r", "expires_at": 5, "scope": "s", "kept": [["k", 1]]});
        let new = json!({"access_token": "b", "refresh_token": null, "expires_at": 9, "scope": null});

        let expected =
            json!({"access_token": "b", "refresh_token": "r", "expires_at": 9, "scope": null, "kept": [["k", 1]]});
        assert_eq!(after(&before, &new), expected);
        let newer = json!({"access_token": "b", "refresh_token": "r2"});
        assert_eq!(after(&before, &newer), newer);
    }

    #[test]
    fn an_id_token_alone_takes_no_access_token_away() {
        let before = json!({"access_token": "a", "refresh_token": "r", "expires_at": 5, "token_type": "Bearer"});
        let new = json!({"access_token": null, "id_token": "i", "expires_at": null});

        let mut expected = before.clone();
        expected["id_token"] = "i".into();
        assert_eq!(after(&before, &new), expected);
        assert_eq!(after(&before, &json!({"access_token": "a"}))["expires_at"], 5, "the same one");
    }

    #[test]
    fn what_the_provider_has_ended_does_not_come_back() {
        let before = json!({"access_token": "a", "refresh_token": "r", "is_ended": true});
        let new = json!({"access_token": "b"});

        assert_eq!(after(&before, &new), new);
        assert_eq!(kept(b"garbage", b"{}"), b"{}");
        assert!(are_same(br#"{"a":1,"b":2}"#, br#"{"b":2,"a":1}"#) && !are_same(b"{}", b"[]"));
    }
}
