//! What a person is called, where they are signed in, what is stored of them, and the end of it.

use serde_json::{Value, json};
use vestibule::protocol::GrantType::{ConvertToken, Password};
use vestibule::store::application::Application;
use vestibule::store::user::{self, NewUser};

use super::{World, fill, is_in, is_only_for_the_fresh, says};
use crate::authorize::{redeem, web_app};
use crate::harness::guest::Guest;
use crate::harness::{PASSWORD, Setup, Test, on_both_databases};
use crate::openid::{Backchannel, app_with, id_token};

const EVERYWHERE: &str = "/account/sign-out-everywhere";
const DATA: &str = "/account/data";
const DELETE: &str = "/account/delete";

on_both_databases! {
    async fn the_home_page_leads_everywhere_and_nobody_else_gets_there(t: Test) {
        t.person("ada").await;
        let guest = Guest::new(&t);
        guest.enter("ada").await;
        let home = guest.get("/account/").await;
        let links: Vec<_> = home.text.split("<li><a href=\"").skip(1).map(|link| link.split('"').next().unwrap().replace("&#x2f;", "/")).collect();
        assert!(links.len() > 10, "{links:?}");
        for link in links {
            assert_eq!(guest.get(&link).await.status, 200, "{link}");
            let nobody = Guest::new(&t).get(&link).await;
            assert!(nobody.header("location").starts_with("/account/sign-in?next="), "{link}: {nobody:?}");
        }
    }
}

on_both_databases! {
    async fn names_are_kept_clean_and_applications_are_told(t: Test) {
        t.person("ada").await;
        let app = app_with(&t, |_| {}).await;
        let guest = Guest::new(&t);
        let (tokens, _) = id_token(&t, &guest, &app).await;
        let long = "x".repeat(300);

        assert_eq!(fill(&guest, "/account/profile", &[("first_name", " Ada\u{7} <b> "), ("last_name", &long)]).await.status, 200);

        let told = t.get_as("userinfo", &format!("Bearer {}", tokens.access_token())).await.json();
        assert_eq!((told["given_name"].as_str(), told["family_name"].as_str().map(str::len)), (Some("Ada <b>"), Some(150)));
        assert!(!guest.get("/account/profile").await.text.contains("<b>"));
    }
}

on_both_databases! {
    async fn a_username_is_changed_if_it_is_free_and_fits(setup: Setup) {
        let world = World::new(setup).await;
        world.ada().await;
        world.person("grace", "grace@example.com", true).await;
        let app = world.t.app(&[Password]).await;
        let token = world.t.password(&app, "ada").await.access_token();
        let guest = world.in_as("ada").await;
        for (wanted, sentence) in [
            ("grace", "has this username already"), ("", "cannot be used"), ("a b", "cannot be used"),
            ("grace@example.com", "cannot be used"), ("a\r\nb", "cannot be used"),
        ] {
            assert!(says(&fill(&guest, "/account/username", &[("username", wanted)]).await, 400, sentence), "{wanted}");
        }
        for wanted in ["countess", "ada@example.com", "ada.l"] {
            assert_eq!(fill(&guest, "/account/username", &[("username", wanted)]).await.status, 200, "{wanted}");
        }

        assert_eq!(world.t.get_as("verify", &format!("Bearer {token}")).await.header("x-auth-user"), "ada.l");
        assert!(world.t.find_person("ada").await.is_none() && is_in(&guest).await);
        is_only_for_the_fresh(&world, &guest, "/account/username", &[("username", "late")]).await;
        let guest = world.in_as("ada.l").await;
        let mut last = 0;
        for _ in 0..21 {
            last = fill(&guest, "/account/username", &[("username", "grace")]).await.status;
        }
        assert_eq!(last, 429, "whoever looks for names is stopped");
    }
}

on_both_databases! {
    async fn a_session_shows_where_it_was_used_last_and_for_what(setup: Setup) {
        let mut setup = setup;
        setup.settings.http.client_address_header = Some("x-real-ip".to_owned());
        let t = setup.start().await;
        t.person("ada").await;
        let app = web_app(&t).await;
        let guest = Guest::new(&t);
        let from = |address: &str| *guest.headers.lock().unwrap() = vec![("x-real-ip", address.to_owned())];
        from("192.0.2.1");
        guest.enter("ada").await;
        guest.code(&app, "ada", &[]).await;
        t.clock.advance(30);
        from("198.51.100.7");
        guest.get("/account/").await;

        let page = guest.get("/account/sessions").await;

        for shown in ["192.0.2.1", "198.51.100.7", &app.row.name] {
            assert!(page.text.contains(shown), "{shown}: {page:?}");
        }
    }
}

on_both_databases! {
    async fn signing_out_everywhere_ends_every_session_and_every_token_in_one_act(setup: Setup) {
        let mut setup = setup;
        setup.settings.outbound.allow_private_addresses = true;
        let t = setup.start().await;
        t.person("ada").await;
        t.person("grace").await;
        let channel = Backchannel::start().await;
        let told = app_with(&t, |app| app.metadata.backchannel_logout_uri = Some(channel.url.clone())).await;
        let (own, other, graces) = (Guest::new(&t), Guest::new(&t), Guest::new(&t));
        graces.enter("grace").await;
        own.enter("ada").await;
        let (of_other, _) = id_token(&t, &other, &told).await;
        let app = t.app(&[Password]).await;
        let by_password = t.password(&app, "ada").await;
        let of_grace = t.password(&app, "grace").await;
        let web = web_app(&t).await;
        let code = other.code(&web, "ada", &[]).await;
        let asked = own.get(EVERYWHERE).await;
        assert!(asked.text.contains("loses its access at once") && is_in(&other).await, "it only asks");

        let answer = own.submit_only(&asked.form(), &[]).await;

        assert!(answer.text.contains("signed out everywhere else"), "{answer:?}");
        assert!(is_in(&own).await && !is_in(&other).await && is_in(&graces).await);
        for tokens in [&of_other, &by_password] {
            assert!(!t.accepts(&tokens.access_token()).await);
        }
        assert_eq!(t.refresh(&told, &of_other.refresh_token()).await.outcome(), "400 invalid_grant");
        assert_eq!(redeem(&t, &web, &code).await.outcome(), "400 invalid_grant", "nor a code that waits");
        assert!(t.accepts(&of_grace.access_token()).await);
        assert_eq!(channel.heard().await.len(), 1);
        assert!(t.accepts(&t.password(&app, "ada").await.access_token()).await, "and one can begin anew");

        let answer = fill(&own, EVERYWHERE, &[("this_too", "1")]).await;
        assert!(answer.text.contains("You are signed out everywhere") && !is_in(&own).await, "{answer:?}");
        assert_eq!(own.cookie("vestibule_session"), None);
    }
}

on_both_databases! {
    async fn everything_that_is_stored_comes_as_a_file_without_a_secret(setup: Setup) {
        let world = World::with(setup, |setup| {
            setup.settings.social.extra_data = vec!["id".to_owned()];
            setup.settings.social.get_all_extra_data = true;
        }).await;
        let t = &world.t;
        let convert = t.app(&[ConvertToken]).await;
        t.stand_in.issue("github", "a-token-of-github", "7");
        let tokens = t.convert(&convert, "github", "a-token-of-github").await;
        let cx = t.vestibule.context();
        let person = t.find_person("user7").await.unwrap();
        let encoded = cx.hasher.hash(PASSWORD, [5; 16]).await.unwrap();
        user::set_password(&cx.db, person.id, Some(encoded.clone())).await.unwrap();
        user::set_claims(&cx.db, person.id, r#"{"picture":"https://example.com/a.png"}"#.to_owned()).await.unwrap();
        let web = web_app(t).await;
        let mine = t.app_with(|app: &mut Application| { app.owner_id = Some(person.id); app.name = "Mine".to_owned(); }).await;
        let guest = Guest::new(t);
        guest.code(&web, "user7", &[]).await;

        let file = fill(&guest, DATA, &[]).await;

        assert_eq!((file.status, file.header("content-disposition").as_str()), (200, "attachment; filename=\"account.json\""));
        assert_eq!((file.header("cache-control").as_str(), file.header("content-type").as_str()), ("no-store", "application/json"));
        let data = file.json();
        let profile = &data["profile"];
        assert_eq!((&profile["username"], &profile["email"], &profile["has_password"]), (&json!("user7"), &json!("user7@example.com"), &json!(true)));
        assert_eq!(profile["claims"]["picture"], "https://example.com/a.png");
        let tie = &data["connected_accounts"][0];
        assert_eq!((&tie["provider"], &tie["uid"]), (&json!("github"), &json!("7")));
        assert!(tie["extra"].is_object());
        assert_eq!(data["sessions"].as_array().map(Vec::len), Some(1));
        assert_eq!(data["consents"][0]["client_id"], web.client_id.as_str());
        let all: Vec<&Value> = data["tokens"].as_array().unwrap().iter().collect();
        assert_eq!((all.len(), &all[0]["grant_type"], &all[0]["client_id"]), (1, &json!("convert-token"), &json!(convert.client_id)));
        assert_eq!(data["applications"][0]["name"], "Mine");
        let secrets = [
            tokens.access_token(), tokens.refresh_token(), "a-token-of-github".to_owned(), encoded,
            guest.cookie("vestibule_session").unwrap(), mine.secret.unwrap(), mine.row.secret_hash.unwrap(),
        ];
        for secret in secrets {
            assert!(!file.text.contains(&secret), "{secret}");
        }
        for word in ["digest", "sealed", "argon2"] {
            assert!(!file.text.contains(word), "{word}");
        }
        is_only_for_the_fresh(&world, &guest, DATA, &[]).await;
    }
}

on_both_databases! {
    async fn a_deleted_account_is_gone_at_once_with_everything(setup: Setup) {
        let world = World::with(setup, |setup| setup.settings.outbound.allow_private_addresses = true).await;
        let t = &world.t;
        let ada = world.ada().await;
        world.person("grace", "grace@example.com", true).await;
        let channel = Backchannel::start().await;
        let told = app_with(t, |app| app.metadata.backchannel_logout_uri = Some(channel.url.clone())).await;
        let mine = t.app_with(|app: &mut Application| app.owner_id = Some(ada.id)).await;
        let (guest, other) = (Guest::new(t), world.in_as("ada").await);
        let (tokens, _) = id_token(t, &guest, &told).await;
        let page = guest.get(DELETE).await;
        assert!(page.text.contains("cannot be undone") && page.text.contains(&mine.row.name), "{page:?}");

        for wrong in ["", "grace", "ADA"] {
            assert!(says(&guest.submit_only(&page.form(), &[("username", wrong)]).await, 400, "not your username"));
        }
        assert!(t.find_person("ada").await.is_some());
        let answer = guest.submit_only(&page.form(), &[("username", "ada")]).await;

        assert!(answer.status == 200 && answer.text.contains("Your account is deleted"), "{answer:?}");
        assert!(t.find_person("ada").await.is_none() && t.find_person("grace").await.is_some());
        assert!(!is_in(&guest).await && !is_in(&other).await && !t.accepts(&tokens.access_token()).await);
        assert_eq!(t.refresh(&told, &tokens.refresh_token()).await.outcome(), "400 invalid_grant");
        assert_eq!(channel.heard().await.len(), 1);
        assert!(world.last_to("ada@example.com").await.contains("is deleted"));
        let rest = t.vestibule.context().db.optional("SELECT (SELECT COUNT(*) FROM vestibule_session) + (SELECT COUNT(*) FROM vestibule_consent) + (SELECT COUNT(*) FROM vestibule_token)", vec![], |row| row.int(0));
        assert_eq!(rest.await.unwrap(), Some(0));
        let again = world.ada().await;
        assert_ne!(again.id, ada.id, "nobody is ever taken for them");
    }
}

on_both_databases! {
    async fn who_may_not_delete_their_account_is_told_whom_to_ask(setup: Setup) {
        let world = World::new(setup).await;
        let root = NewUser { username: "root".to_owned(), is_superuser: true, ..NewUser::default() };
        world.t.person_with(root).await;
        world.ada().await;
        let root = world.in_as("root").await;
        assert_eq!(root.get(DELETE).await.status, 403, "a superuser is deleted by another one");
        let ada = world.in_as("ada").await;
        let form = ada.get(DELETE).await.form();
        let node = world.t.second_node_with(|settings| settings.accounts.deletion = false).await;
        let guest = Guest::new(&node);
        guest.enter("ada").await;
        assert!(!guest.get("/account/").await.text.contains(DELETE));
        let page = guest.get(DELETE).await;
        assert!(page.status == 403 && page.text.contains("deleted by whoever runs this site"), "{page:?}");
        let token = guest.get("/account/profile").await.form().fields[0].1.clone();
        assert_eq!(guest.post(DELETE, &[("form_token", &token), ("username", "ada")]).await.status, 403);

        world.t.clock.advance(901);
        let late = ada.submit_only(&form, &[("username", "ada")]).await;
        assert!(late.header("location").starts_with("/account/sign-in?again=1"), "{late:?}");
        assert_eq!(world.t.people().await.len(), 2);
    }
}
