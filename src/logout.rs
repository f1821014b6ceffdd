//! Signing out: RP-initiated (OpenID Connect RP-Initiated Logout), and how the other applications of the session are told
//! (Back-Channel and Front-Channel Logout).

use std::sync::Arc;

use serde_json::json;
use vestibule_protocol::authorization::{Carrier, with_members};
use vestibule_protocol::jwt::{Jwt, encode_part};
use vestibule_protocol::{OAuthError, Params};

use crate::claims::{self, Hinted};
use crate::client;
use crate::context::{Context, Ctx, random};
use crate::issue;
use crate::session::Session;
use crate::store::application::{self, Application};
use crate::store::{logout_notice, session, token};

/// How long a sign-out is told again, in seconds, and how long a logout token counts.
const TOLD_FOR: i64 = 86_400;
const TOKEN_TTL: i64 = 120;

/// A request to sign out that is in order.
#[derive(Clone, Debug)]
pub struct LogoutRequest {
    /// Whose application asks, if it says so.
    pub application: Option<Arc<Application>>,
    /// Where the browser goes afterwards.
    pub redirect_uri: Option<String>,
    /// The client's own, given back.
    pub state: Option<String>,
    hint: Option<Hinted>,
}

/// Reads a request to sign out. Whatever about it is wrong, nobody is sent anywhere.
///
/// # Errors
/// For a page of our own: a hint that is not ours, a client that is not the hint's, an address that is not registered.
pub async fn read(cx: &Context, params: &Params) -> Result<LogoutRequest, OAuthError> {
    let hint = params.get("id_token_hint");
    let audience = hint.and_then(audience_of);
    let client_id = params.get("client_id").map(str::to_owned).or_else(|| audience.clone());
    let application = match &client_id {
        Some(client_id) => client::find(cx, client_id).await?.filter(|application| application.is_active),
        None => None,
    };
    if client_id.is_some() && application.is_none() {
        return Err(OAuthError::invalid_request("No application has this client id.").with_field("client_id"));
    }
    let hinted = match (hint, &application) {
        (Some(hint), Some(application)) => {
            let hinted = claims::subject_of_hint(cx, application, hint).await?;
            Some(hinted.ok_or_else(bad_hint)?)
        }
        (Some(_), None) => return Err(bad_hint()),
        (None, _) => None,
    };
    let redirect_uri = match (params.get("post_logout_redirect_uri"), &application) {
        (None, _) => None,
        // Letter by letter, and only for a client that is known (RP-Initiated Logout §3).
        (Some(uri), Some(application)) if application.post_logout_redirect_uris.iter().any(|own| own == uri) => {
            Some(uri.to_owned())
        }
        (Some(_), Some(_)) => {
            let sentence = "This `post_logout_redirect_uri` is not one that the application has registered. It is compared letter by letter.";
            return Err(OAuthError::invalid_request(sentence).with_field("post_logout_redirect_uri"));
        }
        (Some(_), None) => {
            let sentence = "A `post_logout_redirect_uri` needs `id_token_hint` or `client_id`, to know whose it is.";
            return Err(OAuthError::invalid_request(sentence).with_field("id_token_hint"));
        }
    };
    let state = params.get("state").map(str::to_owned);
    Ok(LogoutRequest { application, redirect_uri, state, hint: hinted })
}

fn bad_hint() -> OAuthError {
    OAuthError::invalid_request("`id_token_hint` is not an ID token that this server gave to this client.")
        .with_field("id_token_hint")
}

/// Whose a token says it is; nothing of it is believed yet.
fn audience_of(hint: &str) -> Option<String> {
    Jwt::parse(hint)?.text("aud").map(str::to_owned)
}

impl LogoutRequest {
    /// Whether the person must be asked: a request that does not show an ID token of the very session could be anybody's
    /// (RP-Initiated Logout §2).
    pub fn must_ask(&self, session: &Session) -> bool {
        self.hint.as_ref().is_none_or(|hint| hint.session.as_deref() != Some(session.public_id.as_str()))
    }

    /// Where the browser goes.
    pub fn location(&self) -> Option<String> {
        let uri = self.redirect_uri.as_deref()?;
        Some(match &self.state {
            Some(state) => with_members(uri, Carrier::Query, &[("state", state.clone())]),
            None => uri.to_owned(),
        })
    }
}

/// Ends a session and has every application that it was used for told. Gives the addresses that the browser must load
/// (Front-Channel Logout §2).
///
/// # Errors
/// What the database says.
pub async fn end(cx: &Ctx, session: &Session, asked_by: Option<&Application>) -> Result<Vec<String>, OAuthError> {
    let now = cx.clock.now();
    session::end(&cx.db, session.id, session.user.id).await?;
    if let Some(application) = asked_by {
        token::revoke_session(&cx.db, session.user.id, application.id, &session.public_id, now).await?;
    }
    tell(cx, &session.public_id, session.user.id).await
}

/// Tells every application that this session was used for.
///
/// # Errors
/// What the database says.
pub async fn tell(cx: &Ctx, public_id: &str, user_id: i64) -> Result<Vec<String>, OAuthError> {
    let now = cx.clock.now();
    let mut frames = Vec::new();
    let mut is_due = false;
    for application_id in session::take_applications(&cx.db, public_id).await? {
        let Some(application) = application::find_by_id(&cx.db, application_id).await? else { continue };
        if application.metadata.backchannel_logout_uri.is_some() {
            logout_notice::insert(&cx.db, application.id, user_id, public_id, now, now + TOLD_FOR).await?;
            is_due = true;
        }
        if let Some(uri) = &application.metadata.frontchannel_logout_uri {
            frames.push(frame(cx, &application, uri, public_id));
        }
    }
    if is_due {
        // Told at once, beside the answer; what does not arrive is told again by the clean-up's turn.
        let cx = cx.clone();
        tokio::spawn(async move {
            if let Err(error) = deliver_due(&cx).await {
                tracing::warn!(error = ?error, "could not tell applications of a sign-out; trying again later");
            }
        });
    }
    Ok(frames)
}

/// Tells every application that a person's sessions were used for, but for the session with this `sid`.
///
/// # Errors
/// What the database says.
pub async fn tell_all(cx: &Ctx, user_id: i64, keep: Option<&str>) -> Result<(), OAuthError> {
    for public_id in session::used_of(&cx.db, user_id).await? {
        if keep != Some(public_id.as_str()) {
            tell(cx, &public_id, user_id).await?;
        }
    }
    Ok(())
}

fn frame(cx: &Context, application: &Application, uri: &str, public_id: &str) -> String {
    if !application.metadata.frontchannel_logout_session_required {
        return uri.to_owned();
    }
    let members = [("iss", cx.issuer()), ("sid", public_id.to_owned())];
    with_members(uri, Carrier::Query, &members)
}

/// Delivers the notices that are due. One that does not arrive is tried again, less and less often, for a day.
///
/// # Errors
/// What the database says.
pub async fn deliver_due(cx: &Context) -> Result<(), OAuthError> {
    loop {
        let now = cx.clock.now();
        // Whoever takes a notice has a minute for it before another node may.
        let notices = logout_notice::take_due(&cx.db, now, now + 60).await?;
        if notices.is_empty() {
            return Ok(());
        }
        for notice in notices {
            let application = application::find_by_id(&cx.db, notice.application_id).await?;
            let application = application.filter(|application| application.is_active);
            let uri = application.as_ref().and_then(|application| application.metadata.backchannel_logout_uri.clone());
            let (Some(application), Some(uri)) = (application, uri) else {
                logout_notice::delete(&cx.db, notice.id).await?;
                continue;
            };
            // What is wrong with one application must not keep the others from being told.
            let sent = match logout_token(cx, &application, notice.user_id, &notice.session).await {
                Ok(token) => cx.upstream.send_logout_token(&uri, &token).await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match sent {
                Ok(()) => logout_notice::delete(&cx.db, notice.id).await?,
                Err(error) => {
                    let wait = 30_i64 << notice.tries.clamp(0, 10);
                    tracing::warn!(client_id = application.client_id, error = %error, "an application was not told of a sign-out");
                    logout_notice::put_off(&cx.db, notice.id, now + wait).await?;
                }
            }
        }
    }
}

/// A logout token (Back-Channel Logout §2.4).
async fn logout_token(
    cx: &Context,
    application: &Application,
    user_id: i64,
    public_id: &str,
) -> Result<String, OAuthError> {
    let now = cx.clock.now();
    let claims = json!({
        "iss": cx.issuer(),
        "sub": claims::subject(cx, application, user_id).await?,
        "aud": application.client_id,
        "iat": now,
        "exp": now + TOKEN_TTL,
        "jti": encode_part(&random::<16>()),
        "sid": public_id,
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    let algorithm = if application.signing_algorithm == "none" { "RS256" } else { &application.signing_algorithm };
    issue::sign_for(cx, application, algorithm, "logout+jwt", &claims).await
}
