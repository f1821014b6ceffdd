//! Authorization codes: made at the end of an authorization request, redeemed once (RFC 6749 §4.1).

use vestibule_protocol::{ErrorCode, GrantType, OAuthError, PlainToken, Scope, TokenDigest, TokenKind};

use super::{Approval, IdToken, Pair, TokenResponse, access_ttl, id_token};
use crate::context::{Context, random};
use crate::sender::Sender;
use crate::statistics;
use crate::store::application::Application;
use crate::store::code::{self, NewCode, Redemption};
use crate::store::session::{self, Session};
use crate::store::token::{self, TokenContext};
use crate::store::user::{self, User};

/// What a code is made for.
pub struct CodeRequest<'a> {
    /// Whose client asks.
    pub application: &'a Application,
    /// Who has signed in.
    pub user: &'a User,
    /// As the request named it; empty where it named none.
    pub redirect_uri: &'a str,
    /// The stored form of the challenge; empty where there is none.
    pub code_challenge: &'a str,
    /// The thumbprint of the DPoP key that must redeem it (RFC 9449 §10); empty: any may.
    pub bound_key: &'a str,
    /// What was allowed.
    pub scope: &'a Scope,
    /// What its tokens are bound to.
    pub context: TokenContext,
    /// `sid`, and the session's end in seconds since 1970.
    pub session: (&'a str, i64),
    /// The family that its tokens will be.
    pub family: i64,
}

/// Makes a code, and notes that the session was used for this application.
///
/// # Errors
/// What the database says.
pub async fn code(cx: &Context, request: CodeRequest<'_>) -> Result<PlainToken, OAuthError> {
    let now = cx.clock.now();
    let ttl = i64::try_from(cx.settings.authorization.code_ttl.as_secs()).unwrap_or(60);
    let plain = PlainToken::new(TokenKind::AuthorizationCode, &random());
    let (session, session_end) = (request.session.0.to_owned(), request.session.1);
    let new = NewCode {
        digest: plain.digest(),
        application_id: request.application.id,
        application_epoch: request.application.token_epoch,
        user_id: request.user.id,
        user_epoch: request.user.token_epoch,
        redirect_uri: request.redirect_uri.to_owned(),
        code_challenge: request.code_challenge.to_owned(),
        bound_key: request.bound_key.to_owned(),
        scope: request.scope.clone(),
        context: request.context,
        session: Some(session.clone()),
        family: request.family,
        redeemable_until: now + ttl,
        // A replay is seen for as long as the first redemption's access token could be of use to the thief.
        expires_at: now + ttl + access_ttl(cx),
    };
    let (application_id, user_id) = (new.application_id, new.user_id);
    cx.db
        .write(move |tx| {
            Box::pin(async move {
                code::insert(tx, new).await?;
                session::note_application(tx, &session, application_id, user_id, session_end).await
            })
        })
        .await?;
    Ok(plain)
}

/// Notes that a session was used for an application without a code: for the implicit answers.
///
/// # Errors
/// What the database says.
pub async fn note_session(cx: &Context, used: &Session, application: &Application) -> Result<(), OAuthError> {
    let (public_id, application_id, user_id, end) =
        (used.public_id.clone(), application.id, used.user.id, used.expires_at);
    let note = cx.db.write(move |tx| {
        Box::pin(async move { session::note_application(tx, &public_id, application_id, user_id, end).await })
    });
    Ok(note.await?)
}

/// What became of a presented code.
enum Redeemed {
    Now(Box<code::RedeemedCode>),
    Before,
    Refused,
    /// A token for an API that the request was not for (RFC 8707 §2.2).
    OtherResource,
}

/// Redeems a code for its family's first pair (RFC 6749 §4.1.3). `challenges` are what its verifier answers.
///
/// # Errors
/// `invalid_grant` for a code that is unknown, expired, another application's, of another redirect URI or verifier, or used
/// before; in that last case what the first redemption issued ends (RFC 9700 §4.5).
pub async fn redeem(
    cx: &Context,
    application: &Application,
    presented: &str,
    redirect_uri: &str,
    challenges: [String; 2],
    resources: &[String],
    sender: &Sender,
) -> Result<TokenResponse, OAuthError> {
    let refused = || {
        OAuthError::invalid_grant(
            "The code is unknown, expired, used before, or of another client, redirect URI, code verifier or DPoP key.",
        )
    };
    let digest = TokenDigest::of_presented(TokenKind::AuthorizationCode, presented).ok_or_else(refused)?;
    let now = cx.clock.now();
    let redemption = Redemption {
        digest,
        application_id: application.id,
        redirect_uri: redirect_uri.to_owned(),
        challenges,
        key: sender.jkt.clone().unwrap_or_default(),
    };
    let placeholder = Approval {
        application,
        user: None,
        scope: Scope::default(),
        grant_type: GrantType::AuthorizationCode,
        context: TokenContext::default(),
    };
    let refreshes = application.may_use(GrantType::RefreshToken);
    let pair = Pair::begin(cx, &placeholder, refreshes);
    let mut new = pair.to_store(&placeholder, 0, None);
    let (jkt, certificate) = (sender.jkt.clone(), sender.certificate.clone());
    let binds_certificate = application.metadata.tls_client_certificate_bound_access_tokens;
    let application_id = application.id;
    let resources = resources.to_vec();
    let redeemed = cx
        .db
        .write(move |tx| {
            Box::pin(async move {
                let Some(mut redeemed) = code::redeem(tx, &redemption, now).await? else {
                    return match code::redeemed_before(tx, digest, application_id).await? {
                        Some(family) => {
                            token::revoke_family(tx, family, now).await?;
                            Ok(Redeemed::Before)
                        }
                        None => Ok(Redeemed::Refused),
                    };
                };
                let asked = &redeemed.context.resources;
                if !asked.is_empty() && !resources.iter().all(|resource| asked.contains(resource)) {
                    return Ok(Redeemed::OtherResource);
                }
                if !resources.is_empty() {
                    redeemed.context.resources = resources;
                }
                redeemed.context.jkt = jkt;
                redeemed.context.certificate = certificate.filter(|_| binds_certificate);
                new.family = redeemed.family;
                new.application_epoch = redeemed.application_epoch;
                new.user_id = Some(redeemed.user_id);
                new.user_epoch = redeemed.user_epoch;
                new.scope = redeemed.scope.clone();
                new.context = Some(TokenContext { nonce: None, ..redeemed.context.clone() });
                new.session.clone_from(&redeemed.session);
                token::insert_in(tx, new).await?;
                Ok(Redeemed::Now(Box::new(redeemed)))
            })
        })
        .await?;
    let redeemed = match redeemed {
        Redeemed::Now(redeemed) => *redeemed,
        Redeemed::Before => {
            cx.metrics.code_replayed();
            return Err(refused().with_cause("a code was redeemed twice; what the first redemption issued has ended"));
        }
        Redeemed::Refused => return Err(refused()),
        Redeemed::OtherResource => {
            let sentence = "The authorization request was not for this `resource`; the code is spent.";
            return Err(OAuthError::new(ErrorCode::InvalidTarget, sentence));
        }
    };
    statistics::issued(cx, application.id, GrantType::AuthorizationCode);
    let user = user::find(&cx.db, redeemed.user_id).await?.ok_or_else(refused)?;
    let code::RedeemedCode { scope, context, session, .. } = redeemed;
    let approval = Approval { user: Some(&user), scope, context: context.clone(), ..placeholder };
    let mut response = pair.into_response(cx, approval).await?;
    response.id_token = id_token_beside(cx, application, &user, &context, session.as_deref(), &response).await?;
    Ok(response)
}

/// The ID token that goes with an answer of the token endpoint, if the scope asks for one.
pub(super) async fn id_token_beside(
    cx: &Context,
    application: &Application,
    user: &User,
    context: &TokenContext,
    session: Option<&str>,
    response: &TokenResponse,
) -> Result<Option<PlainToken>, OAuthError> {
    if !response.scope.contains("openid") {
        return Ok(None);
    }
    let access_token = Some(response.access_token.reveal());
    id_token(cx, IdToken { application, user, context, session, scope: None, access_token, code: None }).await
}
