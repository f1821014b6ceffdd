//! From what a provider says to one of our people: the one decision.
//!
//! [`decide`] reads from top to bottom and touches nothing. [`arrive`], [`sign_in`] and [`connect`] look up what it needs,
//! hold the account and the address against everybody else, and do what it says, in one transaction. A taken e-mail address
//! is never a way into somebody's account unless the operator says so and both sides verified it.
//! Not here: whether the provider's word is good (`upstream`), what of it goes into an account (`details`).

use std::sync::Arc;

use vestibule_protocol::{OAuthError, Profile, Reason};

use super::details::{self, Free};
use super::refuse::{former, incomplete, refusal};
use super::tokens;
use super::username::Candidates;
use crate::context::{Context, Keys};
use crate::settings::{OnTakenEmail, Policy};
use crate::store::association::{self, Association};
use crate::store::user::{self, User};
use crate::store::{self, Tx};

/// Somebody whom a provider has vouched for.
pub struct Arrival<'a> {
    /// The provider's name.
    pub provider: &'a str,
    /// Whom it speaks of.
    pub profile: &'a Profile,
    /// The operator's rules for this provider.
    pub policy: &'a Policy,
    /// The provider's tokens, to be sealed.
    pub tokens: &'a [u8],
    /// An address that the person has proven to us by a mail. It stands in for the provider's.
    pub proven_email: Option<&'a str>,
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
    /// Whether the tie was.
    pub is_new_association: bool,
}

/// What came of a sign-in that may still need something of the person.
#[derive(Debug)]
pub enum Arrived {
    /// They are in.
    In(Box<Linked>),
    /// They have no account yet, and get one once they have proven an address.
    NeedsEmail(Need),
}

/// Why an address must be proven first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The provider gave none.
    Missing,
    /// The provider did not verify it.
    Unproven,
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
    /// Ask for an address first.
    AskEmail,
    /// Have the address proven first.
    ProveEmail,
    /// Keep it out.
    Refuse(Reason),
}

/// Where an address comes from that counts as verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// From the provider, if it says so.
    ByProvider,
    /// From a mail of ours: enough for an account of one's own. It is no way into an account that is there: a link in a mail
    /// is pressed too easily for that.
    ByMail,
}

fn decide(
    profile: &Profile,
    proof: Proof,
    policy: &Policy,
    association: Option<&(Association, User)>,
    signed_in: Option<&User>,
    owners_of_email: &[User],
) -> Decision {
    if !is_allowed(profile, policy) {
        return Decision::Refuse(Reason::PersonNotAllowed);
    }
    if let Some((association, owner)) = association {
        // Former identifiers are mostly names and addresses, which a provider may have given to somebody else since.
        let is_proven = association.uid == profile.uid || policy.allow_unverified_legacy_uid_migration;
        return match signed_in {
            _ if details::has_changed_hands(profile, &association.extra) => Decision::Refuse(Reason::AccountInUse),
            Some(user) if user.id != owner.id => Decision::Refuse(Reason::AccountInUse),
            _ if !owner.is_active => Decision::Refuse(Reason::PersonInactive),
            None if !is_proven => Decision::Refuse(Reason::AccountInUse),
            _ => Decision::Known,
        };
    }
    if let Some(user) = signed_in {
        return Decision::Connect(user.clone());
    }
    // Before anybody looks whose address it is: what is not proven must not tell who has an account.
    let asks = match &profile.email {
        None if policy.require_email => Some(Decision::AskEmail),
        Some(_) if policy.force_email_validation && !profile.email_verified => Some(Decision::ProveEmail),
        _ => None,
    };
    if let Some(asks) = asks {
        return if policy.allow_signup { asks } else { Decision::Refuse(Reason::SignupClosed) };
    }
    match (owners_of_email, policy.on_taken_email) {
        ([], _) | (_, OnTakenEmail::Create) => {}
        // Both sides: whoever signed up with somebody's address first, unproven, must not be waiting in the account.
        ([owner], OnTakenEmail::Associate)
            if owner.email_verified && profile.email_verified && proof == Proof::ByProvider =>
        {
            return match owner.is_active {
                true => Decision::Connect(owner.clone()),
                false => Decision::Refuse(Reason::PersonInactive),
            };
        }
        _ => return Decision::Refuse(Reason::EmailInUse),
    }
    match policy.allow_signup {
        true => Decision::Create,
        false => Decision::Refuse(Reason::SignupClosed),
    }
}

/// python-social-auth's `auth_allowed`: with a list, the address or its domain must be on one of them, and the person in a
/// group and entitled.
fn is_allowed(profile: &Profile, policy: &Policy) -> bool {
    let meets = |allowed: &[String], own: &[String]| allowed.is_empty() || allowed.iter().any(|one| own.contains(one));
    meets(&policy.allowed_groups, &profile.groups)
        && meets(&policy.allowed_entitlements, &profile.entitlements)
        && is_allowed_address(profile, policy)
}

fn is_allowed_address(profile: &Profile, policy: &Policy) -> bool {
    if policy.allowed_emails.is_empty() && policy.allowed_domains.is_empty() {
        return true;
    }
    // An address that is not plainly `local@domain` has no domain, and is on no list.
    let (Some(email), Some(domain)) = (&profile.email, profile.email_domain()) else { return false };
    policy.allowed_emails.iter().any(|allowed| allowed.eq_ignore_ascii_case(email))
        || policy.allowed_domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(&domain))
}

/// Whether the operator's lists let in somebody with this address.
pub fn may_have_email(email: &str, policy: &Policy) -> bool {
    is_allowed_address(&Profile { email: Some(email.to_owned()), ..Profile::default() }, policy)
}

/// Whether this address belongs to an account that somebody who proves it by a mail does not get: they are told in the mail
/// how to sign in to it instead.
///
/// # Errors
/// What the database says.
pub async fn is_email_taken(cx: &Context, email: &str, policy: &Policy) -> Result<bool, OAuthError> {
    Ok(user::has_email(&cx.db, email).await? && policy.on_taken_email != OnTakenEmail::Create)
}

/// The person of this arrival, made if it is nobody yet; or what they must do first.
///
/// # Errors
/// `invalid_grant` with the [`Reason`]; nothing is stored then.
pub async fn arrive(cx: &Context, arrival: &Arrival<'_>) -> Result<Arrived, OAuthError> {
    if let Some(linked) = unchanged(cx, arrival).await? {
        return Ok(Arrived::In(Box::new(linked)));
    }
    link(cx, arrival, None).await
}

/// As [`arrive`], where nobody is there who could be asked.
///
/// # Errors
/// As [`arrive`]; `profile_incomplete` for somebody who must prove an address first.
pub async fn sign_in(cx: &Context, arrival: &Arrival<'_>) -> Result<Linked, OAuthError> {
    match arrive(cx, arrival).await? {
        Arrived::In(linked) => Ok(*linked),
        Arrived::NeedsEmail(need) => Err(incomplete(need, arrival.provider)),
    }
}

/// Connects this arrival to a person who is signed in.
///
/// # Errors
/// As [`sign_in`]; `account_in_use` if it is somebody else's.
pub async fn connect(cx: &Context, arrival: &Arrival<'_>, user: &User) -> Result<Linked, OAuthError> {
    match link(cx, arrival, Some(user)).await? {
        Arrived::In(linked) => Ok(*linked),
        Arrived::NeedsEmail(need) => Err(incomplete(need, arrival.provider)),
    }
}

/// Whether an account that is known may come in: whoever the operator's lists keep out now is kept out, however they came
/// in once.
pub fn may_come_in(profile: &Profile, policy: &Policy, found: &(Association, User)) -> bool {
    decide(profile, Proof::ByProvider, policy, Some(found), None, &[]) == Decision::Known
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
        association.sealed_tokens.as_deref().and_then(|sealed| cx.keys.open(&purpose(&association), sealed).ok());
    let nothing_new = seen_lately
        && same_tokens.is_some_and(|own| tokens::are_same(&tokens::kept(&own, arrival.tokens), &own))
        && details::refreshed(&user, arrival.profile, arrival.policy, Free::default()).is_none()
        && details::kept(arrival.profile, arrival.policy, &association.extra) == association.extra;
    let linked = Linked { user, association_id: association.id, is_new: false, is_new_association: false };
    Ok(nothing_new.then_some(linked))
}

async fn link(cx: &Context, arrival: &Arrival<'_>, signed_in: Option<&User>) -> Result<Arrived, OAuthError> {
    let mut profile = arrival.profile.clone();
    if let Some(email) = arrival.proven_email {
        profile.email = Some(email.to_owned());
        profile.email_verified = true;
    }
    let work = Work {
        provider: arrival.provider.to_owned(),
        profile,
        proof: if arrival.proven_email.is_some() { Proof::ByMail } else { Proof::ByProvider },
        policy: arrival.policy.clone(),
        tokens: arrival.tokens.to_vec(),
        keys: cx.keys.clone(),
        signed_in: signed_in.map(|user| user.id),
        now: cx.clock.now(),
    };
    let again = work.clone();
    let mut outcome = cx.db.write(move |tx| Box::pin(async move { work.run(tx).await })).await;
    if matches!(outcome, Err(store::Error::Conflict(_))) {
        // A username was free when it was looked at, and somebody else's when it was written.
        outcome = cx.db.write(move |tx| Box::pin(async move { again.run(tx).await })).await;
    }
    match outcome? {
        Outcome::In(linked) => {
            cx.metrics.linked(arrival.provider, linked.is_new);
            Ok(Arrived::In(linked))
        }
        Outcome::NeedsEmail(need) => Ok(Arrived::NeedsEmail(need)),
        Outcome::Refused(reason, Identifier::Present) => Err(refusal(reason, arrival.provider)),
        Outcome::Refused(_, Identifier::Former) => Err(former(arrival.provider)),
    }
}

/// What the transaction came to.
enum Outcome {
    In(Box<Linked>),
    NeedsEmail(Need),
    Refused(Reason, Identifier),
}

fn entered(user: User, association_id: i64, is_new: bool, is_new_association: bool) -> Outcome {
    Outcome::In(Box::new(Linked { user, association_id, is_new, is_new_association }))
}

/// By which identifier the association was found.
#[derive(Clone, Copy)]
enum Identifier {
    Present,
    Former,
}

/// The same decision again, within the transaction that acts on it.
#[derive(Clone)]
struct Work {
    provider: String,
    profile: Profile,
    proof: Proof,
    policy: Policy,
    /// To be sealed, over those that are there.
    tokens: Vec<u8>,
    keys: Arc<Keys>,
    signed_in: Option<i64>,
    now: i64,
}

impl Work {
    async fn run(self, tx: &mut Tx<'_>) -> store::Result<Outcome> {
        // Twenty first sign-ins of one person go through here one by one; so do two people with one address. All in one
        // order, so that nobody waits in a circle.
        let uids = std::iter::once(&self.profile.uid).chain(&self.profile.legacy_uids);
        let mut locks: Vec<String> = uids.map(|uid| format!("account {} {uid}", self.provider)).collect();
        locks.extend(self.profile.email.iter().map(|email| format!("email {}", user::email_key(email))));
        locks.sort();
        locks.dedup();
        for lock in &locks {
            tx.lock(lock).await?;
        }
        let signed_in = match self.signed_in {
            None => None,
            Some(id) => match user::find_in(tx, id).await?.filter(|user| user.is_active) {
                Some(user) => Some(user),
                None => return Ok(Outcome::Refused(Reason::PersonInactive, Identifier::Present)),
            },
        };
        let association = match self.association(tx).await? {
            Found::One(association) => Some(*association),
            Found::None => None,
            Found::Several => return Ok(Outcome::Refused(Reason::AccountInUse, Identifier::Former)),
        };
        let owners = match &self.profile.email {
            Some(email) => user::with_email(tx, email).await?,
            None => Vec::new(),
        };
        let decision =
            decide(&self.profile, self.proof, &self.policy, association.as_ref(), signed_in.as_ref(), &owners);
        match decision {
            Decision::Refuse(reason) => {
                let is_former = association.is_some_and(|(found, _)| found.uid != self.profile.uid);
                let identifier =
                    if is_former && reason == Reason::AccountInUse { Identifier::Former } else { Identifier::Present };
                Ok(Outcome::Refused(reason, identifier))
            }
            Decision::AskEmail => Ok(Outcome::NeedsEmail(Need::Missing)),
            Decision::ProveEmail => Ok(Outcome::NeedsEmail(Need::Unproven)),
            Decision::Known => {
                let Some((found, user)) = association else {
                    return Err(store::Error::broken("known without an association"));
                };
                let extra = details::kept(&self.profile, &self.policy, &found.extra);
                let sealed = self.sealed(Some(&found))?;
                association::update(tx, found.id, &self.profile.uid, sealed, extra, self.now).await?;
                let user = self.enter(tx, user, &owners).await?;
                Ok(entered(user, found.id, false, false))
            }
            Decision::Connect(user) => {
                let association_id = self.associate(tx, user.id).await?;
                let user = self.enter(tx, user, &owners).await?;
                Ok(entered(user, association_id, false, true))
            }
            Decision::Create => {
                let user = self.create(tx).await?;
                let association_id = self.associate(tx, user.id).await?;
                Ok(entered(user, association_id, true, true))
            }
        }
    }

    /// The association of this account, else the one that an older version made of it under a former identifier.
    async fn association(&self, tx: &mut Tx<'_>) -> store::Result<Found> {
        if let Some(found) = association::find_in(tx, &self.provider, &self.profile.uid).await? {
            return Ok(Found::One(Box::new(found)));
        }
        let mut former: Option<(Association, User)> = None;
        for uid in &self.profile.legacy_uids {
            let Some(found) = association::find_in(tx, &self.provider, uid).await? else { continue };
            if former.as_ref().is_some_and(|(other, _)| other.id != found.0.id) {
                return Ok(Found::Several);
            }
            former = Some(found);
        }
        Ok(former.map_or(Found::None, |found| Found::One(Box::new(found))))
    }

    /// The tokens as they are stored: what came, over what is there and was not replaced.
    fn sealed(&self, found: Option<&Association>) -> store::Result<Vec<u8>> {
        let before = found.and_then(|found| self.keys.open(&purpose(found), found.sealed_tokens.as_deref()?).ok());
        let all = before.map_or_else(|| self.tokens.clone(), |before| tokens::kept(&before, &self.tokens));
        let purpose = purpose_of(&self.provider, &self.profile.uid);
        self.keys.seal(&purpose, &all).map_err(store::Error::broken)
    }

    async fn associate(&self, tx: &mut Tx<'_>, user_id: i64) -> store::Result<i64> {
        let extra = details::kept(&self.profile, &self.policy, "{}");
        let sealed = self.sealed(None)?;
        association::insert(tx, user_id, &self.provider, &self.profile.uid, sealed, extra, self.now)
            .await?
            .ok_or_else(|| store::Error::broken("an association was not stored"))
    }

    /// Brings a known person's details up to date and notes the sign-in.
    async fn enter(&self, tx: &mut Tx<'_>, user: User, owners_of_email: &[User]) -> store::Result<User> {
        let wanted = details::wanted_username(&user, &self.profile, &self.policy);
        let free = Free {
            email: owners_of_email.iter().all(|owner| owner.id == user.id),
            username: match &wanted {
                Some(wanted) => !user::has_username(tx, wanted).await?,
                None => false,
            },
        };
        let fresh = details::refreshed(&user, &self.profile, &self.policy, free);
        if let Some(fresh) = &fresh {
            user::update_details(tx, fresh).await?;
        }
        user::note_login(tx, user.id, self.now).await?;
        Ok(fresh.unwrap_or(user))
    }

    /// Makes a person, under a username that nobody has.
    async fn create(&self, tx: &mut Tx<'_>) -> store::Result<User> {
        let mut new = details::new_person(&self.profile, &self.policy);
        for username in Candidates::new(&self.profile, &self.policy) {
            new.username = username;
            if let Some(user) = user::insert(tx, &new, self.now).await? {
                user::note_login(tx, user.id, self.now).await?;
                return Ok(user);
            }
        }
        Err(store::Error::broken("no username is free"))
    }
}

/// The associations that a person's identifiers lead to.
enum Found {
    None,
    One(Box<(Association, User)>),
    Several,
}

fn purpose(association: &Association) -> String {
    purpose_of(&association.provider, &association.uid)
}

/// What the tokens of this account are sealed for.
pub fn purpose_of(provider: &str, uid: &str) -> String {
    format!("tokens of {provider} {uid}")
}

#[cfg(test)]
pub(super) mod tests;
