//! From what a provider says to one of our people: the one decision.
//!
//! [`decide`] reads from top to bottom and touches nothing. [`sign_in`] and [`connect`] look up what it needs, hold the
//! account and the address against everybody else, and do what it says, in one transaction. A taken e-mail address is
//! never a way into somebody's account unless the operator says so and both sides verified it.
//! Not here: whether the provider's word is good (`upstream`).

use vestibule_protocol::{OAuthError, Profile, Reason, hex};

use crate::context::{Context, random};
use crate::settings::{OnTakenEmail, ProviderSettings};
use crate::store::association::{self, Association};
use crate::store::user::{self, NewUser, User};
use crate::store::{self, Tx};

/// Somebody whom a provider has vouched for.
pub struct Arrival<'a> {
    /// The provider's name.
    pub provider: &'a str,
    /// Whom it speaks of.
    pub profile: &'a Profile,
    /// The operator's rules for this provider.
    pub policy: &'a ProviderSettings,
    /// The provider's tokens, to be sealed.
    pub tokens: &'a [u8],
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Linked {
    /// Whose account it is.
    pub user: User,
    /// The tie between both.
    pub association_id: i64,
    /// Whether the account was made just now.
    pub is_new: bool,
}

/// What is to be done with an arrival.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// It is this person's account already.
    Known,
    /// Connect it to this person.
    Connect(User),
    /// Make a person of it.
    Create,
    /// Keep it out.
    Refuse(Reason),
}

fn decide(
    profile: &Profile,
    policy: &ProviderSettings,
    association: Option<&(Association, User)>,
    signed_in: Option<&User>,
    owners_of_email: &[User],
) -> Decision {
    if !is_allowed(profile, policy) {
        return Decision::Refuse(Reason::PersonNotAllowed);
    }
    if let Some((_, owner)) = association {
        return match signed_in {
            Some(user) if user.id != owner.id => Decision::Refuse(Reason::AccountInUse),
            _ if !owner.is_active => Decision::Refuse(Reason::PersonInactive),
            _ => Decision::Known,
        };
    }
    if let Some(user) = signed_in {
        return Decision::Connect(user.clone());
    }
    match (owners_of_email, policy.on_taken_email) {
        ([], _) | (_, OnTakenEmail::Create) => {}
        // Both sides: whoever signed up with somebody's address first, unproven, must not be waiting in the account.
        ([owner], OnTakenEmail::Associate) if owner.email_verified && profile.email_verified => {
            return match owner.is_active {
                true => Decision::Connect(owner.clone()),
                false => Decision::Refuse(Reason::PersonInactive),
            };
        }
        _ => return Decision::Refuse(Reason::EmailInUse),
    }
    match policy.allow_signup.unwrap_or(true) {
        true => Decision::Create,
        false => Decision::Refuse(Reason::SignupClosed),
    }
}

/// python-social-auth's `auth_allowed`: with a list, the address or its domain must be on one of them.
fn is_allowed(profile: &Profile, policy: &ProviderSettings) -> bool {
    if policy.allowed_emails.is_empty() && policy.allowed_domains.is_empty() {
        return true;
    }
    // An address that is not plainly `local@domain` has no domain, and is on no list.
    let (Some(email), Some(domain)) = (&profile.email, profile.email_domain()) else { return false };
    policy.allowed_emails.iter().any(|allowed| allowed.eq_ignore_ascii_case(email))
        || policy.allowed_domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(&domain))
}

/// The person of this arrival, made if it is nobody yet.
///
/// # Errors
/// `invalid_grant` with the [`Reason`]; nothing is stored then.
pub async fn sign_in(cx: &Context, arrival: &Arrival<'_>) -> Result<Linked, OAuthError> {
    if let Some(linked) = unchanged(cx, arrival).await? {
        return Ok(linked);
    }
    link(cx, arrival, None).await
}

/// Connects this arrival to a person who is signed in.
///
/// # Errors
/// As [`sign_in`]; `account_in_use` if it is somebody else's.
pub async fn connect(cx: &Context, arrival: &Arrival<'_>, user: &User) -> Result<Linked, OAuthError> {
    link(cx, arrival, Some(user)).await
}

/// Whether an account that is known may come in: whoever the operator's lists keep out now is kept out, however they came
/// in once.
pub fn may_come_in(profile: &Profile, policy: &ProviderSettings, found: &(Association, User)) -> bool {
    decide(profile, policy, Some(found), None, &[]) == Decision::Known
}

/// The person of this arrival, if signing in would change nothing but the time of it: most sign-ins write nothing here.
async fn unchanged(cx: &Context, arrival: &Arrival<'_>) -> Result<Option<Linked>, OAuthError> {
    let Some(found) = association::find(&cx.db, arrival.provider, &arrival.profile.uid).await? else { return Ok(None) };
    if !may_come_in(arrival.profile, arrival.policy, &found) {
        return Ok(None);
    }
    let (association, user) = found;
    let seen_lately = user.last_login.is_some_and(|at| cx.clock.now() - at < 60);
    let same_tokens =
        association.sealed_tokens.as_deref().and_then(|sealed| cx.keys.open(&purpose(arrival), sealed).ok());
    let nothing_new = seen_lately
        && same_tokens.as_deref() == Some(arrival.tokens)
        && refreshed(&user, arrival.profile, false).is_none();
    Ok(nothing_new.then_some(Linked { user, association_id: association.id, is_new: false }))
}

async fn link(cx: &Context, arrival: &Arrival<'_>, signed_in: Option<&User>) -> Result<Linked, OAuthError> {
    let sealed = cx.keys.seal(&purpose(arrival), arrival.tokens).map_err(|error| {
        OAuthError::new(vestibule_protocol::ErrorCode::ServerError, "The server cannot seal the provider's tokens.")
            .with_cause(error)
    })?;
    let work = Work {
        provider: arrival.provider.to_owned(),
        profile: arrival.profile.clone(),
        policy: arrival.policy.clone(),
        sealed,
        signed_in: signed_in.map(|user| user.id),
        now: cx.clock.now(),
    };
    let outcome = cx.db.write(move |tx| Box::pin(async move { work.run(tx).await })).await?;
    match outcome {
        Ok(linked) => {
            cx.metrics.linked(arrival.provider, linked.is_new);
            Ok(linked)
        }
        Err(reason) => Err(refusal(reason, arrival.provider)),
    }
}

/// The same decision again, within the transaction that acts on it.
struct Work {
    provider: String,
    profile: Profile,
    policy: ProviderSettings,
    sealed: Vec<u8>,
    signed_in: Option<i64>,
    now: i64,
}

impl Work {
    async fn run(self, tx: &mut Tx<'_>) -> store::Result<Result<Linked, Reason>> {
        // Twenty first sign-ins of one person go through here one by one; so do two people with one address.
        tx.lock(&format!("account {} {}", self.provider, self.profile.uid)).await?;
        if let Some(email) = &self.profile.email {
            tx.lock(&format!("email {}", user::email_key(email))).await?;
        }
        let association = association::find_in(tx, &self.provider, &self.profile.uid).await?;
        let owners = match &self.profile.email {
            Some(email) => user::with_email(tx, email).await?,
            None => Vec::new(),
        };
        let signed_in = match self.signed_in {
            Some(id) => {
                user::find_in(tx, id).await?.filter(|user| user.is_active).map(Some).ok_or(Reason::PersonInactive)
            }
            None => Ok(None),
        };
        let signed_in = match signed_in {
            Ok(user) => user,
            Err(reason) => return Ok(Err(reason)),
        };
        match decide(&self.profile, &self.policy, association.as_ref(), signed_in.as_ref(), &owners) {
            Decision::Refuse(reason) => Ok(Err(reason)),
            Decision::Known => {
                let Some((association, user)) = association else {
                    return Err(store::Error::broken("known without an association"));
                };
                association::update_tokens(tx, association.id, self.sealed.clone(), self.now).await?;
                let user = self.enter(tx, user, &owners).await?;
                Ok(Ok(Linked { user, association_id: association.id, is_new: false }))
            }
            Decision::Connect(user) => {
                let association_id = self.associate(tx, user.id).await?;
                let user = self.enter(tx, user, &owners).await?;
                Ok(Ok(Linked { user, association_id, is_new: false }))
            }
            Decision::Create => {
                let user = self.create(tx).await?;
                let association_id = self.associate(tx, user.id).await?;
                Ok(Ok(Linked { user, association_id, is_new: true }))
            }
        }
    }

    async fn associate(&self, tx: &mut Tx<'_>, user_id: i64) -> store::Result<i64> {
        association::insert(tx, user_id, &self.provider, &self.profile.uid, self.sealed.clone(), self.now)
            .await?
            .ok_or_else(|| store::Error::broken("an association was not stored"))
    }

    /// Brings a known person's details up to date and notes the sign-in.
    async fn enter(&self, tx: &mut Tx<'_>, user: User, owners_of_email: &[User]) -> store::Result<User> {
        let email_is_free = owners_of_email.iter().all(|owner| owner.id == user.id);
        let fresh = refreshed(&user, &self.profile, email_is_free);
        if let Some(fresh) = &fresh {
            user::update_details(tx, fresh).await?;
        }
        user::note_login(tx, user.id, self.now).await?;
        Ok(fresh.unwrap_or(user))
    }

    /// Makes a person, under a username that nobody has.
    async fn create(&self, tx: &mut Tx<'_>) -> store::Result<User> {
        let wanted = username(&self.profile);
        let mut new = NewUser {
            username: wanted.clone(),
            email: self.profile.email.clone().unwrap_or_default(),
            email_verified: self.profile.email_verified && self.profile.email.is_some(),
            first_name: clipped(self.profile.first_name.as_deref()),
            last_name: clipped(self.profile.last_name.as_deref()),
            ..NewUser::default()
        };
        loop {
            if !new.username.is_empty()
                && let Some(user) = user::insert(tx, &new, self.now).await?
            {
                user::note_login(tx, user.id, self.now).await?;
                return Ok(user);
            }
            let suffix = hex(&random::<8>());
            let kept: String = wanted.chars().take(USERNAME_CHARS - suffix.len()).collect();
            new.username = kept + &suffix;
        }
    }
}

/// What came of disconnecting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disconnected {
    /// It is gone.
    Done,
    /// There is no such association, or it is somebody else's or another provider's.
    NotTheirs,
    /// Without it nobody could get into the account any more.
    LastWayIn,
}

/// Takes an account at a provider away from a person, unless it is the last way in to an account without a password.
///
/// # Errors
/// What the database says.
pub async fn disconnect(
    cx: &Context,
    user_id: i64,
    provider: &str,
    association_id: i64,
) -> Result<Disconnected, OAuthError> {
    let provider = provider.to_owned();
    let outcome = cx
        .db
        .write(move |tx| {
            Box::pin(async move {
                // Two at once must not both see the other one as the way that is left.
                tx.lock(&format!("associations of {user_id}")).await?;
                let all = association::of_user_in(tx, user_id).await?;
                if !all.iter().any(|own| own.id == association_id && own.provider == provider) {
                    return Ok(Disconnected::NotTheirs);
                }
                let has_password = user::find_in(tx, user_id).await?.is_some_and(|user| user.has_password());
                if all.len() == 1 && !has_password {
                    return Ok(Disconnected::LastWayIn);
                }
                association::delete(tx, association_id, user_id).await?;
                Ok(Disconnected::Done)
            })
        })
        .await?;
    Ok(outcome)
}

/// Django's limits for a username and for a name, in characters.
const USERNAME_CHARS: usize = 150;
const NAME_CHARS: usize = 150;

/// The provider's username, else the local part of the address, cleaned as python-social-auth does: word characters and
/// `.@+-`. Empty where nothing is left.
fn username(profile: &Profile) -> String {
    let local_part = || profile.email.as_deref().and_then(|email| email.split('@').next());
    let wanted = profile.username.as_deref().filter(|name| !name.is_empty()).or_else(local_part).unwrap_or_default();
    wanted.chars().filter(|c| c.is_ascii_alphanumeric() || "_.@+-".contains(*c)).take(USERNAME_CHARS).collect()
}

fn clipped(name: Option<&str>) -> String {
    name.unwrap_or_default().chars().filter(|c| !c.is_control()).take(NAME_CHARS).collect()
}

/// The person with fresh details, if the provider has any. A name is taken as it comes; an address only where there was
/// none and nobody else has it, and a verified mark only for the address that the person has. Never the username, a
/// password, or what the person may do.
fn refreshed(user: &User, profile: &Profile, email_is_free: bool) -> Option<User> {
    let mut fresh = user.clone();
    if let Some(first_name) = &profile.first_name {
        fresh.first_name = clipped(Some(first_name));
    }
    if let Some(last_name) = &profile.last_name {
        fresh.last_name = clipped(Some(last_name));
    }
    if let Some(email) = &profile.email {
        if user.email.is_empty() && email_is_free {
            fresh.email.clone_from(email);
            fresh.email_verified = profile.email_verified;
        } else if user::email_key(&user.email) == user::email_key(email) && profile.email_verified {
            fresh.email_verified = true;
        }
    }
    (fresh != *user).then_some(fresh)
}

fn purpose(arrival: &Arrival<'_>) -> String {
    format!("tokens of {} {}", arrival.provider, arrival.profile.uid)
}

fn refusal(reason: Reason, provider: &str) -> OAuthError {
    let sentence = match reason {
        Reason::PersonNotAllowed => "The operator lets only some addresses or domains in from this backend, and this person's is not among them.".to_owned(),
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

#[cfg(test)]
mod tests {
    use vestibule_protocol::{Profile, Reason};

    use super::{Association, Decision, User, decide, refreshed, username};
    use crate::settings::{OnTakenEmail, ProviderSettings};

    fn person(id: i64) -> User {
        User {
            id,
            username: format!("person{id}"),
            email: "ada@example.com".into(),
            email_verified: true,
            first_name: String::new(),
            last_name: String::new(),
            password: None,
            is_active: true,
            is_staff: false,
            is_superuser: false,
            date_joined: 0,
            last_login: None,
            token_epoch: 0,
            claims: "{}".to_owned(),
        }
    }

    fn association(user_id: i64) -> Association {
        Association { id: 1, user_id, provider: "p".into(), uid: "1".into(), sealed_tokens: None, created_at: 0 }
    }

    fn profile() -> Profile {
        Profile { uid: "1".into(), email: Some("ada@example.com".into()), email_verified: true, ..Profile::default() }
    }

    fn policy(on_taken_email: OnTakenEmail) -> ProviderSettings {
        ProviderSettings { on_taken_email, ..ProviderSettings::default() }
    }

    #[test]
    fn a_known_account_is_its_persons_and_nobody_elses() {
        let known = (association(7), person(7));
        let inactive = (association(7), User { is_active: false, ..person(7) });
        let policy = policy(OnTakenEmail::Refuse);

        assert_eq!(decide(&profile(), &policy, Some(&known), None, &[]), Decision::Known);
        assert_eq!(decide(&profile(), &policy, Some(&known), Some(&person(7)), &[]), Decision::Known);
        assert_eq!(
            decide(&profile(), &policy, Some(&known), Some(&person(8)), &[]),
            Decision::Refuse(Reason::AccountInUse)
        );
        assert_eq!(decide(&profile(), &policy, Some(&inactive), None, &[]), Decision::Refuse(Reason::PersonInactive));
        assert_eq!(decide(&profile(), &policy, None, Some(&person(8)), &[person(7)]), Decision::Connect(person(8)));
    }

    #[test]
    fn a_taken_address_lets_in_only_where_the_operator_says_so_and_both_sides_verified_it() {
        // attacks 109, 111
        let owner = person(7);
        let unverified_owner = User { email_verified: false, ..person(7) };
        let unverified_profile = Profile { email_verified: false, ..profile() };
        let in_use = Decision::Refuse(Reason::EmailInUse);

        assert_eq!(decide(&profile(), &policy(OnTakenEmail::Refuse), None, None, std::slice::from_ref(&owner)), in_use);
        assert_eq!(
            decide(&profile(), &policy(OnTakenEmail::Create), None, None, std::slice::from_ref(&owner)),
            Decision::Create
        );
        let associate = policy(OnTakenEmail::Associate);
        assert_eq!(
            decide(&profile(), &associate, None, None, std::slice::from_ref(&owner)),
            Decision::Connect(owner.clone())
        );
        assert_eq!(decide(&profile(), &associate, None, None, &[unverified_owner]), in_use);
        assert_eq!(decide(&unverified_profile, &associate, None, None, std::slice::from_ref(&owner)), in_use);
        assert_eq!(decide(&profile(), &associate, None, None, &[owner, person(8)]), in_use);
    }

    #[test]
    fn lists_of_domains_and_addresses_keep_everybody_else_out() {
        // attack 133
        let with_email = |email: &str| Profile { email: Some(email.into()), ..profile() };
        let domains = ProviderSettings { allowed_domains: vec!["Example.com".into()], ..ProviderSettings::default() };

        assert_eq!(decide(&with_email("ada@example.COM"), &domains, None, None, &[]), Decision::Create);
        for outside in
            ["a@evil.com@example.com", "\"a@example.com\"@evil.com", "a@example.com.evil.com", "a@EXAMPLE.com."]
        {
            assert_eq!(
                decide(&with_email(outside), &domains, None, None, &[]),
                Decision::Refuse(Reason::PersonNotAllowed),
                "{outside}"
            );
        }
        let nobody = Profile { email: None, ..profile() };
        assert_eq!(decide(&nobody, &domains, None, None, &[]), Decision::Refuse(Reason::PersonNotAllowed));
    }

    #[test]
    fn closed_sign_up_keeps_new_people_out_and_known_ones_in() {
        let closed = ProviderSettings { allow_signup: Some(false), ..ProviderSettings::default() };

        assert_eq!(decide(&profile(), &closed, None, None, &[]), Decision::Refuse(Reason::SignupClosed));
        assert_eq!(decide(&profile(), &closed, Some(&(association(7), person(7))), None, &[]), Decision::Known);
    }

    #[test]
    fn fresh_details_never_replace_an_address_or_a_username() {
        let profile = Profile {
            username: Some("root".into()),
            email: Some("new@example.com".into()),
            first_name: Some("Ada\u{7}".into()),
            ..profile()
        };

        let fresh = refreshed(&person(7), &profile, true).unwrap();

        assert_eq!(
            (fresh.username.as_str(), fresh.email.as_str(), fresh.first_name.as_str()),
            ("person7", "ada@example.com", "Ada")
        );
        assert_eq!(refreshed(&User { email: String::new(), ..person(7) }, &profile, false).unwrap().email, "");
    }

    #[test]
    fn usernames_are_cleaned_to_what_django_takes() {
        let named = |name: &str| username(&Profile { username: Some(name.into()), ..profile() });

        assert_eq!(named("Ada Lövelace\r\n<x>"), "AdaLvelacex");
        assert_eq!(username(&profile()), "ada");
        assert_eq!(named(&"x".repeat(300)).len(), 150);
    }
}
