//! What somebody is told who does not get in: the sentences of [`super::link`]'s refusals.

use vestibule_protocol::{OAuthError, Reason};

use super::link::Need;

/// What an API is told of somebody who must prove an address first: only a browser can ask.
pub(super) fn incomplete(need: Need, provider: &str) -> OAuthError {
    let sentence = match need {
        Need::Missing => format!(
            "A new person needs an e-mail address, and {provider} gave none. Ask for {provider}'s e-mail permission, or let the person sign in once in a browser (GET login/{provider}), where they are asked for it."
        ),
        Need::Unproven => format!(
            "A new person's e-mail address must be verified, and {provider} did not verify this one. Let the person verify it there, or sign in once in a browser (GET login/{provider}), where they prove it by a mail."
        ),
    };
    OAuthError::invalid_grant(sentence).with_reason(Reason::ProfileIncomplete)
}

/// Refuses somebody who is known only under an identifier that may be somebody else's by now.
pub(super) fn former(provider: &str) -> OAuthError {
    let sentence = format!(
        "An account is connected to a former identifier of this {provider} account, and nothing shows that both are the same person's. Sign in to that account otherwise, then connect {provider} to it (POST connect-backend)."
    );
    OAuthError::invalid_grant(sentence).with_reason(Reason::AccountInUse)
}

/// Refuses for a reason of the decision's.
pub(super) fn refusal(reason: Reason, provider: &str) -> OAuthError {
    let sentence = match reason {
        Reason::PersonNotAllowed => "The operator lets only some people in from this backend (by address, domain, group or entitlement), and this person is not among them.".to_owned(),
        Reason::AccountInUse => format!("This {provider} account is connected to somebody else."),
        Reason::PersonInactive => "This person's account was deactivated; its administrator can activate it.".to_owned(),
        Reason::EmailInUse => format!(
            "The e-mail address of this {provider} account belongs to an existing account. Sign in to that account first, then connect {provider} to it (POST connect-backend)."
        ),
        Reason::SignupClosed => "New people are not taken from this backend.".to_owned(),
        _ => "This person cannot be let in.".to_owned(),
    };
    OAuthError::invalid_grant(sentence).with_reason(reason)
}
