//! `POST disconnect/{backend}` and `disconnect/{backend}/{association_id}`: a person takes accounts at a provider away from
//! their own. The provider is told before, where the operator wants that.

use axum::extract::{Path, State};
use axum::response::Response;
use vestibule_protocol::{ErrorCode, OAuthError};

use super::account::signed_in;
use super::destination::{CONNECTIONS, Outcome, destination};
use super::setback::{Kind, Setback};
use super::visitor::{Form, see_other};
use crate::admin::{Actor, associations};
use crate::context::{Context, Ctx};
use crate::entrance;
use crate::identity::disconnect::{self, Disconnected};
use crate::store::association::Association;
use crate::upstream::{Provider, ProviderTokens};

pub(super) async fn all(State(cx): State<Ctx>, Path(backend): Path<String>, form: Form) -> Response {
    run(&cx, &backend, None, form).await
}

pub(super) async fn one(State(cx): State<Ctx>, Path((backend, id)): Path<(String, String)>, form: Form) -> Response {
    // What is no number is nobody's.
    run(&cx, &backend, Some(id.parse().unwrap_or_default()), form).await
}

async fn run(cx: &Context, backend: &str, id: Option<i64>, form: Form) -> Response {
    let Form { params, visitor } = form;
    let session = match signed_in(&visitor, CONNECTIONS) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    let provider = cx.upstream.provider(backend);
    let policy = provider.map_or(&cx.settings.social, |provider| &provider.policy);
    let next = params.get("next").filter(|next| policy.may_lead_to(next));
    let setback = match carry_out(cx, session.user.id, backend, id).await {
        Ok(Disconnected::Done) => {
            return see_other(&destination(Outcome::Disconnected, policy, next).unwrap_or_default());
        }
        Ok(Disconnected::NotTheirs) => Setback::new(Kind::NotConnected, "There is no such association of theirs."),
        Ok(Disconnected::LastWayIn) => Setback::new(Kind::LastWayIn, "It is the last way in to this account."),
        Err(error) if error.reason.is_some() => Setback::because(Kind::TokensNotEnded, error),
        Err(error) => Setback::from(error),
    };
    setback.on_the_way_to(next.unwrap_or_default()).show(cx, &visitor, provider)
}

/// Takes the accounts at a provider away from a person, or the one with this id.
///
/// # Errors
/// The provider could not be told to end its tokens: then nothing is taken away. What the database says.
pub(super) async fn carry_out(
    cx: &Context,
    user_id: i64,
    backend: &str,
    id: Option<i64>,
) -> Result<Disconnected, OAuthError> {
    // One that is not enabled any more cannot be told, and must not hold anybody.
    if let Some(provider) = cx.upstream.provider(backend).filter(|provider| provider.policy.revoke_tokens_on_disconnect)
    {
        match disconnect::chosen(cx, user_id, backend, id).await? {
            Ok(chosen) => {
                for association in &chosen {
                    end_tokens(cx, provider, association).await?;
                }
            }
            Err(refused) => return Ok(refused),
        }
    }
    entrance::disconnect(cx, user_id, backend, id).await
}

/// Takes an account at a provider away from whoever has it, as staff.
///
/// # Errors
/// As [`carry_out`], and what `admin` says.
pub(super) async fn as_staff(cx: &Ctx, actor: &Actor, id: i64) -> Result<(), OAuthError> {
    let (own, _) = associations::find_to_disconnect(cx, actor, id).await?;
    if let Some(provider) =
        cx.upstream.provider(&own.provider).filter(|provider| provider.policy.revoke_tokens_on_disconnect)
    {
        end_tokens(cx, provider, &own).await?;
    }
    associations::disconnect(cx, actor, id).await
}

/// Tells the provider to end the tokens that it gave for an association.
async fn end_tokens(cx: &Context, provider: &Provider, association: &Association) -> Result<(), OAuthError> {
    let unreadable = |cause: Box<dyn std::error::Error + Send + Sync>| {
        let sentence = "The provider's tokens that are kept here cannot be read; the server's log tells why.";
        OAuthError::new(ErrorCode::ServerError, sentence).with_cause(cause)
    };
    let sealed = disconnect::tokens(cx, association).map_err(|error| unreadable(error.into()))?;
    let Some(tokens) = sealed else { return Ok(()) };
    let tokens: ProviderTokens = serde_json::from_slice(&tokens).map_err(|error| unreadable(error.into()))?;
    match cx.upstream.revoke(provider, &tokens).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let sentence = format!(
                "{} did not end its tokens, so the account is still connected. Try again later.",
                provider.title()
            );
            Err(OAuthError { description: sentence.into(), ..error })
        }
    }
}
