//! Google's script in a page posts an ID token. What it posts beside must be what stands in the cookie that the script has
//! set in the same browser, so that no other site can post for it.
//!
//! <https://developers.google.com/identity/gsi/web/guides/verify-google-id-token>

use super::super::journey::Unasked;
use super::super::{Identified, Provider, Upstream, must_be_fit, refuse};
use super::is_same;
use crate::protocol::OAuthError;

const CSRF: &str = "g_csrf_token";

pub(super) async fn arrive(
    upstream: &Upstream,
    provider: &Provider,
    came: &Unasked<'_>,
) -> Result<Identified, OAuthError> {
    let posted = came.params.required(CSRF)?;
    match (came.cookies)(CSRF) {
        Some(cookie) if is_same(&cookie, posted) => {}
        // Some browsers do not send it: https://issuetracker.google.com/issues/226157137
        None if provider.has_value("ignore_missing_csrf_cookie") => {}
        _ => return Err(refuse::not_begun_here(provider)),
    }
    let token = came.params.required("credential")?;
    must_be_fit("credential", token)?;
    let identified = upstream.by_id_token(provider, token, None).await?;
    // What was signed, not the signature: ECDSA knows two for each.
    let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
    upstream.only_once(provider, signed)?;
    Ok(identified)
}
