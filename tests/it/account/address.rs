//! Proving the address of an account, and changing it for one that is proven.

use vestibule::settings::OnTakenEmail;
use vestibule::store::user;

use super::{DAY, NEW, World, fill, is_only_for_the_fresh, says, twice};
use crate::harness::guest::Guest;
use crate::harness::mailbox::{code, link};
use crate::harness::{Answer, PASSWORD, Setup, Test, on_both_databases};

const PAGE: &str = "/account/address";
const CHANGE: &str = "/account/address/change";

async fn change(guest: &Guest<'_>, email: &str) -> Answer {
    fill(guest, CHANGE, &[("email", email)]).await
}

/// The address of an account, and whether it is verified.
async fn address(world: &World, username: &str) -> (String, bool) {
    let user = world.t.find_person(username).await.unwrap();
    (user.email, user.email_verified)
}

fn proven(email: &str) -> (String, bool) {
    (email.to_owned(), true)
}

on_both_databases! {
    async fn an_address_that_is_there_is_proven_by_link_or_code(setup: Setup) {
        let world = World::new(setup).await;
        for (username, by_link) in [("ada", true), ("grace", false)] {
            let email = format!("{username}@example.com");
            world.person(username, &email, false).await;
            let guest = world.in_as(username).await;
            let page = guest.get(PAGE).await;
            assert!(page.text.contains("not confirmed"), "{page:?}");

            let page = guest.submit(&page.form(), &[]).await;
            assert!(page.text.contains("name=\"code\"") && page.text.contains("Send the mail again"), "{page:?}");
            let mail = world.last_to(&email).await;
            let answer = match by_link {
                true => guest.submit_only(&guest.get(&link(&mail)).await.form(), &[]).await,
                false => guest.submit_only(&page.forms()[0], &[("code", &code(&mail))]).await,
            };

            assert!(answer.text.contains("Your address is confirmed"), "{answer:?}");
            assert_eq!(address(&world, username).await, (email.clone(), true));
            assert_eq!(world.count_to(&email).await, 1, "nobody is told: nothing has changed");
            let page = guest.get(PAGE).await;
            assert!(!page.text.contains("not confirmed") && !page.text.contains("name=\"code\""), "{page:?}");
        }
    }
}

on_both_databases! {
    async fn a_new_address_counts_once_it_is_proven_and_the_old_one_is_told(setup: Setup) {
        let world = World::new(setup).await;
        world.ada().await;
        let guest = world.in_as("ada").await;

        assert_eq!(change(&guest, "new@example.com").await.header("location"), PAGE);
        assert_eq!(address(&world, "ada").await, proven("ada@example.com"), "not yet");
        assert_eq!(world.count_to("ada@example.com").await, 0);
        let link = link(&world.last_to("new@example.com").await);
        let page = guest.get(&link).await;
        assert_eq!(address(&world, "ada").await, proven("ada@example.com"), "not by a GET");
        let answer = guest.submit_only(&page.form(), &[]).await;

        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(address(&world, "ada").await, proven("new@example.com"));
        let told = world.last_to("ada@example.com").await;
        assert!(told.contains("was changed") && !told.contains("new@example.com"), "{told}");
        assert_eq!(guest.submit_only(&page.form(), &[]).await.status, 400, "once");
    }
}

on_both_databases! {
    async fn whoever_owns_the_address_gives_it_to_no_strangers_account(setup: Setup) {
        let world = World::new(setup).await;
        world.person("eve", "eve@example.com", true).await;
        world.person("victim", "", false).await;
        let eve = world.in_as("eve").await;
        change(&eve, "victim@example.com").await;
        let link = link(&world.last_to("victim@example.com").await);
        let victim = world.in_as("victim").await;

        let page = victim.get(&link).await;
        assert!(page.status == 400 && page.text.contains("belongs to another account"), "{page:?}");
        let form = victim.get(PAGE).await;
        assert!(!form.text.contains("name=\"code\""));
        let own = victim.get("/account/profile").await.form();
        let token = link.split_once("token=").unwrap().1;
        let forged = victim.post("/account/address/confirm", &[("form_token", own.fields[0].1.as_str()), ("token", token)]).await;
        assert_eq!(forged.status, 400);
        let nobody = Guest::new(&world.t).get(&link).await;
        assert!(nobody.header("location").starts_with("/account/sign-in?next=%2Faccount%2Faddress%2Fconfirm"), "{nobody:?}");

        assert_eq!(address(&world, "eve").await, proven("eve@example.com"));
        assert_eq!(address(&world, "victim").await, (String::new(), false));
    }
}

on_both_databases! {
    async fn only_the_address_that_was_proven_is_the_accounts(setup: Setup) { // attack 247
        let world = World::new(setup).await;
        world.ada().await;
        let guest = world.in_as("ada").await;
        change(&guest, "one@example.com").await;
        let one = world.last_to("one@example.com").await;
        let page = guest.get(&link(&one)).await;
        change(&guest, "two@example.com").await;

        assert_eq!(guest.submit_only(&page.form(), &[]).await.status, 400, "a newer mail stands in for it");
        let form = guest.get(PAGE).await.forms().remove(0);
        assert!(says(&guest.submit_only(&form, &[("code", &code(&one))]).await, 400, "not right"));
        assert_eq!(address(&world, "ada").await, proven("ada@example.com"));
        let two = world.last_to("two@example.com").await;
        let page = guest.get(&link(&two)).await.form();
        let other = world.in_as("ada").await;
        let form = other.get(CHANGE).await.form();
        tokio::join!(guest.submit_only(&page, &[]), other.submit_only(&form, &[("email", "three@example.com")]));

        let (email, is_verified) = address(&world, "ada").await;
        assert!(is_verified && (email == "two@example.com" || email == "ada@example.com"), "{email}");
    }
}

on_both_databases! {
    async fn a_mail_dies_with_time_with_the_password_and_with_too_many_tries(setup: Setup) {
        let world = World::new(setup).await;
        let ada = world.ada().await;
        let db = &world.t.vestibule.context().db;
        let guest = world.in_as("ada").await;
        change(&guest, "new@example.com").await;
        let mail = world.last_to("new@example.com").await;
        world.t.clock.advance(DAY + 1);
        assert_eq!(guest.get(&link(&mail)).await.status, 400, "a day");

        let guest = world.in_as("ada").await;
        change(&guest, "new@example.com").await;
        let mail = world.last_to("new@example.com").await;
        fill(&guest, "/account/password", &[[("password", PASSWORD)].as_slice(), &twice(NEW)].concat()).await;
        assert_eq!(guest.get(&link(&mail)).await.status, 400, "another password");

        change(&guest, "new@example.com").await;
        let right = code(&world.last_to("new@example.com").await);
        let wrong = if right == "00000000" { "11111111" } else { "00000000" };
        let form = guest.get(PAGE).await.forms().remove(0);
        for _ in 0..10 {
            assert_eq!(guest.submit_only(&form, &[("code", wrong)]).await.status, 400);
        }
        assert_eq!(guest.submit_only(&form, &[("code", &right)]).await.status, 429);
        assert_eq!(user::find(db, ada.id).await.unwrap().unwrap().email, "ada@example.com");
    }
}

on_both_databases! {
    async fn nobody_learns_whose_address_it_is(setup: Setup) {
        let world = World::new(setup).await;
        world.ada().await;
        world.person("grace", "grace@example.com", true).await;
        let guest = world.in_as("ada").await;

        let (taken, free) = (change(&guest, "Grace@example.com").await, change(&guest, "free@example.com").await);

        assert_eq!((taken.status, taken.header("location")), (free.status, free.header("location")));
        let told = world.last_to("Grace@example.com").await;
        assert!(told.contains("belongs to your account already") && !told.contains("token="), "{told}");
        // One that is taken while it waits.
        world.person("quick", "free@example.com", true).await;
        let page = guest.get(&link(&world.last_to("free@example.com").await)).await;
        assert!(says(&guest.submit_only(&page.form(), &[]).await, 400, "Another account has this address"));
        assert_eq!(address(&world, "ada").await, proven("ada@example.com"));
    }
}

on_both_databases! {
    async fn a_change_is_only_for_the_fresh_and_follows_the_operators_lists(setup: Setup) {
        let world = World::with(setup, |setup| {
            setup.settings.social.allowed_domains = vec!["example.com".to_owned()];
            setup.settings.social.force_email_lowercase = true;
            setup.settings.social.on_taken_email = OnTakenEmail::Create;
        }).await;
        world.ada().await;
        world.person("grace", "grace@example.com", true).await;
        let guest = world.in_as("ada").await;
        assert!(says(&change(&guest, "ada@elsewhere.example").await, 400, "not let in here"));
        assert!(says(&change(&guest, "ada").await, 400, "cannot write to this address"));
        change(&guest, "GRACE@example.com").await;
        let page = guest.get(&link(&world.last_to("GRACE@example.com").await)).await;
        guest.submit_only(&page.form(), &[]).await;
        assert_eq!(address(&world, "ada").await, proven("grace@example.com"), "where accounts may share one");
        is_only_for_the_fresh(&world, &guest, CHANGE, &[("email", "late@example.com")]).await;
        assert_eq!(world.count_to("late@example.com").await, 0);
    }
}

on_both_databases! {
    async fn without_mails_the_page_says_whom_to_ask(t: Test) {
        t.person("ada").await;
        let guest = Guest::new(&t);
        guest.enter("ada").await;
        let page = guest.get(PAGE).await;
        assert!(page.text.contains("ask whoever runs this site") && !page.text.contains("<form"), "{page:?}");
        assert_eq!(guest.get(CHANGE).await.header("location"), PAGE);
    }
}
