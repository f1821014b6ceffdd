//! People in the console and over the admin API.

use serde_json::{Value, json};
use vestibule::protocol::GrantType::Password;
use vestibule::store::audit::{self, Filter};
use vestibule::store::user::{self, NewUser};
use vestibule::store::{association, consent, totp};

use super::{admin_app, bearer, call, desk, form_to, noted, page, staff};
use crate::harness::guest::{Form, Guest};
use crate::harness::{PASSWORD, Test, on_both_databases};

const LIST: &str = "/admin/users/";
const API: &str = "/admin/api/users";

/// The details of the newest entries of the audit log.
async fn details(t: &Test) -> Vec<Value> {
    let all = audit::page(&t.vestibule.context().db, &Filter::default(), i64::MAX, 50).await.unwrap();
    all.into_iter().map(|entry| entry.detail).collect()
}

/// Connects an account at a provider and gives its number.
async fn connected(t: &Test, user_id: i64, provider: &'static str, uid: &'static str) -> i64 {
    let db = &t.vestibule.context().db;
    db.write(move |tx| {
        Box::pin(async move {
            association::insert(tx, user_id, provider, uid, b"sealed".to_vec(), "{}".to_owned(), 5).await
        })
    })
    .await
    .unwrap()
    .unwrap()
}

on_both_databases! {
    async fn a_superuser_makes_changes_stops_and_deletes_a_person(t: Test) {
        let root = desk(&t, "root", "*").await;
        let new = page(&root, &page(&root, LIST).await.link("New person")).await;
        let form = form_to(&new, "/new");
        for (fields, sentence) in [
            (vec![("username", "")], "1 to 150 characters"),
            (vec![("username", "root")], "is taken"),
            (vec![("username", "gr\u{7}ace")], "1 to 150 characters"),
            (vec![("username", "grace"), ("email", "nonsense")], "is not an e-mail address"),
            (vec![("username", "grace"), ("email_verified", "1")], "none to be verified"),
            (vec![("username", "grace"), ("claims", "{")], "one JSON object"),
            (vec![("username", "grace"), ("claims", "[]")], "one JSON object"),
            (vec![("username", "grace"), ("claims", "{\"email\": \"x@example.com\"}")], "a field of its own"),
            (vec![("username", "grace"), ("last_name", &"x".repeat(151))], "at most 150"),
        ] {
            let wrong = root.submit(&form, &fields).await;
            assert_eq!(wrong.status, 400, "{fields:?}");
            assert!(wrong.text.contains(sentence), "{fields:?}: {wrong:?}");
            let typed = fields.iter().filter(|(name, _)| *name == "email").all(|(_, value)| wrong.text.contains(value));
            assert!(typed, "{wrong:?}");
        }
        assert!(noted(&t).await.is_empty());

        let fields = [("username", "grace <1>"), ("email", "Grace@Example.com"), ("first_name", "Grace"), ("last_name", "Hopper"), ("password", PASSWORD), ("claims", "{\"locale\": \"fr\"}")];
        let made = root.submit(&form, &fields).await;

        assert!(made.text.contains("The person is created") && made.text.contains("grace &lt;1&gt;") && !made.text.contains("grace <1>"), "{made:?}");
        assert!(made.text.contains("Grace Hopper") && made.text.contains("locale"));
        let grace = Guest::new(&t);
        grace.enter("grace <1>").await;
        let person = t.find_person("grace <1>").await.unwrap();
        assert!(!person.email_verified && !person.is_staff);
        let url = format!("{LIST}{}/", person.id);
        let shown = page(&root, &url).await;
        assert_eq!(shown.link("Their tokens"), "/admin/tokens/?user=grace+%3C1%3E");
        assert_eq!(shown.link("Audit log of this person"), "/admin/audit/?kind=user&target=grace+%3C1%3E");

        let change = page(&root, &format!("{url}change")).await;
        let form = form_to(&change, "change");
        assert_eq!(root.submit(&form, &[("username", "root")]).await.status, 400);
        assert!(change.text.contains("value=\"Grace@Example.com\"") && change.text.contains("locale"), "{change:?}");
        let fields = [("username", "grace"), ("email", "Grace@Example.com"), ("email_verified", "1"), ("first_name", "Grace"), ("last_name", "Hopper"), ("claims", "{\"locale\":\"fr\"}")];
        let changed = root.submit(&form, &fields).await;
        assert!(changed.text.contains("The change is saved"), "{changed:?}");
        let person = t.find_person("grace").await.unwrap();
        assert_eq!((person.email.as_str(), person.email_verified, person.last_name.as_str()), ("Grace@Example.com", true, "Hopper"));
        assert_eq!(details(&t).await[0], json!({ "username": ["grace <1>", "grace"], "email_verified": [false, true] }));

        // A new password ends the sessions, the old one's too.
        let password = page(&root, &format!("{url}set-password")).await;
        let form = form_to(&password, "set-password");
        assert_eq!(root.submit(&form, &[("password", "")]).await.status, 400);
        assert_eq!(root.submit(&form, &[("password", &"x".repeat(4097))]).await.status, 400);
        assert_eq!(grace.get("/account/sessions").await.status, 200);
        let set = root.submit(&form, &[("password", "another one entirely")]).await;
        assert!(set.text.contains("The password is set"));
        assert_eq!(grace.get("/account/sessions").await.status, 303);
        let page_ = grace.get("/account/sign-in").await;
        assert_ne!(grace.submit_only(&page_.form(), &[("username", "grace"), ("password", PASSWORD)]).await.status, 303);
        assert_eq!(grace.submit_only(&page_.form(), &[("username", "grace"), ("password", "another one entirely")]).await.status, 303);
        let stored = t.stored().await;
        assert!(!stored.windows(20).any(|part| part == b"another one entirely"));
        let question = page(&root, &format!("{url}remove-password")).await;
        let removed = root.submit(&form_to(&question, "remove-password"), &[]).await;
        assert!(removed.text.contains("no password any more") && !removed.text.contains("Take the password away"));
        assert_eq!(grace.get("/account/sessions").await.status, 303);

        let question = page(&root, &format!("{url}deactivate")).await;
        assert!(question.text.contains("for good"));
        let stopped = root.submit(&form_to(&question, "deactivate"), &[]).await;
        assert!(stopped.text.contains("The person is deactivated"), "{stopped:?}");
        assert!(!t.find_person("grace").await.unwrap().is_active);
        let undone = root.submit(&form_to(&stopped, "activate"), &[]).await;
        assert!(undone.text.contains("do not come back") && t.find_person("grace").await.unwrap().is_active);

        let question = page(&root, &format!("{url}delete")).await;
        assert!(question.text.contains("cannot be undone") && question.text.contains("connected accounts"));
        let deleted = root.submit(&form_to(&question, "delete"), &[]).await;
        assert!(deleted.text.contains("The person is deleted"));
        assert_eq!(root.open(&url).await.status, 404);
        assert_eq!(noted(&t).await, [
            "root console user.delete grace",
            "root console user.activate grace",
            "root console user.deactivate grace",
            "root console user.remove_password grace",
            "root console user.set_password grace",
            "root console user.change grace",
            "root console user.create grace <1>",
        ]);
        assert_eq!(details(&t).await[0]["email"], "Grace@Example.com");
        assert_eq!(root.open("/admin/users/nonsense/").await.status, 404);
        assert_eq!(root.open(&format!("{LIST}{}/explode", t.find_person("root").await.unwrap().id)).await.status, 404);
    }
}

on_both_databases! {
    async fn rights_are_a_superusers_to_give(t: Test) {
        let root = desk(&t, "root", "*").await;
        let ada = t.person("ada").await;
        let url = format!("{LIST}{}/", ada.id);
        let rights = page(&root, &format!("{url}rights")).await;
        assert_eq!(rights.text.matches("name=\"permissions\"").count(), 15);
        let form = form_to(&rights, "rights");
        assert_eq!(root.submit(&form, &[("is_staff", "1"), ("permissions", "users.explode")]).await.status, 400);

        let saved = root.submit(&form, &[("is_staff", "1"), ("permissions", "users.change"), ("permissions", "audit.view")]).await;

        assert!(saved.text.contains("users.change") && saved.text.contains("audit.view"), "{saved:?}");
        assert_eq!(details(&t).await[0], json!({ "is_staff": [false, true], "permissions": [[], ["users.change", "audit.view"]] }));
        let clerk = Guest::new(&t);
        clerk.enter("ada").await;
        let list = page(&clerk, LIST).await;
        assert!(list.text.contains("New person"));
        // Whoever may change people may change those without rights only, and gives no rights.
        let grace = t.person("grace").await;
        let root_id = t.find_person("root").await.unwrap().id;
        let hers = page(&clerk, &format!("{LIST}{}/", grace.id)).await;
        assert!(hers.text.contains("Deactivate") && !hers.text.contains("&#x2f;rights"));
        let its = page(&clerk, &format!("{LIST}{root_id}/")).await;
        assert!(!its.text.contains("Deactivate") && !its.text.contains("set-password"));
        let own = clerk.get("/account/sessions").await.form();
        let acts = ["change", "set-password", "remove-password", "activate", "deactivate", "rights", "end-sessions", "end-everything", "end-session", "disconnect", "delete"];
        let other_staff = staff(&t, "other", "audit.view").await;
        for id in [root_id, ada.id, other_staff.id] {
            for act in acts {
                let form = Form { action: format!("{LIST}{id}/{act}"), ..own.clone() };
                let answer = clerk.submit_only(&form, &[("username", "x"), ("password", "another one entirely"), ("is_superuser", "1"), ("id", "1")]).await;
                assert_eq!(answer.status, 403, "{act}: {answer:?}");
            }
        }
        let form = Form { action: format!("{LIST}{}/rights", grace.id), ..own.clone() };
        assert_eq!(clerk.submit_only(&form, &[("is_staff", "1")]).await.status, 403);
        // Without staff there is no permission; a superuser is staff.
        let none = root.submit(&form_to(&rights, "rights"), &[("permissions", "audit.view")]).await;
        assert!(!none.text.contains("audit.view"), "{none:?}");
        assert_eq!(clerk.get(LIST).await.status, 403);
        root.submit(&form_to(&rights, "rights"), &[("is_superuser", "1")]).await;
        let ada = t.find_person("ada").await.unwrap();
        assert!(ada.is_superuser && ada.is_staff);
    }
}

on_both_databases! {
    async fn nobody_shuts_themself_out_and_the_last_superuser_stays(t: Test) {
        let app = admin_app(&t).await;
        let root = staff(&t, "root", "*").await;
        let itself = bearer(&t, &app, "", "admin:write").await;
        let own = bearer(&t, &app, "root", "admin:write").await;
        let path = format!("{API}/{}", root.id);
        let demote = json!({ "is_superuser": false, "is_staff": false });
        for authorization in [&own, &itself] {
            assert_eq!(call(&t, "POST", &format!("{path}/deactivate"), authorization, Value::Null).await.status, 403);
            assert_eq!(call(&t, "POST", &format!("{path}/rights"), authorization, demote.clone()).await.status, 403);
            assert_eq!(call(&t, "DELETE", &path, authorization, Value::Null).await.status, 403);
        }
        assert!(noted(&t).await.is_empty());
        // One who is deactivated does not count.
        let second = staff(&t, "second", "*").await;
        user::set_active(&t.vestibule.context().db, second.id, false).await.unwrap();
        assert_eq!(call(&t, "POST", &format!("{path}/deactivate"), &itself, Value::Null).await.status, 403);
        user::set_active(&t.vestibule.context().db, second.id, true).await.unwrap();

        // Of two that are demoted at once, one stays.
        let second_path = format!("{API}/{}/rights", second.id);
        let first_path = format!("{path}/rights");
        let (one, other) = tokio::join!(call(&t, "POST", &first_path, &itself, demote.clone()), call(&t, "POST", &second_path, &itself, demote.clone()));

        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403], "{one:?} {other:?}");
    }
}

on_both_databases! {
    async fn staff_see_and_change_what_their_permissions_say(t: Test) {
        let ada = t.person("ada").await;
        let url = format!("{LIST}{}/", ada.id);
        let (plain, nobody) = (Guest::new(&t), Guest::new(&t));
        plain.enter("ada").await;
        let viewer = desk(&t, "viewer", "users.view").await;
        let other = desk(&t, "other", "applications.change").await;
        for path in [LIST, "/admin/users/new", &url, &format!("{url}change"), &format!("{url}rights"), &format!("{url}delete")] {
            assert_eq!(plain.get(path).await.status, 403, "{path}");
            assert_eq!(other.get(path).await.status, 403, "{path}");
            assert_eq!(nobody.get(path).await.status, 303, "{path}");
        }
        assert!(!page(&viewer, LIST).await.text.contains("New person"));
        let shown = page(&viewer, &url).await;
        assert!(!shown.text.contains("danger") && !shown.text.contains("end-session"), "{shown:?}");
        assert!(!shown.text.contains("Their tokens") && !shown.text.contains("Audit log of this person"), "{shown:?}");
        let form = viewer.get("/account/sessions").await.form();
        for act in ["new", "1/delete", "1/deactivate", "1/set-password", "1/rights", "1/end-everything", "1/change"] {
            let form = Form { action: format!("{LIST}{}", act.replace('1', &ada.id.to_string())), ..form.clone() };
            assert_eq!(viewer.submit_only(&form, &[("username", "x"), ("password", "x")]).await.status, 403, "{act}");
            // Nor by a form of nobody's (attack 196).
            assert_eq!(viewer.post(&form.action, &[("username", "x")]).await.status, 403, "{act}");
        }
        assert!(noted(&t).await.is_empty());
    }
}

on_both_databases! {
    async fn sessions_associations_and_tokens_are_ended_from_a_persons_page(t: Test) {
        let root = desk(&t, "root", "*").await;
        let app = t.app(&[Password]).await;
        let ada = t.person("ada").await;
        let url = format!("{LIST}{}/", ada.id);
        let (one, two) = (Guest::new(&t), Guest::new(&t));
        one.enter("ada").await;
        let first = page(&root, &url).await.link("End this session");
        two.enter("ada").await;
        let application = vestibule::store::application::find(&t.vestibule.context().db, &app.client_id).await.unwrap().unwrap();
        consent::add(&t.vestibule.context().db, ada.id, application.id, &"read".split(' ').collect(), 5).await.unwrap();
        connected(&t, ada.id, "github", "42").await;
        let shown = page(&root, &url).await;
        assert!(shown.text.contains("<code>42</code>") && shown.text.contains(&format!(">{}</a>", application.name)), "{shown:?}");

        let question = page(&root, &first).await;
        let ended = root.submit(&form_to(&question, "end-session"), &[]).await;
        assert!(ended.text.contains("The session has ended"), "{ended:?}");
        assert_eq!((one.get("/account/sessions").await.status, two.get("/account/sessions").await.status), (303, 200));
        assert_eq!(root.submit(&form_to(&question, "end-session"), &[]).await.status, 404);

        let token = t.password(&app, "ada").await;
        let question = page(&root, &format!("{url}end-sessions")).await;
        root.submit(&form_to(&question, "end-sessions"), &[]).await;
        assert_eq!(two.get("/account/sessions").await.status, 303);
        assert!(t.accepts(&token.access_token()).await);
        let question = page(&root, &format!("{url}end-everything")).await;
        let ended = root.submit(&form_to(&question, "end-everything"), &[]).await;
        assert!(ended.text.contains("in no browser"), "{ended:?}");
        assert!(!t.accepts(&token.access_token()).await);
        assert_ne!(t.refresh(&app, &token.refresh_token()).await.status, 200);
        assert!(t.accepts(&t.password(&app, "ada").await.access_token()).await);

        // With a password it is not the only way in; without one it is, and goes all the same.
        let disconnect = page(&root, &url).await.link("Disconnect");
        assert!(page(&root, &disconnect).await.text.contains("connect it again themself"));
        user::set_password(&t.vestibule.context().db, ada.id, None).await.unwrap();
        let question = page(&root, &disconnect).await;
        assert!(question.text.contains("only way in"), "{question:?}");
        let gone = root.submit(&form_to(&question, "disconnect"), &[]).await;
        assert!(gone.text.contains("The account is disconnected") && gone.text.contains("No account at a provider"), "{gone:?}");
        assert_eq!(details(&t).await[0], json!({ "provider": "github", "uid": "42" }));
        assert_eq!(root.submit(&form_to(&question, "disconnect"), &[]).await.status, 404);
        assert_eq!(root.open(&disconnect).await.status, 404);
        assert_eq!(noted(&t).await, ["root console association.delete ada", "root console user.end_everything ada", "root console user.end_sessions ada", "root console user.end_session ada"]);
    }
}

on_both_databases! {
    async fn the_same_over_json_within_scope_and_permissions(t: Test) {
        let app = admin_app(&t).await;
        staff(&t, "root", "*").await;
        staff(&t, "clerk", "users.change associations.change").await;
        staff(&t, "viewer", "users.view").await;
        let (root, clerk) = (bearer(&t, &app, "root", "admin:write").await, bearer(&t, &app, "clerk", "admin:write").await);

        let made = call(&t, "POST", API, &clerk, json!({ "username": "ada", "email": "ada@example.com", "email_verified": true, "password": PASSWORD })).await;

        assert_eq!(made.status, 201, "{made:?}");
        assert!(!made.text.contains("argon2") && made.json()["has_password"] == true && made.json()["permissions"] == json!([]));
        let id = made.json()["id"].as_i64().unwrap();
        let own = format!("{API}/{id}");
        let changed = call(&t, "PATCH", &own, &clerk, json!({ "first_name": "Ada", "claims": { "locale": "fr" } })).await;
        assert_eq!((changed.status, changed.json()["claims"].clone(), changed.json()["email_verified"].clone()), (200, json!({ "locale": "fr" }), json!(true)));
        // Another address is not the one that was verified.
        assert_eq!(call(&t, "PATCH", &own, &clerk, json!({ "email": "other@example.com" })).await.json()["email_verified"], false);
        for (body, field) in [
            (json!({ "username": 5 }), "username"),
            (json!({ "first_name": "a\nb" }), "first_name"),
            (json!({ "username": "root" }), "username"),
            (json!({ "email": null }), "email"),
            (json!({ "email_verified": "yes" }), "email_verified"),
            (json!({ "claims": [] }), "claims"),
            (json!({ "claims": { "sub": "1" } }), "claims"),
        ] {
            let refused = call(&t, "PATCH", &own, &clerk, body).await;
            assert_eq!(refused.outcome(), "400 invalid_request", "{refused:?}");
            assert!(refused.json().get(field).is_some(), "{refused:?}");
        }
        for body in [json!({ "is_superuser": true }), json!({ "password": "x" }), json!({ "token_epoch": 0 }), json!({ "claims": { "locale": "\0" } })] {
            assert_eq!(call(&t, "PATCH", &own, &clerk, body).await.status, 400);
        }
        assert_eq!(call(&t, "POST", API, &clerk, json!({ "username": "boss", "is_superuser": true })).await.status, 403);
        assert_eq!(call(&t, "POST", API, &clerk, json!({ "username": "ada" })).await.status, 400);
        let act = async |act: &str, who: &str, body: Value| call(&t, "POST", &format!("{own}/{act}"), who, body).await;
        assert_eq!(act("set-password", &clerk, json!({})).await.status, 400);
        assert_eq!(act("set-password", &clerk, json!({ "password": "" })).await.status, 400);
        assert_eq!(act("set-password", &clerk, json!({ "password": null })).await.json()["has_password"], false);
        assert_eq!(act("set-password", &clerk, json!({ "password": PASSWORD })).await.json()["has_password"], true);
        assert_eq!(act("deactivate", &clerk, Value::Null).await.json()["is_active"], false);
        assert_eq!(act("activate", &clerk, Value::Null).await.json()["is_active"], true);
        assert_eq!(act("explode", &clerk, Value::Null).await.status, 404);

        let ada = Guest::new(&t);
        ada.enter("ada").await;
        let github = connected(&t, id, "github", "42").await;
        let sessions = call(&t, "GET", &format!("{own}/sessions"), &clerk, Value::Null).await.json();
        let session = sessions["sessions"][0]["id"].as_i64().unwrap();
        let associations = call(&t, "GET", &format!("{own}/associations"), &clerk, Value::Null).await.json();
        assert_eq!(associations, json!({ "associations": [{ "id": github, "provider": "github", "uid": "42", "created_at": 5 }] }));
        let root_path = format!("{API}/{}", t.find_person("root").await.unwrap().id);
        for path in [format!("{own}/sessions/{session}"), format!("{own}/associations/{github}")] {
            // Not under another's name, and only once.
            assert_eq!(call(&t, "DELETE", &path.replace(&own, &root_path), &root, Value::Null).await.status, 404);
            assert_eq!(call(&t, "DELETE", &path, &clerk, Value::Null).await.status, 204);
            assert_eq!(call(&t, "DELETE", &path, &clerk, Value::Null).await.status, 404);
        }
        assert_eq!(ada.get("/account/sessions").await.status, 303);
        for act_ in ["end-sessions", "end-everything"] {
            assert_eq!(act(act_, &clerk, Value::Null).await.status, 204);
        }

        assert_eq!(act("rights", &clerk, json!({ "is_staff": true })).await.status, 403);
        assert_eq!(act("rights", &root, json!({ "is_staff": "yes" })).await.status, 400);
        assert_eq!(act("rights", &root, json!({ "permissions": ["all"] })).await.status, 400);
        assert_eq!(act("rights", &root, json!({ "is_owner": true })).await.status, 400);
        let rights = act("rights", &root, json!({ "is_staff": true, "permissions": ["tokens.view"] })).await.json();
        assert_eq!((rights["is_staff"].clone(), rights["permissions"].clone()), (json!(true), json!(["tokens.view"])));
        // What is not named stays; and now she is staff, of whom only a superuser disposes.
        assert_eq!(act("rights", &root, json!({ "is_superuser": false })).await.json()["permissions"], json!(["tokens.view"]));
        assert_eq!(call(&t, "PATCH", &own, &clerk, json!({ "first_name": "x" })).await.status, 403);
        assert_eq!(call(&t, "DELETE", &own, &clerk, Value::Null).await.status, 403);

        let reader = bearer(&t, &app, "root", "admin:read").await;
        let viewer = bearer(&t, &app, "viewer", "admin:write").await;
        for weak in [&reader, &viewer] {
            for path in [API, &own, &format!("{own}/sessions"), &format!("{own}/associations")] {
                assert_eq!(call(&t, "GET", path, weak, Value::Null).await.status, 200, "{path}");
            }
            for (method, path) in [("POST", API.to_owned()), ("PATCH", own.clone()), ("DELETE", own.clone()), ("DELETE", format!("{own}/sessions/1")), ("DELETE", format!("{own}/associations/1"))] {
                assert_eq!(call(&t, method, &path, weak, json!({})).await.status, 403, "{method} {path}");
            }
            for name in ["activate", "deactivate", "end-sessions", "end-everything", "rights", "set-password"] {
                assert_eq!(act(name, weak, json!({ "password": null })).await.status, 403, "{name}");
            }
        }
        assert_eq!(call(&t, "DELETE", &own, &root, Value::Null).await.status, 204);
        assert_eq!(call(&t, "GET", &own, &root, Value::Null).await.status, 404);
        assert_eq!(call(&t, "GET", &format!("{API}/nonsense"), &root, Value::Null).await.status, 404);
        assert_eq!(noted(&t).await[0], "root api user.delete ada");
    }
}

on_both_databases! {
    async fn people_are_listed_newest_first_and_found_by_how_they_begin(t: Test) {
        let root = desk(&t, "root", "*").await;
        let app = admin_app(&t).await;
        let reader = bearer(&t, &app, "", "admin:read").await;
        let db = &t.vestibule.context().db;
        for number in 0..60 {
            let new = NewUser {
                username: format!("Guest{number:02}"),
                email: format!("G{number:02}@example.com"),
                last_name: if number == 7 { "Ångström_%".to_owned() } else { String::new() },
                ..NewUser::default()
            };
            user::create(db, new, 5).await.unwrap().unwrap();
        }
        let seventh = t.find_person("Guest07").await.unwrap();
        user::set_active(db, seventh.id, false).await.unwrap();
        let list = async |query: &str| call(&t, "GET", &format!("{API}?{query}"), &reader, Value::Null).await.json();
        let names = |answer: &Value| -> Vec<String> {
            answer["users"].as_array().unwrap().iter().map(|one| one["username"].as_str().unwrap().to_owned()).collect()
        };

        let first = list("limit=40").await;
        let second = list(&format!("limit=40&before={}", first["next"])).await;
        assert_eq!((names(&first)[0].as_str(), names(&first).len(), names(&second).len()), ("Guest59", 40, 21));
        assert_eq!((names(&second)[20].as_str(), &second["next"]), ("root", &Value::Null));
        for (query, expected) in [
            ("state=deactivated", vec!["Guest07"]),
            ("state=staff", vec!["root"]),
            ("state=superusers", vec!["root"]),
            ("q=guest3&state=deactivated", vec![]),
            ("q=guest07&state=deactivated", vec!["Guest07"]),
            ("q=guest07&state=active", vec![]),
            ("q=GUEST58", vec!["Guest58"]),
            ("q=g12@EX", vec!["Guest12"]),
            ("q=%C3%A5ngstr", vec!["Guest07"]),
            ("q=%C3%85NGSTR%C3%96M_%25", vec!["Guest07"]),
            ("q=uest", vec![]),
            ("q=%25", vec![]),
            ("q=guest_", vec![]),
            ("q=ro", vec!["root"]),
        ] {
            assert_eq!(names(&list(query).await), expected, "{query}");
        }
        assert_eq!(names(&list("state=active&limit=200").await).len(), 60);
        assert_eq!(names(&list(&format!("q={}", seventh.id)).await), ["Guest07"]);
        let many = list("q=gu&limit=200").await;
        assert_eq!((names(&many).len(), &many["has_more"]), (50, &json!(true)));
        assert_eq!(list("q=guest1").await["has_more"], false);
        for odd in ["q=%00", "q=%F4%8F%BF%BF", "before=x", "limit=x"] {
            let status = call(&t, "GET", &format!("{API}?{odd}"), &reader, Value::Null).await.status;
            assert!(status < 500, "{odd}: {status}");
        }

        let first = page(&root, LIST).await;
        assert!(first.text.contains("Guest59") && !first.text.contains("Guest07") && first.text.contains("Next page"));
        let second = page(&root, &first.link("Next page")).await;
        assert!(second.text.contains("Guest07") && !second.text.contains("Next page"));
        let found = page(&root, "/admin/users/?q=gu").await;
        assert!(found.text.contains("search for more letters") && !found.text.contains("Next page"));
        assert!(!page(&root, "/admin/users/?q=guest1").await.text.contains("search for more letters"));
        assert!(page(&root, "/admin/users/?q=nobody-like-this").await.text.contains("There is no such person"));
    }
}

on_both_databases! {
    async fn whoever_has_lost_a_second_factor_is_freed_of_it_by_staff(t: Test) {
        let ada = t.person("ada").await;
        let db = &t.vestibule.context().db;
        totp::insert(db, ada.id, vec![1, 2, 3], 0, t.clock.now()).await.unwrap();
        let app = t.app(&[Password]).await;
        let form = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)];
        assert_eq!(t.call("token", &app, &form).await.outcome(), "400 invalid_grant");
        let root = desk(&t, "root", "*").await;
        let url = format!("/admin/users/{}/", ada.id);

        let question = page(&root, &format!("{url}remove-factors")).await;
        assert!(question.text.contains("recovery codes are deleted"));
        let done = root.submit(&form_to(&question, "remove-factors"), &[]).await;

        assert!(done.text.contains("no second factor any more") && !done.text.contains("Take the second factor away"), "{done:?}");
        assert_eq!(t.call("token", &app, &form).await.status, 200);
        assert_eq!(noted(&t).await, ["root console user.remove_factors ada"]);
    }
}
