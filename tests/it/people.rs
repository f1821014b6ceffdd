//! Who gets in by a provider and as whom: the policy of `[social]` and of one provider, and the e-mail address that a new
//! person is asked for.

mod email;

use serde_json::{Value, json};
use vestibule::identity::link::{self, Arrival, Arrived};
use vestibule::protocol::GrantType::ConvertToken;
use vestibule::protocol::Profile;
use vestibule::settings::{OnTakenEmail, Policy};
use vestibule::store::association;

use crate::harness::guest::Guest;
use crate::harness::stand_in::Issued;
use crate::harness::{Answer, Setup, Test, on_both_databases};

/// A browser that has been to GitHub with `next`, and is back with a code for `good-token`.
pub async fn come_back(t: &Test, guest: &Guest<'_>, next: &str) -> Answer {
    come_back_from(t, guest, "github", next).await
}

async fn come_back_from(t: &Test, guest: &Guest<'_>, backend: &str, next: &str) -> Answer {
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    let there = guest.get(&format!("login/{backend}?next={next}")).await.header("location");
    let there = url::Url::parse(&there).unwrap();
    let parameter = |name: &str| there.query_pairs().find(|(own, _)| own == name).unwrap().1.into_owned();
    t.stand_in.code("its-code", "good-token", Some(&format!("S256:{}", parameter("code_challenge"))));
    guest.get(&format!("complete/{backend}/?code=its-code&state={}", parameter("state"))).await
}

fn issue(t: &Test, uid: &str, change: impl FnOnce(&mut Issued)) {
    let mut issued = t.stand_in.issue("github", "good-token", uid);
    change(&mut issued);
    t.stand_in.put("github", "good-token", issued);
}

on_both_databases! {
    async fn what_a_provider_says_goes_before_what_holds_for_all(setup: Setup) {
        let mut setup = setup;
        setup.settings.social.allow_signup = false;
        setup.settings.social.lowercase_usernames = true;
        setup.provider("github").policy.allow_signup = Some(true);
        let t = setup.start().await;
        let app = t.app(&[ConvertToken]).await;
        issue(&t, "1", |issued| issued.username = "Grace-H".into());
        t.stand_in.issue("google-oauth2", "good-token", "2");

        assert_eq!(t.convert(&app, "github", "good-token").await.status, 200);
        assert_eq!(t.convert(&app, "google-oauth2", "good-token").await.refusal(), "400 invalid_grant signup_closed");
        assert_eq!(t.people().await[0].username, "grace-h");
    }
}

on_both_databases! {
    async fn usernames_follow_the_rules_and_are_unique(setup: Setup) {
        let mut setup = setup;
        setup.settings.social = Policy { slugify_usernames: true, uuid_length: 4, ..Policy::default() };
        setup.provider("google-oauth2").policy.username_is_full_email = Some(true);
        setup.provider("google-oauth2").policy.slugify_usernames = Some(false);
        setup.provider("google-oauth2").policy.force_email_lowercase = Some(true);
        let t = setup.start().await;
        let app = t.app(&[ConvertToken]).await;
        t.person("grace-hopper").await;
        issue(&t, "1", |issued| issued.username = "Grace-Höpper".into());
        assert_eq!(t.convert(&app, "github", "good-token").await.status, 200);
        issue(&t, "2", |issued| (issued.username, issued.email) = ("Grace-Hopper".into(), None));
        assert_eq!(t.convert(&app, "github", "good-token").await.status, 200);
        let issued = t.stand_in.issue("google-oauth2", "good-token", "3");
        t.stand_in.put("google-oauth2", "good-token", Issued { email: Some("G.H@Example.com".into()), ..issued });
        assert_eq!(t.convert(&app, "google-oauth2", "good-token").await.status, 200);

        let people = t.people().await;

        let names: Vec<_> = people.iter().map(|user| user.username.as_str()).collect();
        assert_eq!((names[0], names[1]), ("grace-hopper", "grace-hpper"));
        assert!(names[2].starts_with("grace-hopper") && names[2].len() == "grace-hopper".len() + 4, "{names:?}");
        assert_eq!((names[3], people[3].email.as_str()), ("G.H@Example.com", "g.h@example.com"));
    }
}

on_both_databases! {
    async fn a_sign_in_changes_only_the_fields_that_the_operator_leaves_open(setup: Setup) {
        let mut setup = setup;
        setup.settings.social.protected_user_fields = vec!["last_name".into()];
        setup.settings.social.immutable_user_fields = vec!["first_name".into()];
        setup.provider("google-oauth2").policy.no_default_protected_user_fields = Some(true);
        setup.provider("google-oauth2").policy.protected_user_fields = Some(Vec::new());
        setup.provider("google-oauth2").policy.immutable_user_fields = Some(Vec::new());
        let t = setup.start().await;
        let app = t.app(&[ConvertToken]).await;
        for backend in ["github", "google-oauth2"] {
            let issued = t.stand_in.issue(backend, "good-token", "1");
            t.stand_in.put(backend, "good-token", Issued { email: Some(format!("{backend}@example.com")), ..issued });
            assert_eq!(t.convert(&app, backend, "good-token").await.status, 200);
            let later = Issued { first_name: "Ada".into(), last_name: "Lovelace".into(), email: Some(format!("new-{backend}@example.com")), ..t.stand_in.issue(backend, "good-token", "1") };
            t.stand_in.put(backend, "later-token", later);
            assert_eq!(t.convert(&app, backend, "later-token").await.status, 200);
        }

        let told: Vec<_> = t.people().await.into_iter().map(|user| [user.first_name, user.last_name, user.email].join(" ")).collect();

        assert_eq!(told, ["Grace Hopper github@example.com", "Ada Lovelace new-google-oauth2@example.com"]);
    }
}

on_both_databases! {
    async fn extra_data_is_kept_and_shown_to_its_person(setup: Setup) {
        let mut setup = setup;
        let offered: toml::Table = "extra = { plan = 'plan', company = 'company', bio = 'bio' }".parse().unwrap();
        setup.provider("github").entry.extend(offered);
        setup.provider("github").policy.extra_data = Some(vec!["plan".into(), "company as firm".into(), "fullname".into()]);
        let t = setup.start().await;
        let app = t.app(&[ConvertToken]).await;
        issue(&t, "1", |issued| issued.more = Some(json!({"plan": {"name": "pro"}, "company": "Navy", "bio": "x"})));
        let token = t.convert(&app, "github", "good-token").await.access_token();
        let extra = async || {
            let backends = t.get_as("backends", &format!("Bearer {token}")).await.json();
            let all = backends["backends"].as_array().unwrap().clone();
            all.iter().find(|backend| backend["name"] == "github").unwrap()["associations"][0]["extra"].clone()
        };
        assert_eq!(extra().await, json!({"plan": {"name": "pro"}, "firm": "Navy", "fullname": "Grace Hopper"}));

        issue(&t, "1", |issued| issued.more = Some(json!({"company": "COBOL Ltd"})));
        assert_eq!(t.convert(&app, "github", "good-token").await.status, 200);

        assert_eq!(extra().await["firm"], "COBOL Ltd");
        assert_eq!(extra().await["plan"]["name"], "pro", "what an answer does not mention is still there");
        let anonymous = t.http.get(t.url("backends")).send().await.unwrap().json::<Value>().await.unwrap();
        assert!(!anonymous.to_string().contains("extra"));
    }
}

on_both_databases! {
    async fn only_members_of_the_operators_groups_get_in(setup: Setup) {
        let mut setup = setup;
        let claims: toml::Table = "claims = { groups = 'teams[].slug' }".parse().unwrap();
        setup.provider("github").entry.extend(claims);
        setup.provider("github").policy.allowed_groups = Some(vec!["staff".into()]);
        let t = setup.start().await;
        let app = t.app(&[ConvertToken]).await;
        for (teams, outcome) in [
            (json!([{"slug": "all"}]), "400 invalid_grant person_not_allowed"),
            (json!(null), "400 invalid_grant person_not_allowed"),
            (json!([{"slug": "all"}, {"slug": "staff"}]), "200  "),
            // Also whoever was in once.
            (json!([]), "400 invalid_grant person_not_allowed"),
        ] {
            issue(&t, "1", |issued| issued.more = Some(json!({ "teams": teams })));
            assert_eq!(t.convert(&app, "github", "good-token").await.refusal(), outcome, "{teams}");
        }
    }
}

on_both_databases! {
    async fn an_account_under_a_former_identifier_moves_only_where_that_is_safe(t: Test) {
        let cx = t.vestibule.context();
        let strict = Policy::default();
        let trusting = Policy { allow_unverified_legacy_uid_migration: true, ..Policy::default() };
        let old = Profile { uid: "ada@example.com".into(), username: Some("ada".into()), ..Profile::default() };
        let new = Profile { uid: "42".into(), legacy_uids: vec!["nobody".into(), old.uid.clone()], ..Profile::default() };
        let arrival = |profile: &'static Profile, policy: &'static Policy| Arrival { provider: "github", profile, policy, tokens: b"{}", proven_email: None };
        let [old, new]: [&'static Profile; 2] = [Box::leak(Box::new(old)), Box::leak(Box::new(new))];
        let [strict, trusting]: [&'static Policy; 2] = [Box::leak(Box::new(strict)), Box::leak(Box::new(trusting))];
        let first = link::sign_in(cx, &arrival(old, strict)).await.unwrap();

        let refused = link::sign_in(cx, &arrival(new, strict)).await.unwrap_err();
        assert_eq!(refused.reason.unwrap().as_str(), "account_in_use");
        assert!(refused.description.contains("former identifier"), "{refused:?}");
        let stranger = t.person("stranger").await;
        assert_eq!(link::connect(cx, &arrival(new, trusting), &stranger).await.unwrap_err().reason.unwrap().as_str(), "account_in_use");
        let moved = link::sign_in(cx, &arrival(new, trusting)).await.unwrap();

        assert_eq!((moved.user.id, moved.association_id, moved.is_new), (first.user.id, first.association_id, false));
        assert!(association::find(&cx.db, "github", "ada@example.com").await.unwrap().is_none());
        assert_eq!(link::sign_in(cx, &arrival(new, strict)).await.unwrap().user.id, first.user.id);
        assert_eq!(t.people().await.len(), 2);

        // The owner shows by being signed in that both are the same person's.
        let elsewhere: &'static Profile = Box::leak(Box::new(Profile { uid: "7".into(), legacy_uids: vec!["seven".into()], ..Profile::default() }));
        let seven: &'static Profile = Box::leak(Box::new(Profile { uid: "seven".into(), ..Profile::default() }));
        let owner = link::sign_in(cx, &arrival(seven, strict)).await.unwrap().user;
        assert!(!link::connect(cx, &arrival(elsewhere, strict), &owner).await.unwrap().is_new_association);
        assert!(matches!(link::arrive(cx, &arrival(elsewhere, strict)).await.unwrap(), Arrived::In(linked) if linked.user.id == owner.id));
    }
}

on_both_databases! {
    async fn each_outcome_of_a_sign_in_leads_to_its_address(setup: Setup) {
        let mut setup = setup;
        setup.settings.social = Policy {
            login_redirect_url: "https://app.example/home".into(),
            new_user_redirect_url: "/welcome".into(),
            new_association_redirect_url: "/connected".into(),
            inactive_user_url: "/inactive".into(),
            login_error_url: "https://app.example/failed?a=b".into(),
            allowed_redirect_hosts: vec!["app.example".into()],
            on_taken_email: OnTakenEmail::Refuse,
            ..Policy::default()
        };
        let t = setup.start().await;
        issue(&t, "1", |_| {});

        let new = come_back(&t, &Guest::new(&t), "https://app.example/deep?x=y").await;
        assert_eq!(new.header("location"), "/welcome?next=https%3A%2F%2Fapp.example%2Fdeep%3Fx%3Dy", "{new:?}");
        let known = come_back(&t, &Guest::new(&t), "https://app.example/deep?x=y").await;
        assert_eq!(known.header("location"), "https://app.example/deep?x=y");
        for elsewhere in ["", "https://evil.com/", "//app.example", "https://app.example@evil.com"] {
            let answer = come_back(&t, &Guest::new(&t), elsewhere).await;
            assert_eq!(answer.header("location"), "https://app.example/home", "{elsewhere}: attack 181");
        }
        let person = t.people().await.remove(0);
        t.person("ada").await;
        let signed_in = Guest::new(&t);
        signed_in.enter("ada").await;
        // From a page of ours: else the person is asked first whether to connect.
        signed_in.headers.lock().unwrap().push(("sec-fetch-site", "same-origin".into()));
        issue(&t, "3", |issued| issued.email = None);
        assert_eq!(come_back(&t, &signed_in, "").await.header("location"), "/connected");
        assert_eq!(come_back(&t, &signed_in, "/x").await.header("location"), "/x");
        issue(&t, "1", |_| {});
        vestibule::store::user::set_active(&t.vestibule.context().db, person.id, false).await.unwrap();
        let guest = Guest::new(&t);
        assert_eq!(come_back(&t, &guest, "/x").await.header("location"), "/inactive");
        assert_eq!(guest.cookie("vestibule_session"), None);
        issue(&t, "2", |issued| issued.email = Some("user1@example.com".into()));
        assert_eq!(come_back(&t, &guest, "/x").await.header("location"), "https://app.example/failed?a=b&error=email_in_use");
        let declined = guest.get("complete/github/?error=access_denied&state=x").await;
        assert_eq!(declined.header("location"), "https://app.example/failed?a=b&error=not_begun_here");
    }
}

#[tokio::test]
async fn settings_that_cannot_work_stop_the_start() {
    let refused = async |change: fn(&mut Setup)| {
        let mut setup = Setup::new(crate::harness::Engine::Sqlite).await;
        change(&mut setup);
        match vestibule::Vestibule::open(setup.settings, &[crate::harness::KEY]).await {
            Ok(_) => panic!("it started"),
            Err(error) => error.to_string(),
        }
    };

    let nowhere = refused(|setup| setup.settings.social.login_error_url = "https://evil.com".into()).await;
    assert!(nowhere.starts_with("social.login_error_url: "), "{nowhere}");
    let short = refused(|setup| setup.provider("github").policy.uuid_length = Some(1)).await;
    assert!(short.starts_with("providers.github.uuid_length: "), "{short}");
    let token = refused(|setup| setup.settings.social.extra_data = vec!["refresh_token as x".into()]).await;
    assert!(token.starts_with("social.extra_data: "), "{token}");
    let no_mail = refused(|setup| setup.provider("github").policy.require_email = Some(true)).await;
    assert!(no_mail.starts_with("mail.smtp_url: ") && no_mail.contains("github"), "{no_mail}");
}
