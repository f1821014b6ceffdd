//! What of a provider's word goes into an account: the details of a new person, those that a sign-in brings up to date, and
//! the extra data that is kept with the association.
//!
//! Never a password, or what the person may do.

use serde_json::{Map, Value};
use vestibule_protocol::Profile;

use super::username;
use crate::settings::Policy;
use crate::store::user::{self, NewUser, User};

/// Django's limit for a name, in characters.
const NAME_CHARS: usize = 150;
/// No picture has a longer address.
const PICTURE_CHARS: usize = 2000;

/// What nobody else has, of what the provider says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Free {
    /// The address.
    pub email: bool,
    /// The username.
    pub username: bool,
}

/// A new person, still without a username.
pub fn new_person(profile: &Profile, policy: &Policy) -> NewUser {
    let (first_name, last_name) = names(profile, policy);
    NewUser {
        email: email(profile, policy).unwrap_or_default(),
        email_verified: profile.email_verified && profile.email.is_some(),
        first_name: clipped(first_name),
        last_name: clipped(last_name),
        claims: with_picture("{}", profile).unwrap_or_default(),
        ..NewUser::default()
    }
}

/// The person with fresh details, if the provider has any.
///
/// A name is taken as it comes. An address only where there was none and nobody else has it, or where the operator says so;
/// never an unverified one for a verified one. A verified mark only for the address that the person has.
pub fn refreshed(user: &User, profile: &Profile, policy: &Policy, free: Free) -> Option<User> {
    let may_change = |field: &str, is_set: bool| {
        let is_in = |list: &[String]| list.iter().any(|own| own == field);
        !(is_in(&policy.protected_user_fields) || is_set && is_in(&policy.immutable_user_fields))
    };
    let mut fresh = user.clone();
    let (first_name, last_name) = names(profile, policy);
    if first_name.is_some() && may_change("first_name", !user.first_name.is_empty()) {
        fresh.first_name = clipped(first_name);
    }
    if last_name.is_some() && may_change("last_name", !user.last_name.is_empty()) {
        fresh.last_name = clipped(last_name);
    }
    if let Some(email) = email(profile, policy) {
        let is_theirs = user::email_key(&user.email) == user::email_key(&email);
        let is_wanted = user.email.is_empty()
            || policy.no_default_protected_user_fields && (profile.email_verified || !user.email_verified);
        if !is_theirs && is_wanted && free.email && may_change("email", !user.email.is_empty()) {
            fresh.email = email;
            fresh.email_verified = profile.email_verified;
        } else if is_theirs && profile.email_verified {
            fresh.email_verified = true;
        }
    }
    if let Some(name) = wanted_username(user, profile, policy).filter(|_| free.username && may_change("username", true))
    {
        fresh.username = name;
    }
    if let Some(claims) = with_picture(&user.claims, profile).filter(|_| may_change("picture", has_picture(user))) {
        fresh.claims = claims;
    }
    (fresh != *user).then_some(fresh)
}

/// The username that a sign-in would give a known person, where the operator lets it.
pub fn wanted_username(user: &User, profile: &Profile, policy: &Policy) -> Option<String> {
    let name = profile.username.as_deref().filter(|_| policy.no_default_protected_user_fields)?;
    Some(username::fitted(name, policy)).filter(|name| !name.is_empty() && *name != user.username)
}

/// The two names, unless they are a full one that the operator does not want split.
fn names<'p>(profile: &'p Profile, policy: &Policy) -> (Option<&'p str>, Option<&'p str>) {
    let names = (profile.first_name.as_deref(), profile.last_name.as_deref());
    let Some(full_name) = profile.full_name.as_deref().filter(|_| !policy.firstlast_from_full) else { return names };
    let mut split = Profile::default();
    split.split_full_name(full_name);
    if (split.first_name.as_deref(), split.last_name.as_deref()) == names { (None, None) } else { names }
}

fn email(profile: &Profile, policy: &Policy) -> Option<String> {
    let email = profile.email.as_deref()?;
    Some(if policy.force_email_lowercase { email.to_lowercase() } else { email.to_owned() })
}

/// A name as it may stand in an account.
pub fn clipped(name: Option<&str>) -> String {
    name.unwrap_or_default().chars().filter(|c| !c.is_control()).take(NAME_CHARS).collect()
}

fn claims(user: &User) -> Map<String, Value> {
    serde_json::from_str(&user.claims).unwrap_or_default()
}

fn has_picture(user: &User) -> bool {
    claims(user).contains_key("picture")
}

/// The claims with the provider's picture among them, if it has one that a page can show.
fn with_picture(claims: &str, profile: &Profile) -> Option<String> {
    let picture = profile.picture.as_deref()?;
    let is_address = picture.starts_with("https://") || picture.starts_with("http://");
    if !is_address || picture.len() > PICTURE_CHARS || picture.chars().any(char::is_control) {
        return None;
    }
    let mut claims: Map<String, Value> = serde_json::from_str(claims).unwrap_or_default();
    claims.insert("picture".to_owned(), picture.into());
    serde_json::to_string(&claims).ok()
}

/// What is kept of a provider's answer, over what was kept before: answers differ in how much they hold, and what one does
/// not mention is still there. What the operator has taken off the list goes.
pub fn kept(profile: &Profile, policy: &Policy, before: &str) -> String {
    let mut kept: Map<String, Value> = serde_json::from_str(before).unwrap_or_default();
    let holder = profile.holder.clone().map(Value::String).or_else(|| kept.get(HOLDER).cloned());
    let entries: Vec<(&str, &str)> = policy.extra_data_entries().filter(|(name, _)| !Policy::is_secret(name)).collect();
    if policy.get_all_extra_data {
        kept.extend(
            profile
                .extra
                .iter()
                .filter(|(name, _)| !Policy::is_secret(name))
                .map(|(name, value)| (name.clone(), value.clone())),
        );
    } else {
        kept.retain(|name, _| entries.iter().any(|(_, alias)| alias == name));
    }
    let details = details(profile, policy);
    for (name, alias) in entries {
        let found = profile.extra.get(name).or_else(|| details.get(name)).filter(|value| !value.is_null());
        if let Some(found) = found {
            kept.insert(alias.to_owned(), found.clone());
        }
    }
    kept.extend(holder.map(|holder| (HOLDER.to_owned(), holder)));
    serde_json::to_string(&kept).unwrap_or_else(|_| "{}".to_owned())
}

/// Where it is kept who held an identifier that can change hands: python-social-auth's name at the provider that has such.
const HOLDER: &str = "owner_hash";

/// Whether an identifier has gone to somebody else since it was kept. Where nothing was kept, nobody knows.
pub fn has_changed_hands(profile: &Profile, before: &str) -> bool {
    let Some(holder) = &profile.holder else { return false };
    let kept: Map<String, Value> = serde_json::from_str(before).unwrap_or_default();
    kept.get(HOLDER).and_then(Value::as_str).is_some_and(|before| before != holder)
}

/// The details under python-social-auth's names.
fn details(profile: &Profile, policy: &Policy) -> Map<String, Value> {
    let (first_name, last_name) = names(profile, policy);
    let both = || {
        let both = [first_name.unwrap_or_default(), last_name.unwrap_or_default()].join(" ");
        Some(both.trim().to_owned()).filter(|both| policy.full_from_firstlast && !both.is_empty())
    };
    let all = [
        ("username", profile.username.clone()),
        ("email", email(profile, policy)),
        ("fullname", profile.full_name.clone().or_else(both)),
        ("first_name", first_name.map(str::to_owned)),
        ("last_name", last_name.map(str::to_owned)),
        ("picture", profile.picture.clone()),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?)))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use vestibule_protocol::Profile;

    use super::{Free, kept, new_person, refreshed};
    use crate::identity::link::tests::{person, profile};
    use crate::settings::Policy;
    use crate::store::user::User;

    const FREE: Free = Free { email: true, username: true };

    fn named(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn fresh_details_never_replace_an_address_or_a_username() {
        let profile = Profile {
            username: Some("root".into()),
            email: Some("new@example.com".into()),
            first_name: Some("Ada\u{7}".into()),
            ..profile()
        };

        let fresh = refreshed(&person(7), &profile, &Policy::default(), FREE).unwrap();

        assert_eq!(
            (fresh.username.as_str(), fresh.email.as_str(), fresh.first_name.as_str()),
            ("person7", "ada@example.com", "Ada")
        );
        let without = User { email: String::new(), ..person(7) };
        let fresh = refreshed(&without, &profile, &Policy::default(), Free::default()).unwrap();
        assert_eq!(fresh.email, "", "somebody else has it");
        assert_eq!(refreshed(&without, &profile, &Policy::default(), FREE).unwrap().email, "new@example.com");
    }

    #[test]
    fn the_operator_can_open_username_and_address_and_close_every_field() {
        let open = Policy { no_default_protected_user_fields: true, force_email_lowercase: true, ..Policy::default() };
        let new = Profile {
            username: Some("Ada <L>".into()),
            email: Some("New@Example.com".into()),
            first_name: Some("Augusta".into()),
            picture: Some("https://example.com/ada.png".into()),
            ..profile()
        };
        let details =
            |user: &User| (user.username.clone(), user.email.clone(), user.first_name.clone(), user.claims.clone());
        let old = User { first_name: "Ada".into(), ..person(7) };

        let fresh = refreshed(&old, &new, &open, FREE).unwrap();
        let claims = r#"{"picture":"https://example.com/ada.png"}"#.to_owned();
        assert_eq!(details(&fresh), ("AdaL".into(), "new@example.com".into(), "Augusta".into(), claims));
        assert!(fresh.email_verified);
        let taken = refreshed(&old, &new, &open, Free::default()).unwrap();
        assert_eq!((taken.username.as_str(), taken.email.as_str()), ("person7", "ada@example.com"));
        let unverified = Profile { email_verified: false, ..new.clone() };
        assert_eq!(refreshed(&old, &unverified, &open, FREE).unwrap().email, "ada@example.com");

        let all = named(&["username", "email", "first_name", "last_name", "picture"]);
        let protected = Policy { protected_user_fields: all.clone(), ..open.clone() };
        assert_eq!(refreshed(&old, &new, &protected, FREE), None);
        let immutable = Policy { immutable_user_fields: all, ..open };
        let fresh = refreshed(&old, &new, &immutable, FREE).unwrap();
        assert_eq!(
            (fresh.first_name.as_str(), fresh.claims.contains("ada.png")),
            ("Ada", true),
            "only what was not set"
        );
    }

    #[test]
    fn a_full_name_is_split_only_where_the_operator_wants_it() {
        let mut only_full = profile();
        only_full.split_full_name("Ada Lovelace");
        let whole = Policy { firstlast_from_full: false, ..Policy::default() };

        assert_eq!(new_person(&only_full, &Policy::default()).last_name, "Lovelace");
        assert_eq!(new_person(&only_full, &whole).last_name, "");
        let told_apart = Profile { first_name: Some("Ada".into()), ..profile() };
        assert_eq!(new_person(&told_apart, &whole).first_name, "Ada");
    }

    #[test]
    fn extra_data_is_what_is_listed_and_never_a_token() {
        let extra = json!({"plan": "pro", "access_token": "hush", "Refresh_Token": "hush", "id": 7, "gone": null});
        let profile = Profile {
            extra: extra.as_object().unwrap().clone(),
            first_name: Some("Ada".into()),
            last_name: Some("L".into()),
            ..profile()
        };
        let kept_by =
            |policy: &Policy, before: &str| -> Value { serde_json::from_str(&kept(&profile, policy, before)).unwrap() };
        let list =
            Policy { extra_data: named(&["plan", "id as number", "fullname", "gone", "old"]), ..Policy::default() };

        assert_eq!(kept_by(&Policy::default(), "{}"), json!({}));
        let before = r#"{"old": 1, "unlisted": 2, "plan": "free"}"#;
        assert_eq!(kept_by(&list, before), json!({"plan": "pro", "number": 7, "fullname": "Ada L", "old": 1}));
        let apart = Policy { full_from_firstlast: false, ..list };
        assert_eq!(kept_by(&apart, "{}"), json!({"plan": "pro", "number": 7}));
        let all = Policy { get_all_extra_data: true, ..Policy::default() };
        assert_eq!(kept_by(&all, "{}"), json!({"plan": "pro", "id": 7, "gone": null}));
    }
}
