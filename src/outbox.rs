//! Mails that leave after the answer: whoever asked for one does not wait for the mail server, learns nothing by how long
//! it takes, and loses nothing while it is away (attack 259).
//!
//! A mail is sealed in the database and tried, less and less often, for as long as what it says is good.
//! Not here: what a mail says (`http`), how it leaves (`mail`).

use vestibule_protocol::{ErrorCode, OAuthError};

use crate::context::{Context, Ctx};
use crate::mail::{Mail, Undelivered};
use crate::store::outbox;

const PURPOSE: &str = "mail";
/// Whoever takes mails has so many seconds for them: more than the longest time-out of a mail server.
const TAKEN_FOR: i64 = 300;

/// Lets a mail leave soon, and tries again for `good_for` seconds. One to nobody (an empty address) is stored and forgotten
/// alike: so that what takes place is the same whether there is somebody to write to or not.
///
/// # Errors
/// What the database says.
pub async fn send(cx: &Ctx, mail: &Mail, good_for: i64) -> Result<(), OAuthError> {
    let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
        OAuthError::new(ErrorCode::ServerError, "The server failed; its log tells why.").with_cause(cause)
    };
    let text = serde_json::to_vec(mail).map_err(|error| failed(error.into()))?;
    let sealed = cx.keys.seal(PURPOSE, &text).map_err(|error| failed(error.into()))?;
    let now = cx.clock.now();
    outbox::insert(&cx.db, sealed, now, now + good_for).await?;
    let cx = cx.clone();
    tokio::spawn(async move {
        if let Err(error) = deliver_due(&cx).await {
            tracing::warn!(error = ?error, "mails could not be looked after; trying again later");
        }
    });
    Ok(())
}

/// Hands over the mails that are due.
///
/// # Errors
/// What the database says.
pub async fn deliver_due(cx: &Context) -> Result<(), OAuthError> {
    loop {
        let now = cx.clock.now();
        let due = outbox::take_due(&cx.db, now, now + TAKEN_FOR).await?;
        if due.is_empty() {
            return Ok(());
        }
        for mail in due {
            // What was sealed under a key that is gone nobody can send.
            let opened = cx.keys.open(PURPOSE, &mail.sealed).ok();
            let opened: Option<Mail> = opened.and_then(|text| serde_json::from_slice(&text).ok());
            let sent = match opened.filter(|mail| !mail.to.is_empty()) {
                Some(mail) => cx.mailer.send(mail).await,
                None => Ok(()),
            };
            match sent {
                Ok(()) => outbox::delete(&cx.db, mail.id).await?,
                Err(error @ (Undelivered::Address(_) | Undelivered::Nowhere)) => {
                    tracing::warn!(error = %crate::describe(&error), "a mail can never be sent");
                    outbox::delete(&cx.db, mail.id).await?;
                }
                Err(error) => {
                    let wait = 15_i64 << mail.tries.clamp(0, 8);
                    tracing::warn!(error = %crate::describe(&error), "a mail was not sent; trying again");
                    outbox::put_off(&cx.db, mail.id, cx.clock.now() + wait).await?;
                }
            }
        }
    }
}
