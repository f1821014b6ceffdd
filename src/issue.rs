//! The only place where tokens are made.
//!
//! A sign-in begins a family; a refresh continues it. The pair that a refresh gives is derived from the refresh token that
//! was presented, by HMAC under a server key: a client that lost the answer gets the same pair again, from any node, and
//! nothing is kept in clear for that.
//! Not here: whether anything may be issued (`grant`).

use vestibule_protocol::{GrantType, OAuthError, PlainToken, Scope, TokenDigest, TokenKind};

use crate::context::{Context, random};
use crate::store::application::Application;
use crate::store::token::{self, NewToken, RefreshToken};
use crate::store::user::User;

/// What the token endpoint answers (RFC 6749 §5.1).
#[derive(Debug)]
pub struct TokenResponse {
    /// For the API.
    pub access_token: PlainToken,
    /// In seconds from now.
    pub expires_in: i64,
    /// What it is good for.
    pub scope: Scope,
    /// For the next refresh.
    pub refresh_token: Option<PlainToken>,
    /// Whom it speaks for.
    pub user_id: Option<i64>,
}

/// What was found good enough to issue for.
pub struct Approval<'a> {
    /// Whose client asks.
    pub application: &'a Application,
    /// Whom the tokens speak for; `None`: the application itself.
    pub user: Option<&'a User>,
    /// What they are good for.
    pub scope: Scope,
    /// By which grant.
    pub grant_type: GrantType,
}

/// Begins a family: an access token, and a refresh token if they speak for a person.
///
/// # Errors
/// What the database says.
pub async fn tokens(cx: &Context, approval: Approval<'_>) -> Result<TokenResponse, OAuthError> {
    let now = cx.clock.now();
    let access_token = PlainToken::new(TokenKind::AccessToken, &random());
    // RFC 6749 §4.4.3: a client that speaks for itself can ask again, and gets no refresh token.
    let refresh_token = approval.user.map(|_| PlainToken::new(TokenKind::RefreshToken, &random()));
    let new = NewToken {
        family: i64::from_le_bytes(random()) & i64::MAX,
        generation: 0,
        grant_type: approval.grant_type,
        application_id: approval.application.id,
        application_epoch: approval.application.token_epoch,
        user_id: approval.user.map(|user| user.id),
        user_epoch: approval.user.map_or(0, |user| user.token_epoch),
        scope: approval.scope.clone(),
        access_digest: access_token.digest(),
        access_expires_at: now + access_ttl(cx),
        refresh: refresh_token.as_ref().map(|token| (token.digest(), now + refresh_ttl(cx))),
        created_at: now,
    };
    token::insert(&cx.db, new).await?;
    cx.metrics.issued(approval.grant_type);
    Ok(TokenResponse {
        access_token,
        expires_in: access_ttl(cx),
        scope: approval.scope,
        refresh_token,
        user_id: approval.user.map(|user| user.id),
    })
}

/// What became of a presented refresh token.
enum Rotation {
    /// It was used now, or is asked again within the grace: its successor.
    Next { scope: Scope, access_expires_at: i64, user_id: Option<i64> },
    /// It is not good, and nothing follows from that.
    Refused,
    /// It was used before: its family has ended.
    Replayed,
    /// More was asked for than it has.
    WiderScope,
}

/// Continues a family (RFC 6749 §6, RFC 9700 §4.14). `scope` narrows; `None` keeps what there was.
///
/// # Errors
/// `invalid_grant` for a token that is unknown, expired, revoked, used before or another application's; `invalid_scope` for
/// a scope that it does not have.
pub async fn refresh(
    cx: &Context,
    application: &Application,
    presented: &str,
    scope: Option<Scope>,
) -> Result<TokenResponse, OAuthError> {
    let refused = || OAuthError::invalid_grant("The refresh token is unknown, expired, revoked or was used before.");
    let digest = TokenDigest::of_presented(TokenKind::RefreshToken, presented).ok_or_else(refused)?;
    let rotate = cx.settings.tokens.rotate_refresh_tokens;
    let (access_token, refresh_token) = if rotate {
        let derived = |kind, purpose| PlainToken::new(kind, &cx.keys.derive(purpose, presented.as_bytes()));
        (
            derived(TokenKind::AccessToken, "access token of a refresh"),
            Some(derived(TokenKind::RefreshToken, "refresh token of a refresh")),
        )
    } else {
        (PlainToken::new(TokenKind::AccessToken, &random()), None)
    };
    let attempt = Attempt {
        presented: digest,
        application_id: application.id,
        scope,
        access: access_token.digest(),
        refresh: refresh_token.as_ref().map(PlainToken::digest),
        access_ttl: access_ttl(cx),
        refresh_ttl: refresh_ttl(cx),
        grace: i64::try_from(cx.settings.tokens.refresh_grace.as_secs()).unwrap_or(i64::MAX),
        now: cx.clock.now(),
    };
    let now = attempt.now;
    let rotation = cx.db.write(move |tx| Box::pin(async move { attempt.run(tx).await })).await?;
    match rotation {
        Rotation::Next { scope, access_expires_at, user_id } => {
            cx.metrics.issued(GrantType::RefreshToken);
            // Whoever does not rotate goes on with the refresh token that they have.
            let refresh_token =
                refresh_token.or_else(|| PlainToken::from_presented(TokenKind::RefreshToken, presented));
            Ok(TokenResponse { access_token, expires_in: access_expires_at - now, scope, refresh_token, user_id })
        }
        Rotation::Refused => Err(refused()),
        Rotation::Replayed => {
            cx.metrics.refresh_replayed();
            Err(refused().with_cause("a refresh token was used twice; its family was revoked"))
        }
        Rotation::WiderScope => Err(OAuthError::invalid_scope("The scope asks for more than the refresh token has.")),
    }
}

/// One presented refresh token, and what would follow from it.
struct Attempt {
    presented: TokenDigest,
    application_id: i64,
    scope: Option<Scope>,
    access: TokenDigest,
    /// `None`: the presented one stays in use.
    refresh: Option<TokenDigest>,
    access_ttl: i64,
    refresh_ttl: i64,
    grace: i64,
    now: i64,
}

impl Attempt {
    async fn run(self, tx: &mut crate::store::Tx<'_>) -> crate::store::Result<Rotation> {
        if let Some(scope) = &self.scope {
            // Looked at first, so that a refusal leaves the token as it was.
            let Some(token) = token::find_refresh(tx, self.presented, self.application_id).await? else {
                return Ok(Rotation::Refused);
            };
            if !scope.is_within(&token.scope) {
                return Ok(Rotation::WiderScope);
            }
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

    async fn continue_family(
        self,
        tx: &mut crate::store::Tx<'_>,
        token: RefreshToken,
    ) -> crate::store::Result<Rotation> {
        let access_expires_at = self.now + self.access_ttl;
        let scope = self.scope.unwrap_or(token.scope);
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
        };
        token::insert_in(tx, new).await?;
        Ok(Rotation::Next { scope, access_expires_at, user_id: token.user_id })
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
            && self.scope.as_ref().is_none_or(|scope| scope.is_same_set(&next.scope))
            && token::still_stands(tx, &next).await?
        {
            return Ok(Rotation::Next {
                scope: next.scope,
                access_expires_at: next.access_expires_at,
                user_id: next.user_id,
            });
        }
        token::revoke_family(tx, token.family, self.now).await?;
        Ok(Rotation::Replayed)
    }
}

fn access_ttl(cx: &Context) -> i64 {
    i64::try_from(cx.settings.tokens.access_token_ttl.as_secs()).unwrap_or(i64::MAX / 4)
}

fn refresh_ttl(cx: &Context) -> i64 {
    i64::try_from(cx.settings.tokens.refresh_token_ttl.as_secs()).unwrap_or(i64::MAX / 4)
}
