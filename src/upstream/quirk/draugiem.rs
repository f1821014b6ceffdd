//! Draugiem.lv wants the way there signed: the secret and the redirect URI, hashed.
//!
//! <https://www.draugiem.lv/applications/dev/docs/passport/>

use super::md5_hex;
use crate::upstream::Provider;
use crate::upstream::token_endpoint::Fields;

pub(super) fn authorize_fields(provider: &Provider, redirect_uri: &str) -> Fields {
    let signed = format!("{}{redirect_uri}", provider.secret().unwrap_or_default());
    vec![("hash".to_owned(), md5_hex(&signed))]
}
