//! Continuing a family (RFC 6749 §6, RFC 9700 §4.14).
//!
//! The pair that a refresh gives is derived from the refresh token that was presented, by HMAC under a server key: a client
//! that lost the answer gets the same pair again, from any node, and nothing is kept in clear for that.

use vestibule_protocol::{ClientType, ErrorCode, GrantType, OAuthError, PlainToken, Scope, TokenDigest, TokenKind};

use super::{Access, IdToken, TokenResponse, access_ttl, id_token, refresh_ttl};
use crate::context::{Context, random};
use crate::sender::Sender;
use crate::statistics;
use crate::store::application::Application;
use crate::store::token::{self, NewToken, RefreshToken, TokenContext};
use crate::store::user;

/// What became of a presented refresh token.
enum Rotation {
    /// It was used now, or is asked again within the grace: its successor.
    Next(Box<Successor>),
    /// It is not good, and nothing follows from that.
    Refused,
    /// It was used before: its family has ended.
    Replayed,
    /// More was asked for than it has.
    WiderScope,
    /// A token for an API that the family is not for (RFC 8707 §2.2).
    OtherResource,
    /// It is bound to a key that was not shown.
    OtherSender,
}

/// What a refresh gives.
struct Successor {
    scope: Scope,
    created_at: i64,
    access_expires_at: i64,
    user_id: Option<i64>,
    context: Option<TokenContext>,
    session: Option<String>,
}

/// What a refresh asks for beside the token itself.
#[derive(Clone, Debug, Default)]
pub struct Refresh {
    /// Narrows; `None` keeps what there was.
    pub scope: Option<Scope>,
    /// The APIs of the new access token; empty keeps what there was.
    pub resources: Vec<String>,
    /// Who asks.
    pub sender: Sender,
}

/// Continues a family (RFC 6749 §6, RFC 9700 §4.14).
///
/// # Errors
/// `invalid_grant` for a token that is unknown, expired, revoked, used before or another application's; `invalid_scope` and
/// `invalid_target` for what it does not have; `invalid_dpop_proof` where it is bound to another key.
pub async fn refresh(
    cx: &Context,
    application: &Application,
    presented: &str,
    wanted: Refresh,
) -> Result<TokenResponse, OAuthError> {
    let refused = || OAuthError::invalid_grant("The refresh token is unknown, expired, revoked or was used before.");
    let digest = TokenDigest::of_presented(TokenKind::RefreshToken, presented).ok_or_else(refused)?;
    let derive = |purpose| cx.keys.derive(purpose, presented.as_bytes());
    let (access, refresh_token) = if cx.settings.tokens.rotate_refresh_tokens {
        let refresh_token = PlainToken::new(TokenKind::RefreshToken, &derive("refresh token of a refresh"));
        (Access::new(cx, application, &derive("access token of a refresh")), Some(refresh_token))
    } else {
        (Access::new(cx, application, &random()), None)
    };
    let attempt = Attempt {
        presented: digest,
        application_id: application.id,
        is_public: application.client_type == ClientType::Public,
        must_be_bound: application.metadata.dpop_bound_access_tokens,
        wanted,
        access: access.digest(),
        access_hint: access.hint(),
        refresh: refresh_token.as_ref().map(PlainToken::digest),
        access_ttl: access_ttl(cx),
        refresh_ttl: refresh_ttl(cx),
        grace: i64::try_from(cx.settings.tokens.refresh_grace.as_secs()).unwrap_or(i64::MAX),
        now: cx.clock.now(),
    };
    let now = attempt.now;
    let rotation = cx.db.write(move |tx| Box::pin(async move { attempt.run(tx).await })).await?;
    match rotation {
        Rotation::Next(next) => {
            statistics::issued(cx, application.id, GrantType::RefreshToken);
            // Whoever does not rotate goes on with the refresh token that they have.
            let refresh_token =
                refresh_token.or_else(|| PlainToken::from_presented(TokenKind::RefreshToken, presented));
            respond(cx, application, access, refresh_token, *next, now).await
        }
        Rotation::Refused => Err(refused()),
        Rotation::Replayed => {
            cx.metrics.refresh_replayed();
            Err(refused().with_cause("a refresh token was used twice; its family was revoked"))
        }
        Rotation::WiderScope => Err(OAuthError::invalid_scope("The scope asks for more than the refresh token has.")),
        Rotation::OtherResource => Err(OAuthError::new(
            ErrorCode::InvalidTarget,
            "The refresh token was not given for this `resource` (RFC 8707 §2.2).",
        )),
        Rotation::OtherSender => Err(OAuthError::new(
            ErrorCode::InvalidDpopProof,
            "The refresh token is bound to a key: send a DPoP proof by that key (RFC 9449 §5).",
        )),
    }
}

async fn respond(
    cx: &Context,
    application: &Application,
    access: Access,
    refresh_token: Option<PlainToken>,
    next: Successor,
    now: i64,
) -> Result<TokenResponse, OAuthError> {
    let Successor { scope, created_at, access_expires_at, user_id, context, session } = next;
    let times = (created_at, access_expires_at);
    let access_token = access.into_token(cx, application, user_id, &scope, context.as_ref(), times).await?;
    let is_dpop = context.as_ref().is_some_and(|context| context.jkt.is_some());
    // OpenID Connect Core §12.2: about the same sign-in, without its nonce.
    let id_token = match (user_id, context.filter(|context| context.auth_time.is_some() && scope.contains("openid"))) {
        (Some(user_id), Some(context)) => match user::find(&cx.db, user_id).await? {
            Some(user) => {
                let access_token = Some(access_token.reveal());
                let parts = IdToken {
                    application,
                    user: &user,
                    context: &context,
                    session: session.as_deref(),
                    scope: None,
                    access_token,
                    code: None,
                };
                id_token(cx, parts).await?
            }
            None => None,
        },
        _ => None,
    };
    Ok(TokenResponse {
        access_token,
        expires_in: access_expires_at - now,
        scope,
        refresh_token,
        id_token,
        is_dpop,
        issued_token_type: None,
        user_id,
    })
}

/// One presented refresh token, and what would follow from it.
struct Attempt {
    presented: TokenDigest,
    application_id: i64,
    is_public: bool,
    must_be_bound: bool,
    wanted: Refresh,
    access: TokenDigest,
    access_hint: String,
    /// `None`: the presented one stays in use.
    refresh: Option<TokenDigest>,
    access_ttl: i64,
    refresh_ttl: i64,
    grace: i64,
    now: i64,
}

impl Attempt {
    async fn run(self, tx: &mut crate::store::Tx<'_>) -> crate::store::Result<Rotation> {
        // Looked at first, so that a refusal leaves the token as it was.
        if let Some(token) = token::find_refresh(tx, self.presented, self.application_id).await?
            && token.consumed_at.is_none()
            && let Some(refusal) = self.refuse(&token)
        {
            return Ok(refusal);
        }
        let taken = match self.refresh {
            Some(_) => token::consume_refresh(tx, self.presented, self.application_id, self.now).await?,
            None => token::hold_refresh(tx, self.presented, self.application_id, self.now).await?,
        };
        match taken {
            Some(token) => self.continue_family(tx, token).await,
            None => self.ask_again(tx).await,
        }
    }

    /// What is wrong with asking this of that token.
    fn refuse(&self, token: &RefreshToken) -> Option<Rotation> {
        if self.wanted.scope.as_ref().is_some_and(|scope| !scope.is_within(&token.scope)) {
            return Some(Rotation::WiderScope);
        }
        let empty = TokenContext::default();
        let context = token.context.as_ref().unwrap_or(&empty);
        if !self.wanted.resources.iter().all(|resource| context.resources.contains(resource)) {
            return Some(Rotation::OtherResource);
        }
        let Sender { jkt, certificate } = &self.wanted.sender;
        // RFC 9449 §5: a public client's refresh token is bound to its key; a confidential client, which proves who it is
        // otherwise, may change keys, but not go back to none.
        let other_key = context.jkt.is_some() && (jkt.is_none() || self.is_public && *jkt != context.jkt);
        let other_certificate = context.certificate.is_some() && *certificate != context.certificate;
        let unbound = self.must_be_bound && jkt.is_none();
        (other_key || other_certificate || unbound).then_some(Rotation::OtherSender)
    }

    fn next_context(&self, before: Option<&TokenContext>) -> Option<TokenContext> {
        let mut context = before.cloned().unwrap_or_default();
        context.jkt.clone_from(&self.wanted.sender.jkt);
        if !self.wanted.resources.is_empty() {
            context.resources.clone_from(&self.wanted.resources);
        }
        (context != TokenContext::default()).then_some(context)
    }

    async fn continue_family(
        self,
        tx: &mut crate::store::Tx<'_>,
        token: RefreshToken,
    ) -> crate::store::Result<Rotation> {
        let access_expires_at = self.now + self.access_ttl;
        let context = self.next_context(token.context.as_ref());
        // What was narrowed stays narrow: the next refresh goes by this one's scope and APIs.
        let scope = self.wanted.scope.unwrap_or(token.scope);
        let new = NewToken {
            family: token.family,
            generation: token.generation + 1,
            grant_type: token.grant_type,
            application_id: token.application_id,
            application_epoch: token.application_epoch,
            user_id: token.user_id,
            user_epoch: token.user_epoch,
            scope: scope.clone(),
            access_digest: self.access,
            access_expires_at,
            refresh: self.refresh.map(|digest| (digest, self.now + self.refresh_ttl)),
            created_at: self.now,
            context: context.clone(),
            session: token.session.clone(),
            access_hint: self.access_hint,
        };
        token::insert_in(tx, new).await?;
        Ok(Rotation::Next(Box::new(Successor {
            scope,
            created_at: self.now,
            access_expires_at,
            user_id: token.user_id,
            context,
            session: token.session,
        })))
    }

    /// The token could not be taken. If it was used just now and what it gave is still unused, its client lost the answer;
    /// if it was used otherwise, it was copied.
    async fn ask_again(self, tx: &mut crate::store::Tx<'_>) -> crate::store::Result<Rotation> {
        let Some(token) = token::find_refresh(tx, self.presented, self.application_id).await? else {
            return Ok(Rotation::Refused);
        };
        let Some(consumed_at) = token.consumed_at.filter(|_| token.revoked_at.is_none()) else {
            return Ok(Rotation::Refused);
        };
        if self.grace > 0
            && self.now - consumed_at < self.grace
            && let Some(refresh) = self.refresh
            && let Some(next) = token::find_refresh(tx, refresh, self.application_id).await?
            && next.consumed_at.is_none()
            && next.revoked_at.is_none()
            && token::still_stands(tx, &next).await?
        {
            // Asked again otherwise, it is not the lost answer; but not a copy either as long as its successor is unused.
            if self.wanted.scope.as_ref().is_some_and(|scope| !scope.is_same_set(&next.scope)) {
                return Ok(Rotation::Refused);
            }
            let bound = next.context.as_ref().and_then(|context| context.jkt.as_ref());
            if bound != self.wanted.sender.jkt.as_ref() {
                return Ok(Rotation::OtherSender);
            }
            return Ok(Rotation::Next(Box::new(Successor {
                scope: next.scope,
                created_at: next.created_at,
                access_expires_at: next.access_expires_at,
                user_id: next.user_id,
                context: next.context,
                session: next.session,
            })));
        }
        token::revoke_family(tx, token.family, self.now).await?;
        Ok(Rotation::Replayed)
    }
}
