//! Steps of the operator's own around the decision who somebody is: functions of an embedding API, and webhooks.
//!
//! Both see the same [`Arrival`] and answer the same [`Verdict`]; both are told the same [`Event`]s. A step is asked before
//! the decision and told after its commit; no transaction is open while it runs.
//! Not here: the decision (`identity::link`), and where the steps stand around it (`entrance`).

mod deliver;
mod webhook;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::mpsc::{self, Receiver, Sender};
use vestibule_protocol::{OAuthError, Profile, Reason, TokenDigest};

use crate::context::Context;
use crate::mail::plain_address;
use crate::settings::{HookSettings, OnFailure, Policy, Settings};
use crate::store::association;
use crate::store::user::User;
pub use deliver::deliver_due;
pub(crate) use deliver::work;
use webhook::Webhook;

/// The one event that is a question.
const ARRIVING: &str = "person.arriving";
/// How long a function may take.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(3);
/// Events that wait for functions; more are dropped with a warning.
const WAITING: usize = 4_096;
/// Seconds after which somebody may try again who could not be asked about.
const RETRY_AFTER: u32 = 5;
/// The longest sentence of a refusal, and the longest text of a change, in characters.
const LONGEST: usize = 500;

/// What goes wrong in a function.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Somebody whom a provider has vouched for, before it is decided who that is to us.
#[derive(Clone, Debug, Serialize)]
pub struct Arrival {
    /// The provider's name.
    pub backend: String,
    /// What they want.
    pub purpose: Purpose,
    /// What the provider says of them, as the steps before have left it. There is no token in it.
    pub profile: Profile,
    /// Whose account it is already, or who connects it. `None`: somebody new, or known by their address at most.
    pub user: Option<Person>,
}

/// What somebody wants who arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To come in.
    SignIn,
    /// To connect the account to the one that they are signed in to.
    Connect,
}

/// One of our people.
#[derive(Clone, Debug, Serialize)]
pub struct Person {
    /// Our number.
    pub id: i64,
    /// See [`User`].
    pub username: String,
    /// See [`User`].
    pub email: String,
    /// See [`User`].
    pub email_verified: bool,
    /// See [`User`].
    pub first_name: String,
    /// See [`User`].
    pub last_name: String,
}

/// What is to become of somebody who arrives.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "verdict", rename_all = "lowercase", deny_unknown_fields)]
pub enum Verdict {
    /// The decision goes on.
    Allow,
    /// They are kept out.
    Refuse {
        /// What they are told.
        sentence: String,
    },
    /// The decision goes on with other details.
    Change {
        /// What is different.
        profile: Changes,
    },
}

/// Details that stand in for those of the provider; what is `None` stays. The identifier cannot be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Changes {
    /// A new person's username, before the operator's rules for usernames.
    pub username: Option<String>,
    /// The address; empty is none. It is unverified unless `email_verified` says otherwise.
    pub email: Option<String>,
    /// Whether somebody has verified the address.
    pub email_verified: Option<bool>,
    /// Given name; empty is none.
    pub first_name: Option<String>,
    /// Family name; empty is none.
    pub last_name: Option<String>,
    /// Members over those of the provider's answer. What of it is kept, `extra_data` says.
    pub extra: Map<String, Value>,
}

/// Something that has happened.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// What.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// When, in seconds since 1970.
    pub timestamp: i64,
    /// With whom.
    pub data: EventData,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum EventKind {
    /// Somebody new has an account.
    #[serde(rename = "user.created")]
    UserCreated,
    /// An account at a provider was connected to a person.
    #[serde(rename = "association.created")]
    AssociationCreated,
    /// A person has signed in by a provider.
    #[serde(rename = "user.signed_in")]
    SignedIn,
    /// An account at a provider was taken away from a person.
    #[serde(rename = "association.deleted")]
    AssociationDeleted,
}

/// With whom it has happened.
#[derive(Clone, Debug, Serialize)]
pub struct EventData {
    /// The person.
    pub user: Person,
    /// The provider's name; for somebody who has signed up here, this server's own (`proprietary_backend_name`).
    pub backend: String,
    /// The provider's identifier for the person.
    pub uid: Option<String>,
    /// The tie between both; `None` where there is none, for somebody who has signed up here.
    pub association_id: Option<i64>,
}

impl EventKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::UserCreated => "user.created",
            Self::AssociationCreated => "association.created",
            Self::SignedIn => "user.signed_in",
            Self::AssociationDeleted => "association.deleted",
        }
    }
}

impl From<&User> for Person {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            username: user.username.clone(),
            email: user.email.clone(),
            email_verified: user.email_verified,
            first_name: user.first_name.clone(),
            last_name: user.last_name.clone(),
        }
    }
}

type Asked = Arc<dyn Fn(Arrival) -> BoxFuture<'static, Result<Verdict, BoxError>> + Send + Sync>;
type Told = Arc<dyn Fn(Event) -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;

/// The functions of an embedding API, before the server is opened.
#[derive(Clone, Default)]
pub(crate) struct Functions {
    asked: Vec<Asked>,
    told: Vec<Told>,
}

impl Functions {
    pub fn ask<F, Fut>(&mut self, function: F)
    where
        F: Fn(Arrival) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Verdict, BoxError>> + Send + 'static,
    {
        self.asked.push(Arc::new(move |arrival| Box::pin(function(arrival))));
    }

    pub fn tell<F, Fut>(&mut self, function: F)
    where
        F: Fn(Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.told.push(Arc::new(move |event| Box::pin(function(event))));
    }
}

/// Every step, and what the steps said lately of those who come with every request.
pub struct Hooks {
    functions: Functions,
    webhooks: BTreeMap<String, Webhook>,
    events: Sender<Event>,
    due: Sender<()>,
    verdicts: moka::sync::Cache<(String, TokenDigest), (Arc<Profile>, i64)>,
    ttl: i64,
}

/// What the tasks that tell listen to; it ends with the [`Hooks`].
pub(crate) struct Listeners {
    events: Receiver<Event>,
    due: Receiver<()>,
}

impl Hooks {
    /// Reads the settings. Nothing is called.
    ///
    /// # Errors
    /// The key that is wrong, and a sentence that repeats no secret.
    pub(crate) fn new(settings: &Settings, functions: Functions) -> Result<(Self, Listeners), (String, String)> {
        let read = |(name, own): (&String, &HookSettings)| {
            let webhook = Webhook::new(own).map_err(|(key, sentence)| (format!("hooks.{name}.{key}"), sentence))?;
            Ok::<_, (String, String)>((name.clone(), webhook))
        };
        let webhooks = settings.hooks.iter().map(read).collect::<Result<_, _>>()?;
        let (events, hears) = mpsc::channel(WAITING);
        let (due, delivers) = mpsc::channel(1);
        let ttl = settings.tokens.provider_token_ttl;
        let verdicts = moka::sync::Cache::builder().max_capacity(10_000).time_to_live(ttl.max(Duration::from_secs(1)));
        let ttl = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        let hooks = Self { functions, webhooks, events, due, verdicts: verdicts.build(), ttl };
        Ok((hooks, Listeners { events: hears, due: delivers }))
    }

    fn asks_nobody(&self) -> bool {
        self.functions.asked.is_empty() && !self.webhooks.values().any(|webhook| webhook.settings.hears(ARRIVING))
    }
}

/// The profile as the steps want it: functions first, then the webhooks by name, each with what the one before left.
///
/// # Errors
/// `invalid_grant` with `person_not_allowed` and a step's own sentence; 503 where a step did not answer and nobody comes in
/// unasked.
pub async fn ask(
    cx: &Context,
    backend: &str,
    profile: &Profile,
    connecting: Option<&User>,
) -> Result<Profile, OAuthError> {
    if cx.hooks.asks_nobody() {
        return Ok(profile.clone());
    }
    let (purpose, user) = match connecting {
        Some(user) => (Purpose::Connect, Some(Person::from(user))),
        None => {
            let found = association::find(&cx.db, backend, &profile.uid).await?;
            (Purpose::SignIn, found.map(|(_, user)| Person::from(&user)))
        }
    };
    let mut profile = profile.clone();
    let arrival = |profile: &Profile| {
        let mut shown = profile.clone();
        shown.extra.retain(|name, _| !Policy::is_secret(name));
        Arrival { backend: backend.to_owned(), purpose, profile: shown, user: user.clone() }
    };
    for function in &cx.hooks.functions.asked {
        let answered = run(function(arrival(&profile))).await;
        heed(&mut profile, "a function", OnFailure::Refuse, answered)?;
    }
    for (name, webhook) in &cx.hooks.webhooks {
        if webhook.settings.hears(ARRIVING) {
            let answered = webhook.ask(cx, &arrival(&profile)).await;
            heed(&mut profile, name, webhook.settings.on_failure, answered)?;
        }
    }
    Ok(profile)
}

/// As [`ask`] for somebody who comes with a provider's token at every request: asked as often as the provider is.
///
/// # Errors
/// As [`ask`].
pub async fn ask_remembered(
    cx: &Context,
    backend: &str,
    token: &str,
    profile: &Profile,
) -> Result<Arc<Profile>, OAuthError> {
    if cx.hooks.asks_nobody() {
        return Ok(Arc::new(profile.clone()));
    }
    let key = (backend.to_owned(), TokenDigest::of(token));
    let now = cx.clock.now();
    if let Some((profile, _)) = cx.hooks.verdicts.get(&key).filter(|(_, until)| *until > now) {
        return Ok(profile);
    }
    let profile = Arc::new(ask(cx, backend, profile, None).await?);
    cx.hooks.verdicts.insert(key, (profile.clone(), now.saturating_add(cx.hooks.ttl)));
    Ok(profile)
}

/// Tells every step that wants to know. What cannot be noted is logged: it has happened all the same.
pub async fn tell(cx: &Context, kinds: &[EventKind], data: EventData) {
    let timestamp = cx.clock.now();
    let events: Vec<Event> = kinds.iter().map(|kind| Event { kind: *kind, timestamp, data: data.clone() }).collect();
    if !cx.hooks.webhooks.is_empty()
        && let Err(error) = deliver::note(cx, &events).await
    {
        tracing::error!(error = ?error, "webhooks will not be told of what happened");
    }
    if !cx.hooks.functions.told.is_empty() {
        for event in events {
            if cx.hooks.events.try_send(event).is_err() {
                tracing::warn!("more has happened than the functions can be told of; they miss an event");
            }
        }
    }
}

/// Runs a function under its time-out, in a task of its own: what panics there harms nobody.
async fn run<T: Send + 'static>(work: BoxFuture<'static, Result<T, BoxError>>) -> Result<T, String> {
    let mut task = tokio::spawn(work);
    match tokio::time::timeout(FUNCTION_TIMEOUT, &mut task).await {
        Ok(Ok(outcome)) => outcome.map_err(|error| error.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => {
            task.abort();
            Err("it did not answer in time".to_owned())
        }
    }
}

/// One rule for functions and webhooks: what a verdict, or none, means.
fn heed(
    profile: &mut Profile,
    step: &str,
    on_failure: OnFailure,
    answered: Result<Verdict, String>,
) -> Result<(), OAuthError> {
    let outcome = answered.and_then(|verdict| match verdict {
        Verdict::Allow => Ok(None),
        Verdict::Refuse { sentence } => Ok(Some(sentence)),
        Verdict::Change { profile: changes } => changes.apply(profile).map(|()| None),
    });
    match (outcome, on_failure) {
        (Ok(None), _) => Ok(()),
        (Ok(Some(sentence)), _) => {
            let sentence = clean(&sentence);
            let sentence = if sentence.is_empty() { "This person may not come in.".to_owned() } else { sentence };
            Err(OAuthError::invalid_grant(sentence).with_reason(Reason::PersonNotAllowed))
        }
        (Err(why), OnFailure::Allow) => {
            tracing::warn!(hook = step, error = why, "a hook did not answer; somebody comes in unasked");
            Ok(())
        }
        (Err(why), OnFailure::Refuse) => {
            let sentence = "It could not be asked whether this person may come in; try again shortly.";
            Err(OAuthError::unavailable(sentence, RETRY_AFTER).with_cause(format!("hook {step}: {why}")))
        }
    }
}

impl Changes {
    fn apply(self, profile: &mut Profile) -> Result<(), String> {
        let long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.chars().count() > LONGEST);
        if [&self.username, &self.first_name, &self.last_name].into_iter().any(long) {
            return Err(format!("it changes a name to one of more than {LONGEST} characters"));
        }
        let text = |text: String| Some(clean(&text)).filter(|text| !text.is_empty());
        if let Some(email) = self.email {
            profile.email = match email.is_empty() {
                true => None,
                false => Some(plain_address(&email).ok_or("it changes the address to what is none")?.to_owned()),
            };
            profile.email_verified = false;
        }
        if let Some(is_verified) = self.email_verified {
            profile.email_verified = is_verified && profile.email.is_some();
        }
        if let Some(username) = self.username {
            profile.username = text(username);
        }
        if let Some(name) = self.first_name {
            profile.first_name = text(name);
        }
        if let Some(name) = self.last_name {
            profile.last_name = text(name);
        }
        profile.extra.extend(self.extra);
        Ok(())
    }
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vestibule_protocol::Profile;

    use super::{Changes, EventKind, OnFailure, Verdict, heed};
    use crate::settings::HOOK_EVENTS;

    fn profile() -> Profile {
        Profile {
            uid: "1".into(),
            email: Some("ada@example.com".into()),
            email_verified: true,
            first_name: Some("Ada".into()),
            ..Profile::default()
        }
    }

    fn changed(changes: serde_json::Value) -> Result<Profile, u16> {
        let verdict: Verdict = serde_json::from_value(json!({"verdict": "change", "profile": changes})).unwrap();
        let mut profile = profile();
        heed(&mut profile, "x", OnFailure::Refuse, Ok(verdict)).map_err(|error| error.status())?;
        Ok(profile)
    }

    #[test]
    fn a_changed_address_is_unverified_unless_the_step_says_otherwise() {
        let told = |changes| changed(changes).map(|profile| (profile.email, profile.email_verified));

        assert_eq!(told(json!({"email": "b@example.com"})), Ok((Some("b@example.com".into()), false)));
        let verified = json!({"email": "b@example.com", "email_verified": true});
        assert_eq!(told(verified), Ok((Some("b@example.com".into()), true)));
        assert_eq!(told(json!({"email": "", "email_verified": true})), Ok((None, false)));
        assert_eq!(told(json!({"first_name": "B"})), Ok((Some("ada@example.com".into()), true)));
        assert_eq!(told(json!({"email": "no address"})), Err(503), "a step that answers nonsense has failed");
    }

    #[test]
    fn names_are_cleaned_and_the_identifier_stays() {
        let names = json!({"first_name": "", "last_name": "L\u{7}", "username": "ada", "extra": {"plan": "pro"}});
        let profile = changed(names).unwrap();

        assert_eq!((profile.first_name, profile.last_name.as_deref()), (None, Some("L")));
        assert_eq!((profile.username.as_deref(), profile.extra["plan"].as_str()), (Some("ada"), Some("pro")));
        assert!(serde_json::from_value::<Changes>(json!({"uid": "2"})).is_err());
        assert_eq!(changed(json!({"username": "x".repeat(501)})), Err(503));
    }

    #[test]
    fn a_step_that_fails_refuses_unless_the_operator_says_otherwise() {
        let heed = |on_failure, answered| heed(&mut profile(), "x", on_failure, answered);

        assert_eq!(heed(OnFailure::Refuse, Err("away".into())).unwrap_err().status(), 503);
        assert!(heed(OnFailure::Allow, Err("away".into())).is_ok());
        let refused = heed(OnFailure::Allow, Ok(Verdict::Refuse { sentence: "No\n entry.".into() })).unwrap_err();
        assert_eq!((refused.status(), refused.description.as_ref()), (400, "No entry."));
    }

    #[test]
    fn the_settings_know_every_event() {
        let kinds =
            [EventKind::UserCreated, EventKind::AssociationCreated, EventKind::SignedIn, EventKind::AssociationDeleted];
        for kind in kinds {
            assert!(HOOK_EVENTS.contains(&kind.as_str()));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        assert!(HOOK_EVENTS.contains(&super::ARRIVING) && HOOK_EVENTS.len() == kinds.len() + 1);
    }
}
