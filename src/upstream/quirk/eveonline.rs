//! A character of EVE Online can be sold. The hash of its owner, which comes with the profile, changes then: whoever bought
//! it is somebody else.

use serde_json::{Map, Value};

use super::super::ProviderTokens;

const OWNER: &str = "owner_hash";

pub(super) fn kept(extra: &Map<String, Value>) -> Vec<(String, Value)> {
    extra.get(OWNER).map(|owner| (OWNER.to_owned(), owner.clone())).into_iter().collect()
}

pub(super) fn holder(tokens: &ProviderTokens) -> Option<String> {
    let (_, owner) = tokens.kept.iter().find(|(name, _)| name == OWNER)?;
    owner.as_str().map(str::to_owned)
}
