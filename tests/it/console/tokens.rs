//! Tokens, codes and consents in the console and over the admin API.

use serde_json::{Value, json};
use vestibule::protocol::GrantType::{AuthorizationCode, DeviceCode, Password, RefreshToken};
use vestibule::store::consent;
use vestibule::store::token_list::{self, Filter, WINDOW};

use super::{admin_app, bearer, call, desk, form_to, noted, page, staff};
use crate::authorize::web_app;
use crate::harness::guest::Guest;
use crate::harness::{Test, on_both_databases};

/// The numbers of the rows that a list of the API gives.
async fn listed(t: &Test, query: &str, authorization: &str) -> Vec<i64> {
    let answer = call(t, "GET", &format!("/admin/api/tokens{query}"), authorization, Value::Null).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["tokens"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

on_both_databases! {
    async fn staff_find_a_token_and_end_its_sign_in(t: Test) {
        let app = t.app(&[Password]).await;
        t.person("ada").await;
        let root = desk(&t, "root", "*").await;
        let first = t.password(&app, "ada").await;
        let next = t.refresh(&app, &first.refresh_token()).await;
        let other = t.password(&app, "ada").await;
        let token = next.access_token();
        let beginning = &token[..10];

        let list = page(&root, &format!("/admin/tokens/?q={beginning}")).await;

        assert!(!list.text.contains(&token) && list.text.contains(&token[4..12]), "{list:?}");
        assert_eq!(list.text.matches("name=\"chosen\"").count(), 1);
        let url = list.link(&token[4..12]);
        let shown = page(&root, &url).await;
        assert!(shown.text.contains("live") && shown.text.contains("spent") && shown.text.contains("ada"), "{shown:?}");
        // By a whole token, of either kind, which is never in an address.
        let form = form_to(&page(&root, "/admin/tokens/find").await, "find");
        for whole in [token.clone(), next.refresh_token()] {
            let found = root.submit_only(&form, &[("token", &whole)]).await;
            assert_eq!((found.status, found.header("location")), (303, url.clone()));
        }
        for (wrong, status) in [("vat_nonsense".to_owned(), 400), (token[..token.len() - 1].to_owned(), 400)] {
            assert_eq!(root.submit_only(&form, &[("token", &wrong)]).await.status, status);
        }
        assert_eq!(root.open(&format!("/admin/tokens/?q={token}")).await.status, 400);
        assert_eq!(root.open("/admin/tokens/?q=vat_abc").await.status, 400);

        let question = root.submit(&form_to(&shown, "revoke"), &[]).await;
        assert!(question.text.contains("cannot be undone") && t.accepts(&token).await);
        let done = root.submit(&form_to(&question, "revoke"), &[]).await;

        assert!(done.text.contains("The tokens have ended"), "{done:?}");
        assert!(!t.accepts(&token).await && t.accepts(&other.access_token()).await);
        assert_eq!(t.refresh(&app, &next.refresh_token()).await.outcome(), "400 invalid_grant");
        let id = url.trim_matches('/').rsplit('/').next().unwrap();
        assert_eq!(noted(&t).await, [format!("root console token.revoke {id}")]);
        let answer = page(&root, "/admin/tokens/?state=revoked").await;
        assert_eq!(answer.text.matches("name=\"chosen\"").count(), 2);
        assert!(page(&root, "/admin/tokens/?user=nobody").await.text.contains("no such token"));
        assert_eq!(root.open("/admin/tokens/999999/").await.status, 404);
        assert_eq!(root.open("/admin/tokens/x/").await.status, 404);
    }
}

on_both_databases! {
    async fn every_filter_takes_what_it_says_and_pages_go_on(t: Test) {
        let admin = admin_app(&t).await;
        let root = bearer(&t, &admin, "", "admin:write").await;
        let (one, two) = (t.app(&[Password]).await, t.app(&[Password]).await);
        t.person("ada").await;
        t.person("bob").await;
        for (app, person, scope) in [(&one, "ada", "read"), (&one, "bob", "read write"), (&two, "ada", "write"), (&two, "ada", "read")] {
            t.password_with_scope(app, person, scope).await;
        }
        let all = listed(&t, "", &root).await;
        let newest = |places: &[usize]| places.iter().map(|at| all[*at]).collect::<Vec<_>>();
        assert_eq!(all.len(), 5);
        assert!(all.windows(2).all(|pair| pair[0] > pair[1]));
        assert_eq!(listed(&t, "?user=ada", &root).await, newest(&[0, 1, 3]));
        assert_eq!(listed(&t, &format!("?client_id={}", one.client_id), &root).await, newest(&[2, 3]));
        assert_eq!(listed(&t, &format!("?client_id={}&user=ada", two.client_id), &root).await, newest(&[0, 1]));
        assert_eq!(listed(&t, "?scope=write", &root).await, newest(&[1, 2]));
        assert_eq!(listed(&t, "?scope=writ", &root).await, newest(&[]));
        assert_eq!(listed(&t, "?user=ada&scope=read&limit=1", &root).await, newest(&[0]));
        let page = call(&t, "GET", "/admin/api/tokens?user=ada&limit=2", &root, Value::Null).await;
        let next = page.json()["next"].as_i64().unwrap();
        assert_eq!(listed(&t, &format!("?user=ada&limit=2&before={next}"), &root).await, newest(&[3]));
        // States.
        t.clock.advance(36_001);
        let root = bearer(&t, &admin, "", "admin:write").await;
        assert_eq!(listed(&t, "?state=live&user=ada", &root).await, newest(&[0, 1, 3]), "their refresh tokens live");
        t.clock.advance(400 * 86_400);
        let root = bearer(&t, &admin, "", "admin:write").await;
        assert_eq!(listed(&t, "?state=expired&user=ada", &root).await, newest(&[0, 1, 3]));
        assert_eq!(call(&t, "GET", "/admin/api/tokens?user=nobody", &root, Value::Null).await.status, 404);
        assert_eq!(call(&t, "GET", "/admin/api/tokens?q=abc", &root, Value::Null).await.status, 400);
    }
}

on_both_databases! {
    async fn a_page_that_looks_at_many_rows_ends_and_the_next_goes_on(t: Test) {
        let app = t.app(&[Password]).await;
        let ada = t.person("ada").await;
        t.password_with_scope(&app, "ada", "write").await;
        let db = &t.vestibule.context().db;
        let many = "INSERT INTO vestibule_token (family, generation, grant_type, application_id, application_epoch, user_id, user_epoch,
                        scope, access_digest, access_expires_at, created_at, expires_at)
                    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                    SELECT i, 0, 'password', $1, 0, $2, 0, 'read', CAST(CAST(i AS TEXT) AS BYTEA), 9, 9, 9 FROM n";
        t.vestibule.context().db.execute(many, vec![app.row.id.into(), ada.id.into()]).await.unwrap();
        let filter = Filter { scope: "write".to_owned(), ..Filter::default() };

        let (rows, next) = token_list::page(db, &filter, (i64::MAX, 50), 5).await.unwrap();

        assert!(rows.is_empty() && next.is_some());
        let (rows, next) = token_list::page(db, &filter, (next.unwrap(), 50), 5).await.unwrap();
        assert_eq!((rows.len(), next), (1, None));
        assert_eq!(token_list::count_live(db, Some(ada.id), None, 5).await.unwrap(), (WINDOW, true));
    }
}

on_both_databases! {
    async fn all_of_a_person_or_an_application_or_both_ends_on_every_node(t: Test) {
        let (one, two) = (t.app(&[Password]).await, t.app(&[Password]).await);
        let second = t.second_node().await;
        t.person("ada").await;
        t.person("bob").await;
        let root = desk(&t, "root", "*").await;
        let all = async || {
            let mut tokens = Vec::new();
            for (app, person) in [(&one, "ada"), (&two, "ada"), (&one, "bob")] {
                tokens.push(t.password(app, person).await.access_token());
            }
            for token in &tokens {
                assert!(second.accepts(token).await);
            }
            tokens
        };
        let left = async |tokens: Vec<String>| {
            let mut left = Vec::new();
            for token in tokens {
                left.push(second.accepts(&token).await);
            }
            left
        };
        let end = async |query: &str, count: &str| {
            let list = page(&root, &format!("/admin/tokens/{query}")).await;
            let question = page(&root, &list.link("Revoke all")).await;
            assert!(question.text.contains(count), "{question:?}");
            let done = root.submit(&form_to(&question, "revoke-all"), &[]).await;
            assert!(done.text.contains("have ended"), "{done:?}");
        };

        let tokens = all().await;
        end(&format!("?user=ada&client_id={}", one.client_id), "1 live").await;
        assert_eq!(left(tokens).await, [false, true, true]);
        let tokens = all().await;
        end("?user=ada", "3 live").await;
        assert_eq!(left(tokens).await, [false, false, true]);
        let tokens = all().await;
        end(&format!("?client_id={}", one.client_id), "4 live").await;
        assert_eq!(left(tokens).await, [false, true, false]);
        assert_eq!(noted(&t).await, [
            format!("root console token.revoke_all {}", one.client_id),
            "root console token.revoke_all ada".to_owned(),
            "root console token.revoke_all ada".to_owned(),
        ]);
        assert_eq!(root.open("/admin/tokens/revoke-all").await.status, 400);
    }
}

on_both_databases! {
    async fn more_sign_ins_than_a_notification_can_name_end_at_once(t: Test) {
        let app = t.app(&[Password]).await;
        let second = t.second_node().await;
        let ada = t.person("ada").await;
        let token = t.password(&app, "ada").await.access_token();
        assert!(second.accepts(&token).await);
        let many = "INSERT INTO vestibule_token (family, generation, grant_type, application_id, application_epoch, user_id, user_epoch,
                        scope, access_digest, access_expires_at, created_at, expires_at)
                    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
                    SELECT 9000000000000000000 + i, 0, 'password', $1, 0, $2, 0, 'read', CAST(CAST(i AS TEXT) AS BYTEA), 9, 9, 9 FROM n";
        t.vestibule.context().db.execute(many, vec![app.row.id.into(), ada.id.into()]).await.unwrap();

        vestibule::store::token::revoke_all(&t.vestibule.context().db, ada.id, app.row.id, t.clock.now()).await.unwrap();

        assert!(!second.accepts(&token).await && !t.accepts(&token).await);
    }
}

on_both_databases! {
    async fn codes_and_consents_are_seen_and_taken_back(t: Test) {
        let app = web_app(&t).await;
        let device_app = t.app(&[DeviceCode, RefreshToken, AuthorizationCode]).await;
        t.person("ada").await;
        let root = desk(&t, "root", "*").await;
        let ada = Guest::new(&t);
        let code = ada.code(&app, "ada", &[("scope", "read")]).await;
        let begun = t.call("device-authorization", &device_app, &[("scope", "read")]).await;

        let codes = page(&root, "/admin/tokens/grants/?kind=codes&user=ada").await;
        let question = root.submit(&form_to(&codes, "delete"), &[("chosen", &id_on(&codes))]).await;
        assert!(question.text.contains("Nothing can be made of them"), "{question:?}");
        let deleted = root.submit(&form_to(&question, "delete"), &[]).await;
        assert!(deleted.text.contains("codes are deleted") && deleted.text.contains("No such code"), "{deleted:?}");
        assert_eq!(crate::authorize::redeem(&t, &app, &code).await.outcome(), "400 invalid_grant");

        let devices = page(&root, &format!("/admin/tokens/grants/?kind=devices&client_id={}", device_app.client_id)).await;
        let question = root.submit(&form_to(&devices, "delete"), &[("chosen", &id_on(&devices))]).await;
        root.submit(&form_to(&question, "delete"), &[]).await;
        let poll = [("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("device_code", &begun.field("device_code"))];
        assert_eq!(t.call("token", &device_app, &poll).await.status, 400);

        let token = crate::authorize::redeem(&t, &app, &ada.code(&app, "ada", &[("scope", "read")]).await).await.access_token();
        let consents = page(&root, "/admin/tokens/grants/?user=ada").await;
        let question = root.submit(&form_to(&consents, "withdraw"), &[("chosen", &id_on(&consents))]).await;
        assert!(t.accepts(&token).await);
        let done = root.submit(&form_to(&question, "withdraw"), &[]).await;
        assert!(done.text.contains("consents are withdrawn"), "{done:?}");
        assert!(!t.accepts(&token).await);
        let user = t.find_person("ada").await.unwrap();
        assert!(consent::find(&t.vestibule.context().db, user.id, app.row.id).await.unwrap().is_empty());
        let acts: Vec<String> = noted(&t).await.iter().map(|line| line.split(' ').nth(2).unwrap().to_owned()).collect();
        assert_eq!(acts, ["consent.withdraw", "code.delete", "code.delete"]);
    }
}

/// What choosing the only row of a list sends.
fn id_on(answer: &crate::harness::Answer) -> String {
    let found: Vec<&str> =
        answer.text.split("name=\"chosen\" value=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(found.len(), 1, "{answer:?}");
    found[0].to_owned()
}

on_both_databases! {
    async fn who_may_not_does_nothing_and_staff_not_to_staff(t: Test) {
        let app = t.app(&[Password]).await;
        t.person("ada").await;
        staff(&t, "root", "*").await;
        let viewer = desk(&t, "viewer", "tokens.view").await;
        let clerk = desk(&t, "clerk", "tokens.change").await;
        let other = desk(&t, "other", "users.view").await;
        let (ada, nobody) = (Guest::new(&t), Guest::new(&t));
        ada.enter("ada").await;
        let (of_root, of_ada) = (t.password(&app, "root").await.access_token(), t.password(&app, "ada").await.access_token());
        for path in ["/admin/tokens/", "/admin/tokens/1/", "/admin/tokens/find", "/admin/tokens/grants/", "/admin/tokens/revoke-all?user=ada"] {
            assert_eq!(ada.get(path).await.status, 403, "{path}");
            assert_eq!(other.get(path).await.status, 403, "{path}");
            assert_eq!(nobody.get(path).await.status, 303, "{path}");
        }
        let list = page(&viewer, "/admin/tokens/?user=ada").await;
        assert!(!list.text.contains("name=\"chosen\"") && !list.text.contains("Revoke all"), "{list:?}");
        assert_eq!(viewer.open("/admin/tokens/revoke-all?user=ada").await.status, 403);
        let form = viewer.get("/account/sessions").await.form();
        for (act, fields) in [
            ("revoke", &[("chosen", "1"), ("confirm", "1")][..]),
            ("revoke", &[("chosen", "1")]),
            ("revoke-all", &[("user", "ada")]),
            ("grants/withdraw", &[("chosen", "1"), ("confirm", "1")]),
            ("grants/delete", &[("chosen", "1")]),
        ] {
            let form = crate::harness::guest::Form { action: format!("/admin/tokens/{act}"), ..form.clone() };
            assert_eq!(viewer.submit_only(&form, fields).await.status, 403, "{act}");
        }
        // Staff end nothing of a superuser's, not even beside somebody else's.
        let rows = page(&clerk, "/admin/tokens/").await;
        let ids: Vec<String> = rows.text.split("name=\"chosen\" value=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
        let question = clerk.submit(&form_to(&rows, "revoke"), &ids.iter().map(|id| ("chosen", id.as_str())).collect::<Vec<_>>()).await;
        assert_eq!(clerk.submit_only(&form_to(&question, "revoke"), &[]).await.status, 403);
        let question = page(&clerk, "/admin/tokens/revoke-all?user=root").await;
        assert_eq!(clerk.submit_only(&form_to(&question, "revoke-all"), &[]).await.status, 403);
        assert!(t.accepts(&of_root).await && t.accepts(&of_ada).await && noted(&t).await.is_empty());
    }
}

on_both_databases! {
    async fn the_same_over_json(t: Test) {
        let admin = admin_app(&t).await;
        let app = web_app(&t).await;
        staff(&t, "viewer", "tokens.view").await;
        t.person("ada").await;
        let ada = Guest::new(&t);
        let root = bearer(&t, &admin, "", "admin:write").await;
        let viewer = bearer(&t, &admin, "viewer", "admin:write").await;
        let code = ada.code(&app, "ada", &[("scope", "openid read")]).await;
        let token = crate::authorize::redeem(&t, &app, &code).await.access_token();
        ada.code(&app, "ada", &[("scope", "openid read")]).await;

        let found = call(&t, "POST", "/admin/api/tokens/find", &viewer, json!({ "token": token })).await;

        assert_eq!((found.status, found.field("user"), found.json()["had_id_token"].clone()), (200, "ada".to_owned(), true.into()), "{found:?}");
        assert_eq!((found.field("access_hint"), found.field("state")), (token[4..12].to_owned(), "live".to_owned()));
        assert!(!found.text.contains(&token));
        let id = found.json()["id"].clone();
        let one = call(&t, "GET", &format!("/admin/api/tokens/{id}"), &viewer, Value::Null).await;
        assert_eq!(one.json(), found.json());
        assert_eq!(call(&t, "POST", "/admin/api/tokens/find", &root, json!({ "token": "x" })).await.status, 400);
        let grants = call(&t, "GET", &format!("/admin/api/grants?client_id={}", app.client_id), &viewer, Value::Null).await.json();
        let code_id = grants["codes"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(grants["codes"].as_array().unwrap().len(), 1, "the redeemed one does not wait");
        let consents = call(&t, "GET", "/admin/api/consents?user=ada", &viewer, Value::Null).await.json();
        let consent_id = consents["consents"][0]["id"].clone();
        for (method, path, body) in [
            ("POST", "/admin/api/tokens/revoke".to_owned(), json!({ "ids": [id] })),
            ("POST", "/admin/api/tokens/revoke".to_owned(), json!({ "user": "ada" })),
            ("DELETE", format!("/admin/api/grants/{code_id}"), Value::Null),
            ("DELETE", format!("/admin/api/consents/{consent_id}"), Value::Null),
        ] {
            assert_eq!(call(&t, method, &path, &viewer, body).await.status, 403, "{path}");
        }
        for body in [json!({}), json!({ "ids": [] }), json!({ "ids": ["x"] }), json!({ "ids": 5 })] {
            assert_eq!(call(&t, "POST", "/admin/api/tokens/revoke", &root, body).await.status, 400);
        }
        assert_eq!(call(&t, "POST", "/admin/api/tokens/revoke", &root, json!({ "ids": [id, 999_999] })).await.status, 404);
        assert!(t.accepts(&token).await, "where one is gone none ends");
        let revoked = call(&t, "POST", "/admin/api/tokens/revoke", &root, json!({ "ids": [id] })).await;
        assert_eq!((revoked.status, revoked.json()["sign_ins"].clone()), (200, 1.into()));
        assert!(!t.accepts(&token).await);
        for (path, status) in [(format!("/admin/api/grants/{code_id}"), [204, 404]), (format!("/admin/api/consents/{consent_id}"), [204, 404])] {
            for expected in status {
                assert_eq!(call(&t, "DELETE", &path, &root, Value::Null).await.status, expected, "{path}");
            }
        }
        assert_eq!(call(&t, "DELETE", "/admin/api/grants/nonsense", &root, Value::Null).await.status, 404);
        assert_eq!(call(&t, "POST", "/admin/api/tokens/revoke", &root, json!({ "user": "ada", "client_id": app.client_id })).await.status, 200);
        assert_eq!(call(&t, "POST", "/admin/api/tokens/revoke", &root, json!({ "user": "nobody" })).await.status, 404);
    }
}
