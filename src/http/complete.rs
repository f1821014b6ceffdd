//! `complete/{backend}`: a browser comes back from a provider, and somebody is signed in or has connected an account.
//!
//! Not here: the way there and what must match now (`login`), what is said when it does not (`setback`).

use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use serde_json::json;
use vestibule_protocol::{ErrorCode, OAuthError, Params, Reason};

use super::body::Body;
use super::destination::{Outcome, destination};
use super::login::{Journey, provider, redirect_uri};
use super::page::{self, Page};
use super::respond::Refusal;
use super::setback::{Kind, Setback};
use super::visitor::{Visitor, see_other};
use super::{cookie, email, posted, sign_in};
use crate::context::{Context, Ctx};
use crate::entrance;
use crate::grant::convert_token;
use crate::identity::link::{Arrived, Linked};
use crate::protocol::provider::Protocol;
use crate::statistics;
use crate::store::association;
use crate::upstream::{self, Declined, Identified, Provider, Return, Unasked};

/// The longest answer, in bytes, that goes on in a query; a longer one waits here.
const MOST_IN_A_QUERY: usize = 6 * 1024;

/// The enabled provider of this name that a browser comes from.
fn provider_back<'cx>(cx: &'cx Context, backend: &str) -> Result<&'cx Provider, OAuthError> {
    match cx.upstream.provider(backend) {
        Some(found) if found.starts_there() => Ok(found),
        _ => provider(cx, backend),
    }
}

/// A provider that answers by a form (`response_mode=form_post`, SAML) posts from another site, and a browser sends no cookie
/// with that: the answer goes on as a GET of our own.
pub(super) async fn post(
    State(cx): State<Ctx>,
    Path(backend): Path<String>,
    headers: HeaderMap,
    visitor: Visitor,
    body: Result<Body, Refusal>,
) -> Response {
    let params = match body {
        Err(refusal) => return page::refuse(&cx, &visitor, refusal.0),
        Ok(Body(params)) => params,
    };
    // What no sign-in of ours began has no cookie of ours to wait for.
    if let Ok(provider) = provider_back(&cx, &backend)
        && provider.is_unasked(&params)
    {
        let came = unasked(&cx, provider, &params, &headers, &visitor).await;
        return end(&cx, &visitor, provider, came).await;
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params.iter()).finish();
    let provider = provider_back(&cx, &backend).ok();
    let too_long = || OAuthError::invalid_request("This answer of the provider is too long.");
    // Kept only where answers are so long: a stranger's post is not ours to store.
    let is_long_by_nature = provider.is_some_and(|provider| provider.protocol() == Protocol::Saml);
    let query = match query.len() > MOST_IN_A_QUERY {
        false => Ok(query),
        true if is_long_by_nature => posted::keep(&cx, &query).await.map(|handle| format!("posted={handle}")),
        true => Err(too_long()),
    };
    let query = match query {
        Ok(query) => query,
        Err(error) => return Setback::from(error).show(&cx, &visitor, provider),
    };
    see_other(&format!("{}/complete/{backend}/?{query}", cx.settings.mount.trim_end_matches('/')))
}

pub(super) async fn get(
    State(cx): State<Ctx>,
    Path(backend): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    visitor: Visitor,
) -> Response {
    let begun = async {
        let provider = provider_back(&cx, &backend)?;
        let params = Params::from_form(query.unwrap_or_default().as_bytes())?;
        let params = match params.get("posted") {
            Some(handle) => posted::take(&cx, handle).await?.unwrap_or(params),
            None => params,
        };
        Ok::<_, OAuthError>((provider, provider.unpacked(params)?))
    };
    let (provider, params) = match begun.await {
        Ok(begun) => begun,
        Err(error) => return Setback::from(error).show(&cx, &visitor, provider_back(&cx, &backend).ok()),
    };
    if provider.begins_by(&params) {
        return see_other(&format!("{}/login/{backend}/", cx.settings.mount.trim_end_matches('/')));
    }
    if let Some(name) = provider.in_fragment(&params) {
        let state = params.get("redirect_state").unwrap_or_default();
        let context = json!({ "target": redirect_uri(&cx, &backend), "state": state, "name": name });
        return Page::new("fragment.html", context).show(&cx, &visitor);
    }
    let journey = Journey::of(&cx, &headers);
    let came = match (provider.is_unasked(&params), &journey) {
        (true, _) => unasked(&cx, provider, &params, &headers, &visitor).await,
        (false, Some(journey)) => {
            let arrived = arrive(&cx, provider, &params, &headers, &visitor, journey).await;
            arrived.map_err(|setback| setback.on_the_way_to(&journey.next))
        }
        (false, None) => {
            Err(Setback::new(Kind::NotBegunHere, "No sign-in of this browser waits for an answer, or not any more."))
        }
    };
    // What somebody else sent here ends nobody's sign-in.
    let goes_on = came.as_ref().is_err_and(|setback| setback.kind() == Kind::OtherSignIn);
    let mut answer = end(&cx, &visitor, provider, came).await;
    if !goes_on && let Some(gone) = cookie::journey(&cx, "", 0) {
        answer.headers_mut().append(SET_COOKIE, gone);
    }
    answer
}

async fn end(cx: &Context, visitor: &Visitor, provider: &Provider, came: Result<Came, Setback>) -> Response {
    match came {
        Ok(came) => go_on(cx, visitor, provider, came).await,
        Err(setback) => setback.show(cx, visitor, Some(provider)),
    }
}

/// What a journey came to, and where the browser wanted to go.
enum Came {
    /// Somebody is signed in by it.
    SignedIn(Box<Linked>, String),
    /// The account is connected to whom the session is.
    Connected(String),
    /// An address must be proven first: the answer leads to the page that asks for it.
    Waits(Response),
}

async fn go_on(cx: &Context, visitor: &Visitor, provider: &Provider, came: Came) -> Response {
    let to = |outcome, next: &str| destination(outcome, &provider.policy, Some(next)).unwrap_or_default();
    match came {
        Came::SignedIn(linked, next) => {
            let outcome = if linked.is_new { Outcome::NewUser } else { Outcome::SignedIn };
            sign_in::enter_from(cx, visitor, &linked.user, provider, &to(outcome, &next)).await
        }
        Came::Connected(next) => see_other(&to(Outcome::NewAssociation, &next)),
        Came::Waits(answer) => answer,
    }
}

async fn arrive(
    cx: &Context,
    provider: &Provider,
    params: &Params,
    headers: &HeaderMap,
    visitor: &Visitor,
    journey: &Journey,
) -> Result<Came, Setback> {
    let state = upstream::STATES.iter().find_map(|name| params.get(name)).unwrap_or_default();
    let same = aws_lc_rs::constant_time::verify_slices_are_equal(journey.state.as_bytes(), state.as_bytes());
    // Where no state can come back, the request token that is sealed with the browser is compared instead.
    let is_bound = same.is_ok() || state.is_empty() && provider.is_bound_by_token();
    if journey.backend != provider.name() || !is_bound {
        return Err(Setback::new(Kind::OtherSignIn, "The answer is not that of the sign-in that this browser began."));
    }
    declined(provider, params)?;
    let redirect_uri = redirect_uri(cx, provider.name());
    let cookies = |name: &str| cookie::foreign(headers, name);
    let back = Return {
        params,
        request: &journey.request,
        redirect_uri: &redirect_uri,
        state: &journey.state,
        nonce: &journey.nonce,
        code_verifier: &journey.code_verifier,
        kept: &journey.kept,
        cookies: &cookies,
    };
    // Whoever set out signed in connects the account, and only to the one who set out.
    let session = match (journey.connecting, &visitor.session) {
        (None, _) => None,
        (Some(id), Some(session)) if session.user.id == id => Some(session),
        (Some(_), _) => {
            let sentence = "Whoever set out to connect an account is not signed in in this browser any more.";
            return Err(Setback::new(Kind::SignedInOtherwise, sentence));
        }
    };
    let identified = convert_token::arrived(cx, provider, &back).await?;
    if let Some(session) = session {
        entrance::connect(cx, provider, &identified, &session.user).await?;
        statistics::connected(cx, provider.name());
        return Ok(Came::Connected(journey.next.clone()));
    }
    Ok(signed_in(cx, provider, identified, &journey.next).await?)
}

async fn signed_in(
    cx: &Context,
    provider: &Provider,
    mut identified: Identified,
    next: &str,
) -> Result<Came, OAuthError> {
    Ok(match convert_token::arrive(cx, provider, &mut identified).await? {
        Arrived::In(linked) => Came::SignedIn(linked, next.to_owned()),
        Arrived::NeedsEmail(_) => Came::Waits(email::begin(cx, provider, &identified, next).await?),
    })
}

/// Who came though no sign-in of ours began. Nobody is connected by that, nor signed in over somebody else: the person at
/// the browser may have wanted nothing of it.
async fn unasked(
    cx: &Context,
    provider: &Provider,
    params: &Params,
    headers: &HeaderMap,
    visitor: &Visitor,
) -> Result<Came, Setback> {
    declined(provider, params)?;
    let cookies = |name: &str| cookie::foreign(headers, name);
    let identified = convert_token::came(cx, provider, &Unasked { params, cookies: &cookies }).await?;
    if let Some(session) = &visitor.session {
        let owner =
            association::find(&cx.db, provider.name(), &identified.profile.uid).await.map_err(OAuthError::from)?;
        if owner.is_none_or(|(_, owner)| owner.id != session.user.id) {
            let sentence = "Somebody else is signed in in this browser than came, unasked, from the provider.";
            return Err(Setback::new(Kind::OtherPerson, sentence));
        }
    }
    Ok(signed_in(cx, provider, identified, "").await?)
}

/// Whether the provider, or the person there, said no.
fn declined(provider: &Provider, params: &Params) -> Result<(), Setback> {
    let Some(declined) = provider.declined(params) else { return Ok(()) };
    // Its word, as far as it is one, is for the log; its sentence is anybody's who makes a link.
    let is_word =
        |word: &&str| word.len() <= 64 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let word = params.get("error").filter(is_word).unwrap_or("(no word)");
    let setback = match declined {
        Declined::ByPerson => Setback::new(Kind::Declined, "The person said no at the provider."),
        Declined::ByProvider => Setback::new(Kind::ProviderRefused, "The provider answered with an error."),
        Declined::ForNow => {
            let error =
                OAuthError::new(ErrorCode::TemporarilyUnavailable, "The provider says that it is down or busy.");
            Setback::from(error.with_reason(Reason::ProviderUnreachable))
        }
    };
    Err(setback.with_cause(format!("the provider's error is {word}")))
}
