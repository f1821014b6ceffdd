//! A person's own pages, over HTTP and without scripts.

mod address;
mod own;
mod password;
mod sign_up;

use vestibule::store::user::{NewUser, User};

use crate::harness::guest::Guest;
use crate::harness::mailbox::Mailbox;
use crate::harness::{Answer, Setup, Test};

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;
const NEW: &str = "a new one of some length";

/// A server whose mails lie in a folder.
struct World {
    t: Test,
    mails: Mailbox,
}

impl World {
    async fn new(setup: Setup) -> Self {
        Self::with(setup, |_| {}).await
    }

    async fn with(mut setup: Setup, change: impl FnOnce(&mut Setup)) -> Self {
        let mails = Mailbox::of(&mut setup);
        change(&mut setup);
        Self { t: setup.start().await, mails }
    }

    /// Somebody with a verified address.
    async fn ada(&self) -> User {
        self.person("ada", "ada@example.com", true).await
    }

    async fn person(&self, username: &str, email: &str, email_verified: bool) -> User {
        let new =
            NewUser { username: username.to_owned(), email: email.to_owned(), email_verified, ..NewUser::default() };
        self.t.person_with(new).await
    }

    async fn last_to(&self, address: &str) -> String {
        self.mails.last_to(&self.t, address).await
    }

    async fn count_to(&self, address: &str) -> usize {
        self.mails.count_to(&self.t, address).await
    }

    /// A browser in which this person has just signed in.
    async fn in_as(&self, username: &str) -> Guest<'_> {
        let guest = Guest::new(&self.t);
        guest.enter(username).await;
        guest
    }
}

async fn is_in(guest: &Guest<'_>) -> bool {
    guest.get("/account/").await.status == 200
}

/// Whether this password lets the person in.
async fn lets_in(t: &Test, username: &str, password: &str) -> bool {
    let guest = Guest::new(t);
    let page = guest.get("/account/sign-in").await;
    guest.submit_only(&page.form(), &[("username", username), ("password", password)]).await.status == 303
}

/// The page's form with these fields, posted.
async fn fill(guest: &Guest<'_>, path: &str, fields: &[(&str, &str)]) -> Answer {
    let page = guest.get(path).await;
    assert_eq!(page.status, 200, "{page:?}");
    let form = page.forms().into_iter().find(|form| form.action.starts_with(path)).unwrap();
    guest.submit_only(&form, fields).await
}

/// Twice the same.
fn twice(password: &str) -> [(&'static str, &str); 2] {
    [("new_password", password), ("new_password_again", password)]
}

/// Whether a page is shown again with this sentence.
fn says(answer: &Answer, status: u16, sentence: &str) -> bool {
    answer.status == status && answer.text.contains("role=\"alert\"") && answer.text.contains(sentence)
}

/// Whether this page lets nobody do anything who has not proven lately who they are.
async fn is_only_for_the_fresh(world: &World, guest: &Guest<'_>, path: &str, fields: &[(&str, &str)]) {
    let form = guest.get(path).await.forms().into_iter().find(|form| form.action.starts_with(path)).unwrap();
    world.t.clock.advance(901);
    let asked = guest.submit_only(&form, fields).await;
    assert!(asked.header("location").starts_with("/account/sign-in?again=1"), "{path}: {asked:?}");
    let page = guest.follow(asked).await;
    assert!(page.text.contains("confirm that it is you"), "{page:?}");
}
