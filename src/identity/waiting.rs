//! A sign-in that waits until its person has proven an e-mail address.
//!
//! It lies sealed in the database. The browser in which it began has the only secret that finishes it; a mail has a link
//! and a code that say "this address is theirs" and nothing more, so whoever opens the link elsewhere is not signed in.
//! Not here: sending the mail and the pages around it (`http`), whose account it becomes ([`super::link`]).

use serde::{Deserialize, Serialize};
use vestibule_protocol::{OAuthError, Profile, TokenDigest};

use super::link::{self, Arrival, Arrived, Linked};
pub use super::mailed::{Letter, Tried};
use super::mailed::{count_mail, digest_of_code, digest_of_link, is_same, may_try, new_code, new_secret};
use super::sealed::{open, seal};
use crate::context::Context;
use crate::settings::Policy;
use crate::store::{association, pending, user};

/// How long a sign-in waits after its last mail, in seconds.
const PATIENCE: i64 = 7 * 86_400;

const SIGN_IN: &str = "sign-in";
const ADDRESS: &str = "address";

/// A sign-in that waits. Its provider's tokens are in it, so there is no `Debug`.
#[derive(Clone, Deserialize, Serialize)]
pub struct Waiting {
    /// The provider's name.
    pub provider: String,
    /// Whom it speaks of.
    pub profile: Profile,
    /// Where the browser goes on to; empty where that was not said.
    pub next: String,
    tokens: String,
    asked: Option<Asked>,
}

/// The address that the last mail went to.
#[derive(Clone, Deserialize, Serialize)]
struct Asked {
    email: String,
    /// Digests of the mail's code and link; none where the mail had neither, because the address has an account.
    proof: Option<(String, String)>,
    is_proven: bool,
}

/// What a mail's link stands for.
#[derive(Deserialize, Serialize)]
struct Linking {
    /// The secret of the sign-in: sealed, and never shown to whoever opens the link.
    sign_in: String,
    email: String,
}

/// What a link asks of whoever opens it.
pub struct Question {
    /// The provider's name.
    pub provider: String,
    /// The address that is to be confirmed.
    pub email: String,
    /// Whether the sign-in began in the browser with this secret.
    pub is_own: bool,
}

impl Waiting {
    /// The address that a mail went to.
    pub fn asked_email(&self) -> Option<&str> {
        self.asked.as_ref().map(|asked| asked.email.as_str())
    }

    /// Whether the address is proven.
    pub fn is_proven(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.is_proven)
    }
}

/// Lets a sign-in wait, and gives the secret for the browser's cookie.
///
/// # Errors
/// What the database says.
pub async fn begin(
    cx: &Context,
    provider: &str,
    profile: &Profile,
    tokens: &[u8],
    next: &str,
) -> Result<String, OAuthError> {
    let waiting = Waiting {
        provider: provider.to_owned(),
        profile: profile.clone(),
        next: next.to_owned(),
        tokens: String::from_utf8_lossy(tokens).into_owned(),
        asked: None,
    };
    let secret = new_secret();
    let sealed = seal(cx, SIGN_IN, &waiting)?;
    pending::insert(&cx.db, TokenDigest::of(&secret), SIGN_IN, sealed, cx.clock.now() + PATIENCE).await?;
    Ok(secret)
}

/// The sign-in that waits in a browser with this secret.
///
/// # Errors
/// What the database says.
pub async fn find(cx: &Context, secret: &str) -> Result<Option<Waiting>, OAuthError> {
    let sealed = pending::find(&cx.db, TokenDigest::of(secret), SIGN_IN, cx.clock.now()).await?;
    Ok(sealed.and_then(|sealed| open(cx, SIGN_IN, &sealed)))
}

/// Notes which address the person says is theirs, and what is to be mailed there. What an earlier mail held is of no use
/// any more. `None`: no sign-in waits.
///
/// # Errors
/// 429 after too many mails to this address or from this place: the same for an address with an account and without.
pub async fn ask(
    cx: &Context,
    secret: &str,
    email: &str,
    policy: &Policy,
    place: &str,
) -> Result<Option<Letter>, OAuthError> {
    count_mail(cx, email, place).await?;
    let is_taken = link::is_email_taken(cx, email, policy).await? && !is_own_account(cx, secret, email).await?;
    let (token, code) = (new_secret(), new_code());
    let link = Linking { sign_in: secret.to_owned(), email: email.to_owned() };
    let link = seal(cx, ADDRESS, &link)?;
    let proof = (!is_taken).then(|| (digest_of_code(cx, secret, &code), digest_of_link(&token)));
    let asked = Asked { email: email.to_owned(), proof, is_proven: false };
    let link_digest = TokenDigest::of(&token);
    let changed = change(cx, secret, move |waiting| waiting.asked = Some(asked), Some((link_digest, link, !is_taken)));
    if !changed.await? {
        return Ok(None);
    }
    Ok(Some(if is_taken { Letter::HasAccount } else { Letter::Prove { token, code } }))
}

/// Whether the address is itself what its owner signs in by here, and did before.
async fn is_own_account(cx: &Context, secret: &str, email: &str) -> Result<bool, OAuthError> {
    let Some(waiting) = find(cx, secret).await?.filter(|waiting| waiting.profile.uid.is_empty()) else {
        return Ok(false);
    };
    Ok(association::find(&cx.db, &waiting.provider, &user::email_key(email)).await?.is_some())
}

/// What the link of a mail asks. `None`: it is unknown, was used, or is too old, or a later mail stands in for it.
///
/// # Errors
/// What the database says.
pub async fn look_up(cx: &Context, token: &str, secret: Option<&str>) -> Result<Option<Question>, OAuthError> {
    let now = cx.clock.now();
    let Some(sealed) = pending::find(&cx.db, TokenDigest::of(token), ADDRESS, now).await? else { return Ok(None) };
    let Some(link) = open::<Linking>(cx, ADDRESS, &sealed) else { return Ok(None) };
    let Some(waiting) = find(cx, &link.sign_in).await?.filter(|waiting| stands_for(waiting, &link, token)) else {
        return Ok(None);
    };
    let is_own = secret.is_some_and(|own| is_same(own, &link.sign_in));
    Ok(Some(Question { provider: waiting.provider, email: link.email, is_own }))
}

/// Takes a link's word that the address is the person's, once. `false`: as [`look_up`]'s `None`.
///
/// # Errors
/// What the database says.
pub async fn confirm(cx: &Context, token: &str) -> Result<bool, OAuthError> {
    let now = cx.clock.now();
    let Some(sealed) = pending::take(&cx.db, TokenDigest::of(token), ADDRESS, now).await? else { return Ok(false) };
    let Some(link) = open::<Linking>(cx, ADDRESS, &sealed) else { return Ok(false) };
    let is_current = find(cx, &link.sign_in).await?.is_some_and(|waiting| stands_for(&waiting, &link, token));
    if !is_current {
        return Ok(false);
    }
    let email = link.email;
    let prove = move |waiting: &mut Waiting| {
        if let Some(asked) = waiting.asked.as_mut().filter(|asked| asked.email == email) {
            asked.is_proven = true;
        }
    };
    change(cx, &link.sign_in, prove, None).await
}

/// Tries a code that was typed in the browser with this secret.
///
/// # Errors
/// What the database says.
pub async fn try_code(cx: &Context, secret: &str, code: &str) -> Result<Tried, OAuthError> {
    if !may_try(cx, secret).await? {
        return Ok(Tried::TooMany);
    }
    let Some(asked) = find(cx, secret).await?.and_then(|waiting| waiting.asked) else { return Ok(Tried::Wrong) };
    let tried = digest_of_code(cx, secret, code);
    let is_right = asked.proof.as_ref().is_some_and(|(code, _)| is_same(code, &tried));
    if !is_right {
        return Ok(Tried::Wrong);
    }
    let prove = move |waiting: &mut Waiting| {
        let same = |now: &&mut Asked| now.proof.as_ref().is_some_and(|(code, _)| is_same(code, &tried));
        if let Some(asked) = waiting.asked.as_mut().filter(same) {
            asked.is_proven = true;
        }
    };
    change(cx, secret, prove, None).await.map(|found| if found { Tried::Right } else { Tried::Wrong })
}

/// Ends the waiting of a sign-in whose address is proven, once, with this profile, which was looked at with this address.
/// `None`: none waits, or its address is not proven, or another one is by now.
///
/// # Errors
/// What [`link::arrive`] says.
pub async fn finish(
    cx: &Context,
    secret: &str,
    policy: &Policy,
    email: Option<&str>,
    profile: Profile,
) -> Result<Option<(Linked, Waiting)>, OAuthError> {
    let is_ready = |waiting: &Waiting| waiting.is_proven() && waiting.asked_email() == email;
    if !find(cx, secret).await?.is_some_and(|waiting| is_ready(&waiting)) {
        return Ok(None);
    }
    let (digest, now) = (TokenDigest::of(secret), cx.clock.now());
    let Some(sealed) = pending::take(&cx.db, digest, SIGN_IN, now).await? else { return Ok(None) };
    let Some(waiting) = open::<Waiting>(cx, SIGN_IN, &sealed).filter(is_ready) else { return Ok(None) };
    let arrival = Arrival {
        provider: &waiting.provider,
        profile: &profile,
        policy,
        tokens: waiting.tokens.as_bytes(),
        proven_email: waiting.asked_email(),
    };
    match link::arrive(cx, &arrival).await {
        Ok(Arrived::In(linked)) => Ok(Some((*linked, waiting))),
        Ok(Arrived::NeedsEmail(_)) => Ok(None),
        Err(error) => {
            // Our failure is not the person's: they can try again.
            if error.status() >= 500 {
                pending::insert(&cx.db, digest, SIGN_IN, sealed, now + PATIENCE).await?;
            }
            Err(error)
        }
    }
}

/// Changes a sign-in that waits; with a link, that is stored too, if it is wanted. `false`: none waits.
async fn change(
    cx: &Context,
    secret: &str,
    change: impl FnOnce(&mut Waiting) + Send + 'static,
    link: Option<(TokenDigest, Vec<u8>, bool)>,
) -> Result<bool, OAuthError> {
    let now = cx.clock.now();
    let digest = TokenDigest::of(secret);
    let Some(mut waiting) = find(cx, secret).await? else { return Ok(false) };
    change(&mut waiting);
    let sealed = seal(cx, SIGN_IN, &waiting)?;
    let stored = cx.db.write(move |tx| {
        Box::pin(async move {
            if pending::take_in(tx, digest, SIGN_IN, now).await?.is_none() {
                return Ok(false);
            }
            pending::put(tx, digest, SIGN_IN, sealed, now + PATIENCE).await?;
            if let Some((digest, sealed, true)) = link {
                pending::put(tx, digest, ADDRESS, sealed, now + PATIENCE).await?;
            }
            Ok(true)
        })
    });
    Ok(stored.await?)
}

/// Whether a link is the one of the last mail.
fn stands_for(waiting: &Waiting, link: &Linking, token: &str) -> bool {
    let Some(asked) = &waiting.asked else { return false };
    asked.email == link.email && asked.proof.as_ref().is_some_and(|(_, own)| is_same(own, &digest_of_link(token)))
}
