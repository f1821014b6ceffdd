//! A way to a provider and back that came to nothing: what the person is told, and how they may go on.
//!
//! The sentences are ours and in the person's language (`setback_…` in `templates/translations`). Nothing that a provider or
//! an address says is shown (attack 187); what the operator needs is in the log.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::Response;
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;
use vestibule_protocol::{ErrorCode, OAuthError, Reason};

use super::destination::{CONNECTIONS, Outcome, destination};
use super::page::Page;
use super::respond::Refused;
use super::sign_in::HOME;
use super::visitor::{Visitor, see_other};
use crate::context::Context;
use crate::statistics;
use crate::upstream::Provider;

/// What came in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The person said no at the provider.
    Declined,
    /// The provider said no.
    ProviderRefused,
    /// No sign-in of this browser's waits for an answer.
    NotBegunHere,
    /// Another one does.
    OtherSignIn,
    /// Whoever set out signed in is not signed in any more.
    SignedInOtherwise,
    /// Somebody else is signed in than came from the provider, which nobody had asked.
    OtherPerson,
    /// Nobody signs in with this provider.
    ConnectOnly,
    /// The provider could not be told to end its tokens.
    TokensNotEnded,
    /// Without this account nobody could sign in any more.
    LastWayIn,
    /// There is no such account to disconnect.
    NotConnected,
    /// What was sent cannot be read.
    Unfit,
    /// Our own fault.
    Ours,
    /// As a conversion's.
    Because(Reason),
}

/// A way that came to nothing.
pub(super) struct Setback {
    kind: Kind,
    error: Box<OAuthError>,
    /// Where the browser wanted to go.
    next: String,
}

impl From<OAuthError> for Setback {
    fn from(error: OAuthError) -> Self {
        let kind = match error.reason {
            Some(reason) => Kind::Because(reason),
            None if error.status() >= 500 => Kind::Ours,
            None => Kind::Unfit,
        };
        Self { kind, error: Box::new(error), next: String::new() }
    }
}

impl Kind {
    /// The word that the page and `login_error_url` are told.
    fn word(self) -> &'static str {
        match self {
            Self::Declined => "access_denied",
            Self::ProviderRefused => "provider_refused",
            Self::NotBegunHere => "not_begun_here",
            Self::OtherSignIn => "other_sign_in",
            Self::SignedInOtherwise => "signed_in_otherwise",
            Self::OtherPerson => "other_person",
            Self::ConnectOnly => "connect_only",
            Self::TokensNotEnded => "tokens_not_ended",
            Self::LastWayIn => "last_way_in",
            Self::NotConnected => "not_connected",
            Self::Unfit => "invalid_request",
            Self::Ours => "server_error",
            Self::Because(reason) => reason.as_str(),
        }
    }

    /// The sentence for the person.
    fn text(self) -> String {
        let word = match self {
            Self::Because(
                Reason::WrongTokenKind
                | Reason::TokenRejected
                | Reason::TokenExpired
                | Reason::ForeignAudience
                | Reason::UnprovenAudience
                | Reason::CodeRejected
                | Reason::NonceMismatch,
            )
            | Self::Unfit => "not_usable",
            other => other.word(),
        };
        format!("setback_{word}")
    }

    fn status(self, error: &OAuthError) -> u16 {
        match self {
            Self::Declined
            | Self::SignedInOtherwise
            | Self::ConnectOnly
            | Self::Because(Reason::PersonInactive | Reason::PersonNotAllowed | Reason::SignupClosed) => 403,
            Self::OtherPerson | Self::LastWayIn | Self::Because(Reason::EmailInUse | Reason::AccountInUse) => 409,
            Self::NotConnected | Self::Because(Reason::UnknownBackend) => 404,
            Self::ProviderRefused | Self::NotBegunHere | Self::OtherSignIn => 400,
            // An API's 401 is no page.
            _ if error.status() == 401 => 400,
            _ => error.status(),
        }
    }

    /// Whether the same way may end otherwise the next time.
    fn may_be_tried_again(self) -> bool {
        !matches!(
            self,
            Self::SignedInOtherwise
                | Self::OtherPerson
                | Self::ConnectOnly
                | Self::TokensNotEnded
                | Self::LastWayIn
                | Self::NotConnected
                | Self::Because(
                    Reason::UnknownBackend
                        | Reason::ProviderMisconfigured
                        | Reason::PersonInactive
                        | Reason::PersonNotAllowed
                        | Reason::EmailInUse
                        | Reason::AccountInUse
                        | Reason::SignupClosed
                )
        )
    }

    fn is_of_disconnecting(self) -> bool {
        matches!(self, Self::TokensNotEnded | Self::LastWayIn | Self::NotConnected)
    }
}

impl Setback {
    /// One that is no refusal of another room's; the sentence is for the log.
    pub fn new(kind: Kind, sentence: &'static str) -> Self {
        let error = OAuthError::new(ErrorCode::AccessDenied, sentence);
        let status = kind.status(&error);
        Self { kind, error: Box::new(error.with_status(status)), next: String::new() }
    }

    /// Another room's refusal, of which the person is told this.
    pub fn because(kind: Kind, error: OAuthError) -> Self {
        Self { kind, error: Box::new(error), next: String::new() }
    }

    /// What came in between.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// With what the log should have beside.
    pub fn with_cause(self, cause: String) -> Self {
        Self { error: Box::new(self.error.with_cause(cause)), ..self }
    }

    /// With the place where the browser wanted to go.
    pub fn on_the_way_to(self, next: &str) -> Self {
        Self { next: next.to_owned(), ..self }
    }

    /// The operator's address for it, or a page that says it.
    pub fn show(self, cx: &Context, visitor: &Visitor, provider: Option<&Provider>) -> Response {
        if let Some(provider) = provider.filter(|_| !self.kind.is_of_disconnecting()) {
            statistics::refused_for(cx, self.kind.word(), provider.name(), 0, &self.error);
        }
        let policy = provider.map_or(&cx.settings.social, |provider| &provider.policy);
        let outcome = match self.kind {
            Kind::Because(Reason::PersonInactive) => Outcome::Inactive,
            kind => Outcome::Refused(kind.word()),
        };
        let elsewhere = destination(outcome, policy, None).filter(|_| !self.kind.is_of_disconnecting());
        let mut answer = match elsewhere {
            Some(address) => see_other(&address),
            None => self.page(cx, visitor, provider),
        };
        if let Some(seconds) = self.error.retry_after {
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        answer.extensions_mut().insert(Refused(Arc::from(self.error)));
        answer
    }

    fn page(&self, cx: &Context, visitor: &Visitor, provider: Option<&Provider>) -> Response {
        let heading = match (self.kind.is_of_disconnecting(), provider) {
            (true, _) => "setback_heading_disconnect",
            (false, Some(_)) => "setback_heading",
            (false, None) => "setback_heading_plain",
        };
        let context = json!({
            "heading": heading,
            "sentence": self.kind.text(),
            "provider": provider.map(Provider::title).unwrap_or_default(),
            "code": self.kind.word(),
            "ways": self.ways(cx, visitor, provider),
        });
        let status = StatusCode::from_u16(self.kind.status(&self.error)).unwrap_or(StatusCode::BAD_REQUEST);
        Page { status, ..Page::new("setback.html", context) }.show(cx, visitor)
    }

    /// How the person may go on, the likeliest way first.
    fn ways(&self, cx: &Context, visitor: &Visitor, provider: Option<&Provider>) -> Vec<Value> {
        let mut ways = Vec::new();
        let mut add = |url: String, text: &str| ways.push(json!({ "url": url, "text": text }));
        let provider = provider.filter(|provider| provider.has_browser_flow());
        if let Some(provider) = provider {
            let login = login_url(cx, provider.name(), &self.next);
            match self.kind {
                Kind::Because(Reason::EmailInUse) => add(with_next("/account/sign-in", &login), "sign_in_and_connect"),
                Kind::Because(Reason::AccountInUse) if visitor.session.is_some() => {
                    add(with_parameter(&login, "prompt", "login"), "sign_in_other_account");
                }
                kind if kind.may_be_tried_again() => add(login, "try_again"),
                _ => {}
            }
        }
        if self.kind == Kind::OtherPerson {
            add(format!("{}/logout", cx.settings.mount.trim_end_matches('/')), "sign_out");
        }
        match (&visitor.session, self.kind) {
            (_, Kind::Because(Reason::EmailInUse)) if provider.is_some() => {}
            (None, Kind::SignedInOtherwise) => add(with_next("/account/sign-in", CONNECTIONS), "sign_in_title"),
            (None, _) => add(with_next("/account/sign-in", &self.next), "sign_in_otherwise"),
            (Some(_), _) => add(CONNECTIONS.to_owned(), "connections_title"),
        }
        if !self.next.is_empty() && self.next != CONNECTIONS && self.next != HOME {
            add(self.next.clone(), "go_back");
        }
        ways
    }
}

/// The way to a provider, and then to this address.
pub(super) fn login_url(cx: &Context, backend: &str, next: &str) -> String {
    with_next(&format!("{}/login/{backend}", cx.settings.mount.trim_end_matches('/')), next)
}

/// The address with `next`, if there is one.
fn with_next(address: &str, next: &str) -> String {
    if next.is_empty() { address.to_owned() } else { with_parameter(address, "next", next) }
}

fn with_parameter(address: &str, name: &str, value: &str) -> String {
    let mark = if address.contains('?') { '&' } else { '?' };
    let value: String = byte_serialize(value.as_bytes()).collect();
    format!("{address}{mark}{name}={value}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vestibule_protocol::{OAuthError, Reason};

    use super::{Kind, Setback};
    use crate::http::page::render;

    const REASONS: [Reason; 16] = [
        Reason::UnknownBackend,
        Reason::WrongTokenKind,
        Reason::TokenRejected,
        Reason::TokenExpired,
        Reason::ForeignAudience,
        Reason::UnprovenAudience,
        Reason::CodeRejected,
        Reason::NonceMismatch,
        Reason::ProviderUnreachable,
        Reason::ProviderMisconfigured,
        Reason::ProfileIncomplete,
        Reason::PersonInactive,
        Reason::PersonNotAllowed,
        Reason::EmailInUse,
        Reason::AccountInUse,
        Reason::SignupClosed,
    ];

    #[test]
    fn every_kind_has_its_words() {
        let own = [
            Kind::Declined,
            Kind::ProviderRefused,
            Kind::NotBegunHere,
            Kind::OtherSignIn,
            Kind::SignedInOtherwise,
            Kind::OtherPerson,
            Kind::ConnectOnly,
            Kind::TokensNotEnded,
            Kind::LastWayIn,
            Kind::NotConnected,
            Kind::Unfit,
            Kind::Ours,
        ];
        for kind in own.into_iter().chain(REASONS.map(Kind::Because)) {
            let context =
                json!({ "heading": "setback_heading", "provider": "<GitHub>", "sentence": kind.text(), "lang": "fr" });
            let page = render(None, "setback.html", &context).unwrap();
            assert!(!page.contains("setback_"), "{kind:?} {page}");
            assert!(page.contains("&lt;GitHub&gt;") && !page.contains("{provider}"), "{page}");
        }
    }

    #[test]
    fn a_refusal_of_another_room_keeps_its_reason_and_its_status() {
        let of = |error: OAuthError| {
            let setback = Setback::from(error);
            (setback.kind.word(), setback.kind.status(&setback.error))
        };
        let down = OAuthError::unavailable("down", 5).with_status(504).with_reason(Reason::ProviderUnreachable);
        assert_eq!(of(down), ("provider_unreachable", 504));
        assert_eq!(of(OAuthError::unavailable("the database", 5)), ("server_error", 503));
        let taken = OAuthError::invalid_grant("taken").with_reason(Reason::EmailInUse);
        assert_eq!(of(taken), ("email_in_use", 409));
        assert_eq!(of(OAuthError::invalid_request("twice")), ("invalid_request", 400));
    }
}
