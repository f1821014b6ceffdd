//! Making an account with a username and a password.
//!
//! It is made when its address is proven, and waits sealed until then: so nobody learns from us whose address has an
//! account, and nobody's address lies in an account of somebody else. The browser in which it began has a secret that the
//! code from the mail finishes it with; whoever opens the link elsewhere types the password that was chosen, so that the
//! owner of an address is not led into an account whose password somebody else knows.
//! Not here: the operator's steps (`entrance`), the pages and the mail (`http`).

use serde::{Deserialize, Serialize};
use vestibule_protocol::{OAuthError, Profile, TokenDigest};

use super::link;
pub use super::mailed::{Letter, Tried};
use super::mailed::{WINDOW, count_mail, digest_of_code, digest_of_link, is_same, may_try, new_code, new_secret};
use super::password::{Verdict, Weakness, weakness};
use super::sealed::{open, seal};
use super::sign_in::hash_error;
use super::username::fitted;
use crate::context::{Context, random};
use crate::settings::OnTakenEmail;
use crate::store::user::{self, NewUser, User};
use crate::store::{attempt, pending};

/// How long an account waits for its address to be proven, in seconds.
pub const PATIENCE: i64 = 86_400;
/// Forms that one place may send within [`WINDOW`].
const FORMS: i64 = 60;

const SIGN_UP: &str = "sign-up";
const LINK: &str = "sign-up link";

/// An account that waits. The password's encoding is in it, so there is no `Debug`.
#[derive(Deserialize, Serialize)]
pub struct SignUp {
    /// Its username.
    pub username: String,
    /// The address that is to be proven.
    pub email: String,
    /// Where the browser goes on to.
    pub next: String,
    password: String,
    /// Digests of the mail's code and link; none where the mail had neither, because the address has an account.
    proof: Option<(String, String)>,
}

/// What somebody has written who wants an account. Its password is in it, so there is no `Debug`.
pub struct Wanted<'a> {
    /// See [`SignUp`].
    pub username: &'a str,
    /// An address that a mail can be sent to.
    pub email: &'a str,
    /// In clear.
    pub password: &'a str,
    /// See [`SignUp`].
    pub next: &'a str,
}

/// Why it is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The username is not one by the operator's rules, or looks like somebody else's address.
    Username,
    /// Somebody has it.
    UsernameTaken,
    /// The operator's lists do not let it in.
    Email,
    /// See [`Weakness`].
    Password(Weakness),
}

/// What came of it.
#[derive(Debug)]
pub enum Created {
    /// The account is there.
    Done(User),
    /// Somebody has taken the username meanwhile.
    UsernameTaken,
    /// Somebody has an account with the address by now.
    EmailTaken,
    /// None waits any more.
    Gone,
}

/// Whether a username may be chosen: as it is written by the operator's rules, and no address but the person's own.
pub fn may_be_called(cx: &Context, username: &str, email: &str) -> bool {
    let is_own = user::email_key(username) == user::email_key(email);
    !username.is_empty() && fitted(username, &cx.settings.social) == username && (!username.contains('@') || is_own)
}

/// Lets an account wait, and gives the secret for the browser's cookie with what is to be mailed: the same work whether the
/// address has an account or not.
///
/// # Errors
/// 429 after too many forms or mails; `temporarily_unavailable` where too many wait for a hash.
pub async fn begin(
    cx: &Context,
    wanted: &Wanted<'_>,
    place: &str,
) -> Result<Result<(String, Letter), Unfit>, OAuthError> {
    let now = cx.clock.now();
    let key = cx.keys.derive("sign-ups from", place.as_bytes());
    let (forms, until) = attempt::count(&cx.db, key, now, WINDOW).await?;
    if forms > FORMS {
        let error = OAuthError::invalid_request("Too many accounts were asked for; wait an hour.").with_status(429);
        return Err(OAuthError { retry_after: u32::try_from(until - now).ok(), ..error });
    }
    let &Wanted { username, email, password, next } = wanted;
    if !may_be_called(cx, username, email) {
        return Ok(Err(Unfit::Username));
    }
    if !link::may_have_email(email, &cx.settings.social) {
        return Ok(Err(Unfit::Email));
    }
    if let Some(weakness) = weakness(password, cx.settings.accounts.password_min_length, username, email) {
        return Ok(Err(Unfit::Password(weakness)));
    }
    if user::find_by_username(&cx.db, username).await?.is_some() {
        return Ok(Err(Unfit::UsernameTaken));
    }
    count_mail(cx, email, place).await?;
    let encoded = cx.hasher.hash(password, random()).await.map_err(hash_error)?;
    let is_taken = link::is_email_taken(cx, email, &cx.settings.social).await?;
    let (secret, token, code) = (new_secret(), new_secret(), new_code());
    let proof = (digest_of_code(cx, &secret, &code), digest_of_link(&token));
    let email = match cx.settings.social.force_email_lowercase {
        true => email.to_lowercase(),
        false => email.to_owned(),
    };
    let sign_up = SignUp {
        username: username.to_owned(),
        email,
        next: next.to_owned(),
        password: encoded,
        proof: (!is_taken).then_some(proof),
    };
    let rows = [
        (TokenDigest::of(&secret), SIGN_UP, seal(cx, SIGN_UP, &sign_up)?),
        (TokenDigest::of(&token), LINK, seal(cx, LINK, &secret)?),
    ];
    let stored = cx.db.write(move |tx| {
        Box::pin(async move {
            for (digest, kind, sealed) in rows {
                pending::put(tx, digest, kind, sealed, now + PATIENCE).await?;
            }
            Ok(())
        })
    });
    stored.await?;
    Ok(Ok((secret, if is_taken { Letter::HasAccount } else { Letter::Prove { token, code } })))
}

/// The account that waits in a browser with this secret.
///
/// # Errors
/// What the database says.
pub async fn find(cx: &Context, secret: &str) -> Result<Option<SignUp>, OAuthError> {
    let sealed = pending::find(&cx.db, TokenDigest::of(secret), SIGN_UP, cx.clock.now()).await?;
    Ok(sealed.and_then(|sealed| open(cx, SIGN_UP, &sealed)))
}

/// The account of a mail's link, and its secret. `None`: the link is unknown, was used, or is too old.
///
/// # Errors
/// What the database says.
pub async fn of_link(cx: &Context, token: &str) -> Result<Option<(String, SignUp)>, OAuthError> {
    let sealed = pending::find(&cx.db, TokenDigest::of(token), LINK, cx.clock.now()).await?;
    let Some(secret) = sealed.and_then(|sealed| open::<String>(cx, LINK, &sealed)) else { return Ok(None) };
    let proves = |sign_up: &SignUp| sign_up.proof.as_ref().is_some_and(|(_, own)| is_same(own, &digest_of_link(token)));
    Ok(find(cx, &secret).await?.filter(proves).map(|sign_up| (secret, sign_up)))
}

/// Tries a code that was typed in the browser with this secret.
///
/// # Errors
/// What the database says.
pub async fn try_code(cx: &Context, secret: &str, sign_up: &SignUp, code: &str) -> Result<Tried, OAuthError> {
    if !may_try(cx, secret).await? {
        return Ok(Tried::TooMany);
    }
    let tried = digest_of_code(cx, secret, code);
    let is_right = sign_up.proof.as_ref().is_some_and(|(own, _)| is_same(own, &tried));
    Ok(if is_right { Tried::Right } else { Tried::Wrong })
}

/// Tries the password that was chosen, typed where the link was opened.
///
/// # Errors
/// `temporarily_unavailable` where too many wait for a hash.
pub async fn try_password(cx: &Context, secret: &str, sign_up: &SignUp, password: &str) -> Result<Tried, OAuthError> {
    if !may_try(cx, secret).await? {
        return Ok(Tried::TooMany);
    }
    match cx.hasher.verify(password, Some(&sign_up.password), random()).await.map_err(hash_error)? {
        Verdict::Wrong => Ok(Tried::Wrong),
        Verdict::Right | Verdict::RightButOutdated { .. } => Ok(Tried::Right),
    }
}

/// Makes the account whose address is proven, once, with this profile.
///
/// # Errors
/// What the database says.
pub async fn create(cx: &Context, secret: &str, profile: Profile) -> Result<Created, OAuthError> {
    let (digest, now) = (TokenDigest::of(secret), cx.clock.now());
    let Some(sign_up) = find(cx, secret).await? else { return Ok(Created::Gone) };
    let new = NewUser {
        username: fitted(profile.username.as_deref().unwrap_or(&sign_up.username), &cx.settings.social),
        email: profile.email.unwrap_or_default(),
        email_verified: profile.email_verified,
        first_name: super::details::clipped(profile.first_name.as_deref()),
        last_name: super::details::clipped(profile.last_name.as_deref()),
        password: Some(sign_up.password),
        ..NewUser::default()
    };
    let may_share = cx.settings.social.on_taken_email == OnTakenEmail::Create;
    let created = cx.db.write(move |tx| {
        Box::pin(async move {
            // As in `link`: two people with one address go through here one by one.
            tx.lock(&format!("email {}", user::email_key(&new.email))).await?;
            if pending::take_in(tx, digest, SIGN_UP, now).await?.is_none() {
                return Ok(Created::Gone);
            }
            if !(may_share || new.email.is_empty() || user::with_email(tx, &new.email).await?.is_empty()) {
                return Ok(Created::EmailTaken);
            }
            let Some(user) = user::insert(tx, &new, now).await? else { return Ok(Created::UsernameTaken) };
            user::note_login(tx, user.id, now).await?;
            Ok(Created::Done(user))
        })
    });
    Ok(created.await?)
}
