//! An authorization request, from its parameters to what the browser is shown or told (RFC 6749 §4.1, OpenID Connect Core
//! §3): sign in, agree, or go back to the client.
//!
//! Client and redirect URI come first: until both are beyond doubt, every refusal is a page of our own, and after that it
//! goes back to the client. A request that needs the person is sealed and travels with the browser; it comes back as it
//! was when it was judged first.
//! Not here: pages and cookies (`http`), codes and tokens (`issue`).

mod answer;
mod destination;
mod request;
mod request_object;

use std::sync::Arc;

use vestibule_protocol::authorization::{AuthorizationRequest, ResponseMode};
use vestibule_protocol::client_metadata::PkceRule;
use vestibule_protocol::pkce::Challenge;
use vestibule_protocol::{ClientType, ErrorCode, GrantType, OAuthError, Params, Scope};

pub use answer::Answer;
use destination::{Destination, destination_of};
pub use request::{ResumedRequest, push, read};

use crate::claims;
use crate::context::Context;
use crate::issue::{self, CodeRequest, IdToken};
use crate::limits;
use crate::session::Session;

use crate::store::application::Application;
use crate::store::consent;
use crate::store::token::TokenContext;

/// What comes of a request.
pub enum Outcome {
    /// The browser goes back to the client.
    Answer(Answer),
    /// The person must sign in first; the request waits, sealed.
    SignIn(String),
    /// The person must agree first.
    Consent(ConsentQuestion),
}

/// A request that waits for the person, as the sign-in page sees it.
pub struct Waiting {
    /// Who asks.
    pub application: Arc<Application>,
    /// Where the answer will go.
    pub redirect_uri: String,
    /// A name for the sign-in form.
    pub login_hint: String,
    /// The languages that the client would like, the best first.
    pub ui_locales: String,
    /// Whether whoever is signed in may go on without proving it again.
    pub may_continue: bool,
}

/// What the person is asked.
pub struct ConsentQuestion {
    /// The request, sealed: what leads back to it.
    pub resume: String,
    /// Who asks.
    pub application: Arc<Application>,
    /// Where the answer will go.
    pub redirect_uri: String,
    /// The languages that the client would like, the best first.
    pub ui_locales: String,
    /// Everything that would be allowed.
    pub scope: Scope,
    /// What was allowed before.
    pub before: Scope,
}

/// A request whose client, redirect URI and parameters are in order.
struct Judged {
    application: Arc<Application>,
    destination: Destination,
    request: AuthorizationRequest,
    challenge: Option<Challenge>,
    scope: Scope,
    resources: Vec<String>,
    dpop_jkt: Option<String>,
    max_age: Option<i64>,
}

/// Judges a request of somebody who may be signed in.
///
/// # Errors
/// A refusal for a page of our own: the client or its redirect URI is in doubt, or the request cannot be read at all.
pub async fn judge(cx: &Context, resumed: ResumedRequest, session: Option<&Session>) -> Result<Outcome, OAuthError> {
    let (application, destination) = destination_of(cx, &resumed.params).await?;
    match decide(cx, &resumed, application.clone(), destination.clone(), session).await {
        Ok(outcome) => Ok(outcome),
        Err(error) => Ok(Outcome::Answer(destination.refuse(cx, &application, error).await?)),
    }
}

async fn decide(
    cx: &Context,
    resumed: &ResumedRequest,
    application: Arc<Application>,
    destination: Destination,
    session: Option<&Session>,
) -> Result<Outcome, OAuthError> {
    let judged = examine(cx, resumed, application, destination).await?;
    let hinted = hinted_subject(cx, &judged, &resumed.params).await?;
    let signed_in = match session {
        Some(session) if !must_sign_in(cx, &judged, resumed, session, hinted.as_deref()).await? => session,
        _ if judged.request.prompt.none => {
            let sentence = "Nobody is signed in, or not as the request demands, and `prompt=none` allows no page.";
            return Err(OAuthError::new(ErrorCode::LoginRequired, sentence));
        }
        _ => return Ok(Outcome::SignIn(resumed.seal(cx)?)),
    };
    let before = consent::find(&cx.db, signed_in.user.id, judged.application.id).await?;
    let is_agreed = judged.application.skip_authorization || judged.scope.is_within(&before) && !before.is_empty();
    if !is_agreed || judged.request.prompt.consent {
        if judged.request.prompt.none {
            let sentence = "The person has not agreed to this, and `prompt=none` allows no page.";
            return Err(OAuthError::new(ErrorCode::ConsentRequired, sentence));
        }
        return Ok(Outcome::Consent(ConsentQuestion {
            resume: resumed.seal(cx)?,
            application: judged.application,
            redirect_uri: judged.destination.redirect_uri,
            ui_locales: text(&resumed.params, "ui_locales"),
            scope: judged.scope,
            before,
        }));
    }
    grant(cx, judged, signed_in).await.map(Outcome::Answer)
}

/// Goes on after the person was asked. Whoever is not signed in as the request demands any more is asked to sign in.
///
/// # Errors
/// As [`judge`].
pub async fn answer_consent(
    cx: &Context,
    resumed: ResumedRequest,
    session: &Session,
    is_allowed: bool,
) -> Result<Outcome, OAuthError> {
    let (application, destination) = destination_of(cx, &resumed.params).await?;
    let outcome = async {
        let judged = examine(cx, &resumed, application.clone(), destination.clone()).await?;
        if !is_allowed {
            return Err(OAuthError::new(ErrorCode::AccessDenied, "The person did not agree."));
        }
        let hinted = hinted_subject(cx, &judged, &resumed.params).await?;
        if must_sign_in(cx, &judged, &resumed, session, hinted.as_deref()).await? {
            return Ok(Outcome::SignIn(resumed.seal(cx)?));
        }
        consent::add(&cx.db, session.user.id, judged.application.id, &judged.scope, cx.clock.now()).await?;
        grant(cx, judged, session).await.map(Outcome::Answer)
    };
    match outcome.await {
        Ok(outcome) => Ok(outcome),
        Err(error) => Ok(Outcome::Answer(destination.refuse(cx, &application, error).await?)),
    }
}

/// Everything about a request that does not depend on the person.
async fn examine(
    cx: &Context,
    resumed: &ResumedRequest,
    application: Arc<Application>,
    destination: Destination,
) -> Result<Judged, OAuthError> {
    let params = &resumed.params;
    if let Some(error) = &resumed.refusal {
        return Err(error.to_error());
    }
    let request = AuthorizationRequest::read(params)?;
    ResponseMode::read(params.get("response_mode"), Some(request.response_type))?;
    may_ask(&application, &request)?;
    let metadata = &application.metadata;
    if metadata.require_pushed_authorization_requests && !resumed.is_pushed {
        return Err(OAuthError::invalid_request("This application must push its authorization requests (RFC 9126)."));
    }
    if metadata.require_signed_request_object && !resumed.is_signed {
        return Err(OAuthError::invalid_request("This application must sign its authorization requests (RFC 9101)."));
    }
    let challenge = Challenge::read(params, metadata.pkce == PkceRule::Plain)?;
    let is_free = metadata.pkce == PkceRule::Optional && application.client_type == ClientType::Confidential;
    if request.response_type.code && challenge.is_none() && !is_free {
        return Err(OAuthError::invalid_request(
            "A `code_challenge` is required: PKCE with `code_challenge_method=S256` (RFC 7636).",
        ));
    }
    let scope = match params.get("scope") {
        Some(text) => limits::scope(cx, &application, text)?,
        None => limits::default_scope(cx, &application),
    };
    if request.response_type.id_token && (!scope.contains("openid") || application.signing_algorithm == "none") {
        return Err(OAuthError::invalid_request(
            "An ID token needs the scope `openid`, and an application that has a signing algorithm.",
        ));
    }
    if !request.claims.essential_acr.is_empty() {
        let sentence = "This server knows no `acr` values, so an essential one cannot be met.";
        return Err(OAuthError::new(ErrorCode::UnmetAuthenticationRequirements, sentence));
    }
    let resources = limits::resources(cx, params)?;
    let dpop_jkt = params.get("dpop_jkt").map(str::to_owned).or_else(|| resumed.dpop_jkt.clone());
    let max_age = request.max_age.or(metadata.default_max_age);
    Ok(Judged { application, destination, request, challenge, scope, resources, dpop_jkt, max_age })
}

/// Whether the application was given what the response type stands for.
fn may_ask(application: &Application, request: &AuthorizationRequest) -> Result<(), OAuthError> {
    let needed = request.response_type.grant_type();
    let has = |grant: GrantType| application.grant_types.contains(&grant);
    // OpenID Connect Core §3.3: a hybrid application is an authorization code application too.
    match has(needed) || needed == GrantType::AuthorizationCode && has(GrantType::Hybrid) {
        true => Ok(()),
        false => {
            let sentence =
                format!("This application was not given `{}`, which this response type needs.", needed.as_str());
            Err(OAuthError::new(ErrorCode::UnauthorizedClient, sentence))
        }
    }
}

/// The subject that must be the one who is signed in: `id_token_hint`, or a `sub` among the claims.
async fn hinted_subject(cx: &Context, judged: &Judged, params: &Params) -> Result<Option<String>, OAuthError> {
    let Some(hint) = params.get("id_token_hint") else { return Ok(judged.request.claims.subject.clone()) };
    let hinted = claims::subject_of_hint(cx, &judged.application, hint).await?;
    hinted.map(|hinted| Some(hinted.subject)).ok_or_else(|| {
        OAuthError::invalid_request("`id_token_hint` is not an ID token that this server gave to this client.")
    })
}

/// Whether whoever is signed in must do so again, or somebody else.
async fn must_sign_in(
    cx: &Context,
    judged: &Judged,
    resumed: &ResumedRequest,
    session: &Session,
    hinted: Option<&str>,
) -> Result<bool, OAuthError> {
    // A sign-in after the request was made answers every demand for one.
    let is_fresh = resumed.started_at.is_some_and(|started_at| session.auth_time >= started_at);
    let prompt = judged.request.prompt;
    if !is_fresh && (prompt.login || prompt.select_account && !resumed.is_account_chosen) {
        return Ok(true);
    }
    let age = cx.clock.now() - session.auth_time;
    if !is_fresh && judged.max_age.is_some_and(|max_age| age > max_age || max_age == 0) {
        return Ok(true);
    }
    match hinted {
        Some(hinted) => {
            let is_other = claims::subject(cx, &judged.application, session.user.id).await? != hinted;
            if is_other && is_fresh {
                // Asking once more would change nothing (OpenID Connect Core §3.1.2.1).
                let sentence = "Somebody else has signed in than the one whom the request names.";
                return Err(OAuthError::new(ErrorCode::LoginRequired, sentence));
            }
            Ok(is_other)
        }
        None => Ok(false),
    }
}

/// A request that waits for the person to sign in.
///
/// # Errors
/// As [`judge`].
pub async fn waiting(cx: &Context, sealed: &str) -> Result<Waiting, OAuthError> {
    let resumed = ResumedRequest::open(cx, sealed)?;
    let (application, destination) = destination_of(cx, &resumed.params).await?;
    let prompt = resumed.params.get("prompt").unwrap_or_default();
    Ok(Waiting {
        application,
        redirect_uri: destination.redirect_uri,
        login_hint: text(&resumed.params, "login_hint"),
        ui_locales: text(&resumed.params, "ui_locales"),
        may_continue: prompt.split(' ').any(|word| word == "select_account")
            && !prompt.split(' ').any(|word| word == "login"),
    })
}

/// The same request after the person has chosen to go on as who they are.
///
/// # Errors
/// As [`judge`].
pub fn with_account_chosen(cx: &Context, sealed: &str) -> Result<String, OAuthError> {
    ResumedRequest { is_account_chosen: true, ..ResumedRequest::open(cx, sealed)? }.seal(cx)
}

fn text(params: &Params, name: &str) -> String {
    params.get(name).unwrap_or_default().chars().take(254).collect()
}

/// Gives what was asked for: a code, and for some response types tokens beside it or in its place.
async fn grant(cx: &Context, judged: Judged, session: &Session) -> Result<Answer, OAuthError> {
    let Judged { application, destination, request, challenge, scope, resources, dpop_jkt, .. } = judged;
    let context = TokenContext {
        resources,
        auth_time: Some(session.auth_time),
        amr: session.amr.clone(),
        nonce: request.nonce.clone(),
        id_token_claims: request.claims.id_token.clone(),
        userinfo_claims: request.claims.userinfo.clone(),
        ..TokenContext::default()
    };
    let wanted = request.response_type;
    let mut members: Vec<(&'static str, String)> = Vec::new();
    let must_be_bound = application.metadata.dpop_bound_access_tokens
        || application.metadata.tls_client_certificate_bound_access_tokens;
    if wanted.token && must_be_bound {
        let sentence = "This application's tokens are bound to a key, and none can be shown through the browser.";
        return Err(OAuthError::invalid_request(sentence));
    }
    // Whatever this request gives is one family: a replay of its code ends all of it, and so does a sign-out.
    let family = issue::new_family();
    let mut code = None;
    if wanted.code {
        let made = CodeRequest {
            application: &application,
            user: &session.user,
            redirect_uri: request.redirect_uri.as_deref().unwrap_or_default(),
            code_challenge: challenge.as_ref().map_or("", Challenge::as_str),
            bound_key: dpop_jkt.as_deref().unwrap_or_default(),
            scope: &scope,
            context: context.clone(),
            session: (&session.public_id, session.expires_at),
            family,
        };
        let plain = issue::code(cx, made).await?;
        members.push(("code", plain.reveal().to_owned()));
        code = Some(plain);
    }
    let mut access_token = None;
    if wanted.token {
        let approval = issue::Approval {
            application: &application,
            user: Some(&session.user),
            scope: scope.clone(),
            grant_type: GrantType::Implicit,
            context: context.clone(),
        };
        let tokens = issue::tokens_in(cx, approval, family, Some(session.public_id.clone())).await?;
        members.push(("access_token", tokens.access_token.reveal().to_owned()));
        members.push(("token_type", "Bearer".to_owned()));
        members.push(("expires_in", tokens.expires_in.to_string()));
        members.push(("scope", scope.to_string()));
        access_token = Some(tokens.access_token);
    }
    if wanted.id_token {
        let parts = IdToken {
            application: &application,
            user: &session.user,
            context: &context,
            session: Some(&session.public_id),
            // OpenID Connect Core §5.4: with no access token to ask with, the claims are here.
            scope: (!wanted.code && !wanted.token).then_some(&scope),
            access_token: access_token.as_ref().map(|token| token.reveal()),
            code: code.as_ref().map(|code| code.reveal()),
        };
        if let Some(id_token) = issue::id_token(cx, parts).await? {
            members.push(("id_token", id_token.reveal().to_owned()));
        }
    }
    if !wanted.code {
        issue::note_session(cx, session, &application).await?;
    }
    destination.answer(cx, &application, members).await
}
