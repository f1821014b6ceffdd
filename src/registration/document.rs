//! Client id metadata documents: a client id that is the https address of a document about the client
//! (draft-ietf-oauth-client-id-metadata-document). The document is fetched under the outbound guard and kept as an
//! application, which is public or proves itself by its own keys, and never has a secret of ours.

use std::sync::Arc;

use serde_json::Value;
use vestibule_protocol::{ClientAuthenticationMethod as Method, ClientType, ErrorCode, GrantType, OAuthError};

use super::{kept_by_operator, lay_over};
use crate::client;
use crate::context::Context;
use crate::store::application::{self, Application};

/// How long what was read counts, in seconds.
const FRESH: i64 = 3_600;

/// Whether a client id is the address of a document, and such are taken here.
pub fn is_document_url(cx: &Context, client_id: &str) -> bool {
    cx.settings.registration.client_id_metadata_documents && is_fit(client_id, cx.upstream.is_mapped(client_id))
}

/// https with a path, without fragment, user, or dot segments, letter by letter as it is normal (§3).
fn is_fit(client_id: &str, is_mapped: bool) -> bool {
    url::Url::parse(client_id).is_ok_and(|url| {
        (url.scheme() == "https" || is_mapped)
            && url.path().len() > 1
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && url.as_str() == client_id
            && client_id.len() <= 255
    })
}

/// The application that a document describes; the document is fetched if what was read before is old.
///
/// # Errors
/// `invalid_client` for a document that cannot be read or says something that no client may say of itself.
pub async fn client(cx: &Context, client_id: &str) -> Result<Arc<Application>, OAuthError> {
    let now = cx.clock.now();
    let before = client::find(cx, client_id).await?;
    if let Some(application) = &before
        && (!application.is_active || application.metadata.document_fresh_until.is_none_or(|until| until > now))
    {
        return Ok(application.clone());
    }
    let read = cx.upstream.client_document(client_id).await.map_err(|error| {
        OAuthError::invalid_request("The document at this `client_id` could not be read.").with_cause(error)
    })?;
    let refuse = |sentence: &'static str| OAuthError::new(ErrorCode::InvalidClientMetadata, sentence);
    let Value::Object(wanted) = read else { return Err(refuse("The document at this `client_id` is no JSON object.")) };
    if wanted.get("client_id").and_then(Value::as_str) != Some(client_id) {
        return Err(refuse("The document's `client_id` is not its own address."));
    }
    if wanted.contains_key("client_secret") {
        return Err(refuse("A client id metadata document has no `client_secret`."));
    }
    let mut wanted = wanted;
    // What RFC 7591 gives a client that does not say cannot be had here: there is no secret.
    wanted.entry("token_endpoint_auth_method").or_insert_with(|| "none".into());
    let blank = Application::new(client_id.to_owned(), String::new(), ClientType::Public);
    let mut application = match &before {
        Some(before) => {
            Application { id: before.id, token_epoch: before.token_epoch, ..kept_by_operator(before, blank) }
        }
        None => blank,
    };
    lay_over(cx, &mut application, &wanted).await?;
    if application.token_endpoint_auth_method.is_some_and(Method::needs_secret)
        || application.grant_types.contains(&GrantType::ClientCredentials)
            && application.client_type == ClientType::Public
    {
        return Err(refuse("Such a client proves itself by its own keys, or not at all."));
    }
    if application.signing_algorithm == "HS256" {
        return Err(refuse("HS256 needs a client secret, which such a client has not."));
    }
    application.metadata.document_fresh_until = Some(now + FRESH);
    let stored = match before {
        Some(_) => application::update(&cx.db, &application, now).await?,
        None => application::create(&cx.db, &application, now).await?,
    };
    match stored {
        Some(application) => Ok(Arc::new(application)),
        // Somebody else has read it at the same moment.
        None => client::find(cx, client_id).await?.ok_or_else(|| refuse("The client was deleted just now.")),
    }
}

#[cfg(test)]
mod tests {
    use super::is_fit;

    #[test]
    fn only_a_plain_https_address_with_a_path_can_be_a_client_id() {
        assert!(is_fit("https://app.example/client.json", false));
        for bad in [
            "https://app.example",
            "https://app.example/",
            "http://app.example/client.json",
            "https://app.example/a/../client.json",
            "https://user@app.example/client.json",
            "https://app.example/client.json#x",
            "https://APP.example/client.json",
            "app",
        ] {
            assert!(!is_fit(bad, false), "{bad}");
        }
    }
}
