//! Who calls: an application and its proof (RFC 6749 §2.3).
//!
//! Not here: how the proof is written in a request (`protocol::client_credentials`), what the application may do
//! (`grant`).

use std::sync::Arc;

use aws_lc_rs::constant_time;
use vestibule_protocol::{
    ClientAuthenticationMethod as Method, ClientCredentials, ClientType, OAuthError, TokenDigest, hex,
};

use crate::context::Context;
use crate::store::application::{self, Application};
use crate::store::change::Change;

/// The application that presents these credentials.
///
/// # Errors
/// `invalid_client` for an unknown or disabled application, a wrong secret, a secret where there is none to have, or a
/// method that it may not use. One sentence for all, but for what the developer of a known client can mend.
pub async fn authenticate(cx: &Context, credentials: &ClientCredentials) -> Result<Arc<Application>, OAuthError> {
    let refuse = |sentence: &'static str| {
        let error = OAuthError::invalid_client(sentence);
        if credentials.method == Method::ClientSecretBasic { error.with_basic_challenge() } else { error }
    };
    let application = find(cx, &credentials.client_id).await?;
    let application = application.filter(|application| application.is_active).ok_or_else(|| refuse(UNKNOWN))?;
    match (application.client_type, credentials.secret()) {
        (ClientType::Public, None) => {}
        // HTTP Basic has no way to leave the secret out; an empty one is none.
        (ClientType::Public, Some("")) => {}
        // A public client has no secret, so one that it sends is wrong (RFC 6749 §3.2.1).
        (ClientType::Public, Some(_)) => {
            return Err(refuse("This application is public and has no client secret; send none."));
        }
        (ClientType::Confidential, None) => {
            return Err(refuse("This application is confidential: its client secret is required."));
        }
        (ClientType::Confidential, Some(secret)) => {
            if !secret_matches(&application, secret, cx.clock.now()) {
                return Err(refuse(UNKNOWN));
            }
            if application.token_endpoint_auth_method.is_some_and(|only| only != credentials.method) {
                return Err(refuse("This application may not use this client authentication method."));
            }
        }
    }
    Ok(application)
}

const UNKNOWN: &str = "Unknown client, or its credentials are wrong.";

/// An application by client id, out of the cache where that can be believed. Disabled ones too.
pub async fn find(cx: &Context, client_id: &str) -> Result<Option<Arc<Application>>, OAuthError> {
    if client_id.len() > 255 {
        return Ok(None);
    }
    let read = application::find(&cx.db, client_id);
    let rests_on = |application: &Application| [Change::Application(application.id)];
    Ok(cx.applications.get(&cx.db, client_id.to_owned(), |_| true, rests_on, read).await?)
}

/// What is stored of a secret. SHA-256 is right for 256 random bits.
pub fn hash_secret(secret: &str) -> String {
    let mut hash = String::from("sha256$");
    hash.push_str(&hex(TokenDigest::of(secret).as_bytes()));
    hash
}

fn secret_matches(application: &Application, secret: &str, now: i64) -> bool {
    let presented = hash_secret(secret);
    let is = |stored: &str| constant_time::verify_slices_are_equal(stored.as_bytes(), presented.as_bytes()).is_ok();
    let current = application.secret_hash.as_deref().is_some_and(is);
    let previous =
        application.previous_secret.as_ref().is_some_and(|previous| previous.expires_at > now && is(&previous.hash));
    current | previous
}
