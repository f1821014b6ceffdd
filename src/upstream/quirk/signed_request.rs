//! Mail.ru: every call is signed with our secret, over all parameters in the order of their names.
//!
//! <https://api.mail.ru/docs/guides/restapi/#sig>

use super::super::Provider;
use super::super::outbound::Call;
use super::md5_hex;
use crate::protocol::provider::template::with_query;

pub(super) fn sign(provider: &Provider, call: &mut Call) {
    let joined: String = sorted(query(&call.url)).concat();
    let signature = md5_hex(&format!("{joined}{}", provider.secret().unwrap_or_default()));
    call.url = with_query(&call.url, "sig", &signature);
}

/// The parameters of an address.
pub(super) fn query(url: &str) -> Vec<(String, String)> {
    url::Url::parse(url).map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default()
}

/// `name=value`, in order.
pub(super) fn sorted(params: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
    let mut all: Vec<String> = params.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    all.sort();
    all
}
