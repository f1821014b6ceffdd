//! What is kept of a refusal, and how much is counted before it is written.

use vestibule_protocol::Params;

use super::refused::readable;
use super::{Key, Kind, MOST_COUNTS, MOST_OF_A_KIND, MOST_REFUSALS, Pending, Tally};
use crate::store::refusal::Refusal;

#[test]
fn a_refusal_is_kept_without_what_the_request_brought_along() {
    let pairs = [("backend", "google-oauth2"), ("token", "short-token"), ("code_verifier", "plain words")];
    let params = Params::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();

    let text = "google-oauth2 said: short-token is bad, not plain words, ya29.a0AfH6SMBx-0123456789abcdef; \n\
                openidconnect.googleapis.com answered 400; see `providers.google-oauth2.client_ids`";
    assert_eq!(
        readable(text, Some(&params)),
        "google-oauth2 said: … is bad, not …, …;  openidconnect.googleapis.com answered 400; see `providers.google-oauth2.client_ids`"
    );
    assert_eq!(readable(&"ä ".repeat(400), None).chars().count(), 300);
}

#[test]
fn what_waits_is_bounded_whatever_happens() {
    let mut pending = Pending::default();
    let key = |application_id| Key { kind: Kind::Token, provider: String::new(), application_id, detail: "" };
    let one = Tally { count: 1, ..Tally::default() };
    for minute in 0..30_000 {
        pending.add(minute % 3 * 60, key(minute), one);
        pending.add(minute * 60, key(0), one);
    }
    assert_eq!(pending.counts.len(), 2 * MOST_COUNTS);
    assert!(pending.counts.get(&(0, key(0))).is_some_and(|tally| tally.count > 5_000), "the rest is counted as none's");

    let refusal = |reason: String| Refusal {
        at: 0,
        provider: String::new(),
        application_id: 0,
        reason,
        description: String::new(),
        cause: String::new(),
    };
    for _ in 0..1_000 {
        pending.note(refusal("one".to_owned()));
    }
    assert_eq!(pending.refusals.len(), MOST_OF_A_KIND);
    for number in 0..1_000 {
        pending.note(refusal(number.to_string()));
    }
    assert_eq!(pending.refusals.len(), MOST_REFUSALS);
}
