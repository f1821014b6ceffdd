//! The e-mail address of an account: proving it, and changing it for one that is proven.
//!
//! Whoever proves an address for an account is signed in to it, by link and by code: the owner of an address who opens a
//! stranger's link gives it to nobody. What was mailed before the password or the address changed is worth nothing.
//! Not here: the pages and the mails (`http`).

use serde::{Deserialize, Serialize};
use vestibule_protocol::{OAuthError, TokenDigest};

use super::link;
pub use super::mailed::{Letter, Tried};
use super::mailed::{count_mail, digest_of_code, digest_of_link, is_same, may_try, new_code, new_secret, state_of};
use super::sealed::{open, seal};
use crate::context::Context;
use crate::settings::OnTakenEmail;
use crate::store::pending;
use crate::store::user::{self, User};

/// How long an address waits to be proven, in seconds.
pub const PATIENCE: i64 = 86_400;

const ADDRESS: &str = "address of an account";

/// An address that waits to be proven; each person has one at most.
#[derive(Deserialize, Serialize)]
struct Asked {
    email: String,
    state: String,
    /// Digests of the mail's code and link; none where the mail had neither, because the address is somebody else's.
    proof: Option<(String, String)>,
}

/// How an address is proven.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    /// By the secret of the mail's link.
    Link(&'a str),
    /// By its code.
    Code(&'a str),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// The address is the account's, and proven.
    Done,
    /// The proof is not good, or not any more.
    Wrong,
    /// Too many were not.
    TooMany,
    /// Somebody else has the address by now.
    Taken,
}

/// Where a person's row lies, and what their tries are counted by.
fn of(user: &User) -> String {
    format!("address of {}", user.id)
}

/// Notes which address is to be proven, and what is to be mailed there. What an earlier mail held is of no use any more.
///
/// # Errors
/// 429 after too many mails: the same for an address with an account and without.
pub async fn ask(cx: &Context, user: &User, email: &str, place: &str) -> Result<Letter, OAuthError> {
    count_mail(cx, email, place).await?;
    let owners = user::all_with_email(&cx.db, email).await?;
    let is_taken = owners.iter().any(|owner| owner.id != user.id) && !may_share(cx);
    let (token, code) = (new_secret(), new_code());
    let email = match cx.settings.social.force_email_lowercase {
        true => email.to_lowercase(),
        false => email.to_owned(),
    };
    let proof = (digest_of_code(cx, &of(user), &code), digest_of_link(&token));
    let asked = Asked { email, state: state_of(cx, user), proof: (!is_taken).then_some(proof) };
    let sealed = seal(cx, ADDRESS, &asked)?;
    pending::insert(&cx.db, TokenDigest::of(&of(user)), ADDRESS, sealed, cx.clock.now() + PATIENCE).await?;
    Ok(if is_taken { Letter::HasAccount } else { Letter::Prove { token, code } })
}

/// Whether the operator's lists let in somebody with this address.
pub fn may_be_used(cx: &Context, email: &str) -> bool {
    link::may_have_email(email, &cx.settings.social)
}

fn may_share(cx: &Context) -> bool {
    cx.settings.social.on_taken_email == OnTakenEmail::Create
}

/// The address that waits to be proven by this person.
///
/// # Errors
/// What the database says.
pub async fn asked(cx: &Context, user: &User) -> Result<Option<String>, OAuthError> {
    Ok(find(cx, user).await?.map(|(asked, _)| asked.email))
}

async fn find(cx: &Context, user: &User) -> Result<Option<(Asked, Vec<u8>)>, OAuthError> {
    let Some(sealed) = pending::find(&cx.db, TokenDigest::of(&of(user)), ADDRESS, cx.clock.now()).await? else {
        return Ok(None);
    };
    let asked = open::<Asked>(cx, ADDRESS, &sealed).filter(|asked| is_same(&asked.state, &state_of(cx, user)));
    Ok(asked.map(|asked| (asked, sealed)))
}

/// Makes an address that is proven the account's, once.
///
/// # Errors
/// What the database says.
pub async fn confirm(cx: &Context, user: &User, proof: Proof<'_>) -> Result<Confirmed, OAuthError> {
    if !may_try(cx, &of(user)).await? {
        return Ok(Confirmed::TooMany);
    }
    let Some((asked, read)) = find(cx, user).await? else { return Ok(Confirmed::Wrong) };
    let is_right = asked.proof.as_ref().is_some_and(|(code, link)| match proof {
        Proof::Link(token) => is_same(link, &digest_of_link(token)),
        Proof::Code(typed) => is_same(code, &digest_of_code(cx, &of(user), typed)),
    });
    if !is_right {
        return Ok(Confirmed::Wrong);
    }
    let (digest, now, may_share) = (TokenDigest::of(&of(user)), cx.clock.now(), may_share(cx));
    let before = user.clone();
    let confirmed = cx.db.write(move |tx| {
        Box::pin(async move {
            tx.lock(&format!("email {}", user::email_key(&asked.email))).await?;
            // Another address may have been asked for since the proof was looked at (attack 247): that one stays.
            if pending::find_in(tx, digest, ADDRESS, now).await?.as_ref() != Some(&read)
                || pending::take_in(tx, digest, ADDRESS, now).await?.is_none()
            {
                return Ok(Confirmed::Wrong);
            }
            let is_as_before = |now: &User| now.email == before.email && now.password == before.password;
            if !user::find_in(tx, before.id).await?.as_ref().is_some_and(is_as_before) {
                return Ok(Confirmed::Wrong);
            }
            let owners = user::with_email(tx, &asked.email).await?;
            if owners.iter().any(|owner| owner.id != before.id) && !may_share {
                return Ok(Confirmed::Taken);
            }
            user::set_email_in(tx, before.id, &asked.email).await?;
            Ok(Confirmed::Done)
        })
    });
    Ok(confirmed.await?)
}
