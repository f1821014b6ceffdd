//! The decision, case by case.

use vestibule_protocol::{Profile, Reason};

use super::{Association, Decision, Proof, User};
use crate::settings::{OnTakenEmail, Policy};

pub(in crate::identity) fn person(id: i64) -> User {
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
    Association {
        id: 1,
        user_id,
        provider: "p".into(),
        uid: "1".into(),
        sealed_tokens: None,
        created_at: 0,
        updated_at: 0,
        extra: "{}".into(),
        refreshing_until: None,
    }
}

pub(in crate::identity) fn profile() -> Profile {
    Profile { uid: "1".into(), email: Some("ada@example.com".into()), email_verified: true, ..Profile::default() }
}

fn decide(
    profile: &Profile,
    policy: &Policy,
    association: Option<&(Association, User)>,
    signed_in: Option<&User>,
    owners_of_email: &[User],
) -> Decision {
    super::decide(profile, Proof::ByProvider, policy, association, signed_in, owners_of_email)
}

fn policy(on_taken_email: OnTakenEmail) -> Policy {
    Policy { on_taken_email, ..Policy::default() }
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
    let domains = Policy { allowed_domains: vec!["Example.com".into()], ..Policy::default() };

    assert_eq!(decide(&with_email("ada@example.COM"), &domains, None, None, &[]), Decision::Create);
    for outside in ["a@evil.com@example.com", "\"a@example.com\"@evil.com", "a@example.com.evil.com", "a@EXAMPLE.com."]
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
    let closed = Policy { allow_signup: false, ..Policy::default() };

    assert_eq!(decide(&profile(), &closed, None, None, &[]), Decision::Refuse(Reason::SignupClosed));
    assert_eq!(decide(&profile(), &closed, Some(&(association(7), person(7))), None, &[]), Decision::Known);
}

#[test]
fn groups_and_entitlements_keep_everybody_else_out() {
    let policy = Policy { allowed_groups: vec!["staff".into()], ..Policy::default() };
    let entitled = Policy { allowed_entitlements: vec!["urn:x:hifis".into()], ..Policy::default() };
    let both = Policy { allowed_groups: policy.allowed_groups.clone(), ..entitled.clone() };
    let outside = Decision::Refuse(Reason::PersonNotAllowed);
    let member = Profile { groups: vec!["all".into(), "staff".into()], ..profile() };
    let holder = Profile { entitlements: vec!["urn:x:hifis".into()], ..profile() };

    assert_eq!(decide(&member, &policy, None, None, &[]), Decision::Create);
    assert_eq!(decide(&Profile { groups: vec!["Staff".into()], ..profile() }, &policy, None, None, &[]), outside);
    assert_eq!(decide(&profile(), &policy, Some(&(association(7), person(7))), None, &[]), outside);
    assert_eq!(decide(&holder, &entitled, None, None, &[]), Decision::Create);
    assert_eq!(decide(&member, &entitled, None, None, &[]), outside);
    assert_eq!(decide(&member, &both, None, None, &[]), outside);
    assert_eq!(decide(&Profile { groups: member.groups.clone(), ..holder }, &both, None, None, &[]), Decision::Create);
}

#[test]
fn an_address_is_asked_for_or_proven_before_an_account_exists_and_before_anybody_is_looked_up() {
    let policy = Policy { require_email: true, force_email_validation: true, ..Policy::default() };
    let nobody = Profile { email: None, email_verified: false, ..profile() };
    let unproven = Profile { email_verified: false, ..profile() };
    let known = (association(7), person(7));

    assert_eq!(decide(&nobody, &policy, None, None, &[]), Decision::AskEmail);
    assert_eq!(decide(&unproven, &policy, None, None, &[]), Decision::ProveEmail);
    assert_eq!(decide(&unproven, &policy, None, None, &[person(7)]), Decision::ProveEmail);
    assert_eq!(decide(&profile(), &policy, None, None, &[]), Decision::Create);
    assert_eq!(decide(&nobody, &policy, Some(&known), None, &[]), Decision::Known);
    assert_eq!(decide(&nobody, &policy, None, Some(&person(8)), &[]), Decision::Connect(person(8)));
    let only_proven = Policy { force_email_validation: true, ..Policy::default() };
    assert_eq!(decide(&nobody, &only_proven, None, None, &[]), Decision::Create);
    let closed = Policy { allow_signup: false, ..policy };
    assert_eq!(decide(&nobody, &closed, None, None, &[]), Decision::Refuse(Reason::SignupClosed));
}

#[test]
fn an_address_proven_by_a_mail_is_no_way_into_an_account() {
    let associate = policy(OnTakenEmail::Associate);
    let by_mail = |owners: &[User]| super::decide(&profile(), Proof::ByMail, &associate, None, None, owners);

    assert_eq!(by_mail(&[]), Decision::Create);
    assert_eq!(by_mail(&[person(7)]), Decision::Refuse(Reason::EmailInUse));
}

#[test]
fn a_former_identifier_is_its_owners_only_where_the_operator_or_the_owner_says_so() {
    let former = (Association { uid: "old".into(), ..association(7) }, person(7));
    let strict = policy(OnTakenEmail::Refuse);
    let trusting = Policy { allow_unverified_legacy_uid_migration: true, ..strict.clone() };
    let in_use = Decision::Refuse(Reason::AccountInUse);

    assert_eq!(decide(&profile(), &strict, Some(&former), None, &[]), in_use);
    assert_eq!(decide(&profile(), &trusting, Some(&former), None, &[]), Decision::Known);
    assert_eq!(decide(&profile(), &strict, Some(&former), Some(&person(7)), &[]), Decision::Known);
    assert_eq!(decide(&profile(), &trusting, Some(&former), Some(&person(8)), &[]), in_use);
}
