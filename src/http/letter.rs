//! What our mails say, in the language of the person who asked for them.

use serde_json::json;
use vestibule_protocol::{ErrorCode, OAuthError};

use super::page;
use super::visitor::Visitor;
use crate::context::{Context, Ctx, random};
use crate::mail::{Mail, Undelivered};
use crate::outbox;

/// How long it is tried to tell somebody, in seconds.
const TOLD_FOR: i64 = 86_400;

/// A mail, by the keys of its texts. `values` stand for names between braces in them.
pub(super) struct Letter<'a> {
    pub to: &'a str,
    pub subject: &'a str,
    /// The paragraphs before the link and the code.
    pub before: &'a [&'a str],
    /// Where the link leads, and its text.
    pub link: (&'a str, &'a str),
    /// What to type instead, and the text before it.
    pub code: Option<(&'a str, &'a str)>,
    /// The paragraphs after those.
    pub after: &'a [&'a str],
    pub values: &'a [(&'a str, &'a str)],
}

impl Letter<'_> {
    /// Sends it.
    ///
    /// # Errors
    /// `temporarily_unavailable` with a sentence for the person; the cause is for the log.
    pub async fn send(&self, cx: &Context, visitor: &Visitor) -> Result<(), OAuthError> {
        cx.mailer.send(self.mail(cx, visitor)?).await.map_err(|error| match error {
            Undelivered::Address(_) => {
                OAuthError::invalid_request("No mail can be sent to this address.").with_cause(error)
            }
            error => {
                OAuthError::unavailable("The mail could not be sent; try again in a few minutes.", 60).with_cause(error)
            }
        })
    }

    /// Lets it leave after the answer, and tries for `good_for` seconds: the answer does not tell whether there is anybody to
    /// write to (`to` is empty then), or whether the mail server is there.
    ///
    /// # Errors
    /// What the database says.
    pub async fn post(&self, cx: &Ctx, visitor: &Visitor, good_for: i64) -> Result<(), OAuthError> {
        outbox::send(cx, &self.mail(cx, visitor)?, good_for).await
    }

    /// Tells somebody of what has happened to their account, where mails leave and they have an address.
    pub async fn tell(&self, cx: &Ctx, visitor: &Visitor) {
        if self.to.is_empty() || !cx.mailer.is_there() {
            return;
        }
        if let Err(error) = self.post(cx, visitor, TOLD_FOR).await {
            tracing::error!(error = %crate::describe(&error), "somebody is not told of a change to their account");
        }
    }

    fn mail(&self, cx: &Context, visitor: &Visitor) -> Result<Mail, OAuthError> {
        let language = page::language_of(cx, visitor);
        let text = |key: &&str| page::text(cx, &language, key, self.values);
        let (url, link_text) = self.link;
        let code = self.code.map(|(code, key)| (code, text(&key)));
        let (before, after): (Vec<String>, Vec<String>) =
            (self.before.iter().map(text).collect(), self.after.iter().map(text).collect());
        let mut plain = before.clone();
        plain.push(url.to_owned());
        plain.extend(code.iter().map(|(code, text)| format!("{text} {code}")));
        plain.extend(after.clone());
        let html = json!({
            "lang": language,
            "subject": text(&self.subject),
            "before": before,
            "after": after,
            "url": url,
            "link_text": text(&link_text),
            "code": code.as_ref().map(|(code, _)| code),
            "code_text": code.as_ref().map(|(_, text)| text),
        });
        let html = page::render(cx.settings.pages.folder.as_deref(), "mail.html", &html).map_err(|error| {
            OAuthError::new(ErrorCode::ServerError, "The mail could not be made.").with_cause(error)
        })?;
        Ok(Mail {
            to: self.to.to_owned(),
            subject: text(&self.subject),
            text: plain.join("\n\n") + "\n",
            html,
            at: cx.clock.now(),
            random: random(),
        })
    }
}
