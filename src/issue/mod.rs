//! The only place where tokens are made.
//!
//! A sign-in begins a family; a refresh continues it (`refresh`). An authorization code is a promise of a family (`code`).
//! Not here: whether anything may be issued (`grant`, `authorize`).

mod code;
mod id_token;
mod refresh;

use vestibule_protocol::client_metadata::AccessTokenFormat;
use vestibule_protocol::{GrantType, OAuthError, PlainToken, Scope, TokenDigest, TokenKind, hex};

pub use code::{CodeRequest, code, note_session, redeem};
pub use id_token::{ID_TOKEN_TTL, IdToken, confirmation, id_token, sign_for};
pub use refresh::{Refresh, refresh};

use crate::context::{Context, random};
use crate::sender::Sender;
use crate::statistics;
use crate::store::application::Application;
use crate::store::code::RedeemedCode;
use crate::store::token::{self, AccessToken, NewToken, TokenContext};
use crate::store::user::{self, User};

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
    /// Who has signed in, for the client (OpenID Connect Core §3.1.3.3).
    pub id_token: Option<PlainToken>,
    /// Whether the access token is bound to a DPoP key: `token_type` says so.
    pub is_dpop: bool,
    /// What kind of token this is, where one was exchanged (RFC 8693 §2.2.1).
    pub issued_token_type: Option<&'static str>,
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
    /// What they are bound to.
    pub context: TokenContext,
}

/// Begins a family: an access token, and a refresh token if they speak for a person and the application may use one.
///
/// # Errors
/// What the database says.
pub async fn tokens(cx: &Context, approval: Approval<'_>) -> Result<TokenResponse, OAuthError> {
    tokens_in(cx, approval, new_family(), None).await
}

/// As [`tokens`], for a family that has a number already, in the browser session with this `sid`.
///
/// # Errors
/// What the database says.
pub async fn tokens_in(
    cx: &Context,
    approval: Approval<'_>,
    family: i64,
    session: Option<String>,
) -> Result<TokenResponse, OAuthError> {
    let refreshes = approval.user.is_some()
        && !matches!(approval.grant_type, GrantType::TokenExchange | GrantType::JwtBearer | GrantType::Implicit);
    let pair = Pair::begin(cx, &approval, refreshes);
    let new = pair.to_store(&approval, family, session);
    token::insert(&cx.db, new).await?;
    statistics::issued(cx, approval.application.id, approval.grant_type);
    pair.into_response(cx, approval).await
}

/// Makes an access token of another one (RFC 8693): of the same family, so that it ends with it.
///
/// # Errors
/// `invalid_grant` where the subject's token was ended meanwhile.
pub async fn exchanged(
    cx: &Context,
    approval: Approval<'_>,
    subject: &AccessToken,
) -> Result<TokenResponse, OAuthError> {
    let pair = Pair::begin(cx, &approval, false);
    let new = pair.to_store(&approval, subject.family, subject.session.clone());
    let subject_id = subject.id;
    let stored = cx.db.write(move |tx| {
        Box::pin(async move {
            let lives = token::hold(tx, subject_id).await?;
            if lives {
                token::insert_in(tx, new).await?;
            }
            Ok(lives)
        })
    });
    if !stored.await? {
        return Err(OAuthError::invalid_grant("The subject token was ended just now."));
    }
    statistics::issued(cx, approval.application.id, approval.grant_type);
    pair.into_response(cx, approval).await
}

/// Gives a device its tokens, whose code somebody has approved (RFC 8628 §3.5).
///
/// # Errors
/// `invalid_grant` where the person is gone.
pub async fn device(
    cx: &Context,
    application: &Application,
    redeemed: RedeemedCode,
    sender: &Sender,
) -> Result<TokenResponse, OAuthError> {
    let gone = || OAuthError::invalid_grant("The person who approved is gone.");
    let user = user::find(&cx.db, redeemed.user_id).await?.ok_or_else(gone)?;
    let certificate =
        sender.certificate.clone().filter(|_| application.metadata.tls_client_certificate_bound_access_tokens);
    let context = TokenContext { jkt: sender.jkt.clone(), certificate, ..redeemed.context };
    let approval = Approval {
        application,
        user: Some(&user),
        scope: redeemed.scope,
        grant_type: GrantType::DeviceCode,
        context: context.clone(),
    };
    let pair = Pair::begin(cx, &approval, application.may_use(GrantType::RefreshToken));
    let mut new = pair.to_store(&approval, redeemed.family, None);
    // What ended since the person approved ends this too.
    (new.application_epoch, new.user_epoch) = (redeemed.application_epoch, redeemed.user_epoch);
    token::insert(&cx.db, new).await?;
    statistics::issued(cx, application.id, GrantType::DeviceCode);
    let mut response = pair.into_response(cx, approval).await?;
    response.id_token = code::id_token_beside(cx, application, &user, &context, None, &response).await?;
    Ok(response)
}

/// A number for a new family.
pub fn new_family() -> i64 {
    i64::from_le_bytes(random()) & i64::MAX
}

/// The secrets of one row, before it is stored.
struct Pair {
    access: Access,
    refresh_token: Option<PlainToken>,
    created_at: i64,
    access_expires_at: i64,
    refresh_expires_at: i64,
}

/// Characters of an access token that are kept in clear: 48 bits of an opaque one, whose other 208 nobody can guess.
const HINT: usize = 8;

/// An access token by what it will be.
enum Access {
    Opaque(PlainToken),
    /// A JWT with this id.
    Jwt(String),
}

impl Access {
    /// Of these bits, in the application's format.
    fn new(cx: &Context, application: &Application, bits: &[u8; 32]) -> Self {
        match id_token::access_token_format(cx, application) {
            AccessTokenFormat::Opaque => Self::Opaque(PlainToken::new(TokenKind::AccessToken, bits)),
            AccessTokenFormat::Jwt => Self::Jwt(hex(bits)),
        }
    }

    fn digest(&self) -> TokenDigest {
        match self {
            Self::Opaque(token) => token.digest(),
            Self::Jwt(id) => TokenDigest::of(id),
        }
    }

    /// By what staff find the row of a token of which they have only the beginning.
    fn hint(&self) -> String {
        let text = match self {
            Self::Opaque(token) => token.reveal().get(TokenKind::AccessToken.prefix().len()..).unwrap_or_default(),
            Self::Jwt(id) => id,
        };
        text.chars().take(HINT).collect()
    }

    /// The token as it goes to the client.
    async fn into_token(
        self,
        cx: &Context,
        application: &Application,
        user_id: Option<i64>,
        scope: &Scope,
        context: Option<&TokenContext>,
        (created_at, expires_at): (i64, i64),
    ) -> Result<PlainToken, OAuthError> {
        match self {
            Self::Opaque(token) => Ok(token),
            Self::Jwt(id) => {
                let parts =
                    id_token::JwtAccessToken { application, user_id, scope, context, id: &id, created_at, expires_at };
                id_token::jwt_access_token(cx, parts).await.map(PlainToken::of_jwt)
            }
        }
    }
}

impl Pair {
    fn begin(cx: &Context, approval: &Approval<'_>, refreshes: bool) -> Self {
        let now = cx.clock.now();
        let end = now + access_ttl(cx);
        Self {
            access: Access::new(cx, approval.application, &random()),
            // RFC 6749 §4.4.3: a client that speaks for itself can ask again, and gets no refresh token.
            refresh_token: refreshes.then(|| PlainToken::new(TokenKind::RefreshToken, &random())),
            created_at: now,
            access_expires_at: approval.context.not_after.map_or(end, |not_after| end.min(not_after)),
            refresh_expires_at: now + refresh_ttl(cx),
        }
    }

    fn to_store(&self, approval: &Approval<'_>, family: i64, session: Option<String>) -> NewToken {
        NewToken {
            family,
            generation: 0,
            grant_type: approval.grant_type,
            application_id: approval.application.id,
            application_epoch: approval.application.token_epoch,
            user_id: approval.user.map(|user| user.id),
            user_epoch: approval.user.map_or(0, |user| user.token_epoch),
            scope: approval.scope.clone(),
            access_digest: self.access.digest(),
            access_expires_at: self.access_expires_at,
            refresh: self.refresh_token.as_ref().map(|token| (token.digest(), self.refresh_expires_at)),
            created_at: self.created_at,
            context: Some(TokenContext { nonce: None, ..approval.context.clone() }),
            session,
            access_hint: self.access.hint(),
        }
    }

    async fn into_response(self, cx: &Context, approval: Approval<'_>) -> Result<TokenResponse, OAuthError> {
        let user_id = approval.user.map(|user| user.id);
        let times = (self.created_at, self.access_expires_at);
        let context = Some(&approval.context);
        let access_token =
            self.access.into_token(cx, approval.application, user_id, &approval.scope, context, times).await?;
        Ok(TokenResponse {
            access_token,
            expires_in: self.access_expires_at - self.created_at,
            scope: approval.scope,
            refresh_token: self.refresh_token,
            id_token: None,
            is_dpop: approval.context.jkt.is_some(),
            issued_token_type: None,
            user_id,
        })
    }
}

fn access_ttl(cx: &Context) -> i64 {
    i64::try_from(cx.settings.tokens.access_token_ttl.as_secs()).unwrap_or(i64::MAX / 4)
}

fn refresh_ttl(cx: &Context) -> i64 {
    i64::try_from(cx.settings.tokens.refresh_token_ttl.as_secs()).unwrap_or(i64::MAX / 4)
}
