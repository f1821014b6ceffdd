//! Every act of the console but those of applications, by its buttons in a real browser: with scripts on SQLite, without them
//! on PostgreSQL. What an act has done is looked for where it counts, not on the page.

use vestibule::protocol::GrantType::{ConvertToken, Password};
use vestibule::statistics;
use vestibule::store::user::{self, User};
use vestibule::store::{association, consent};

use super::console::{browser_of, lived_in};
use crate::authorize::{redeem, web_app};
use crate::console::{noted, staff};
use crate::harness::browser::{Browser, ENTER, Scripts, TAB};
use crate::harness::guest::Guest;
use crate::harness::stand_in::Mood;
use crate::harness::{Engine, PASSWORD, Test};

const WAYS: [(Engine, Scripts); 2] = [(Engine::Sqlite, Scripts::On), (Engine::Postgres, Scripts::Off)];

/// A server, and a browser in which a member of staff is signed in.
struct Desk {
    t: Test,
    browser: Browser,
    scripts: Scripts,
}

impl Desk {
    /// A superuser's.
    async fn new((engine, scripts): (Engine, Scripts)) -> Self {
        let t = lived_in(engine).await;
        let browser = browser_of(&t, "root", scripts).await;
        Self { t, browser, scripts }
    }

    async fn open(&self, path: &str) {
        self.browser.goto(&self.t.url(path)).await;
    }

    async fn open_person(&self, person: &User) {
        self.open(&format!("/admin/users/{}/", person.id)).await;
    }

    /// Follows a link of the console, which changes the page in place where there are scripts.
    async fn go(&self, css: &str) {
        self.browser.replace("#main", css).await;
    }

    /// Says yes to a question, and gives what the page then says was done.
    async fn confirm(&self) -> String {
        self.browser.follow("#main form:has([name=confirm]) button.danger").await;
        self.browser.text("[role=status] p").await
    }

    /// Follows the link to an act's question, and says yes.
    async fn act(&self, link: &str) -> String {
        self.go(link).await;
        assert!(!self.browser.text(".warning").await.is_empty(), "{link}");
        self.confirm().await
    }

    /// Types into a filter and waits for the list that this asks for: with scripts nothing has to be pressed.
    async fn filter(&self, css: &str, text: &str) {
        self.browser.fill(css, text).await;
        if self.scripts == Scripts::Off {
            self.browser.follow(".filters button").await;
        }
        self.filtered(&format!("{}={text}", &css[1..])).await;
    }

    /// Chooses an option of a filter by its first letters, as [`Desk::filter`] types.
    async fn choose(&self, css: &str, letters: &str, value: &str) {
        self.browser.script("document.querySelector(arguments[0]).focus()", &[css.into()]).await;
        self.browser.press(letters).await;
        if self.scripts == Scripts::Off {
            self.browser.follow(".filters button").await;
        }
        self.filtered(&format!("{}={value}", &css[1..])).await;
    }

    async fn filtered(&self, pair: &str) {
        for _ in 0..200 {
            let url = url::Url::parse(&self.browser.url().await).unwrap();
            if url.query().unwrap_or_default().split('&').any(|own| own == pair) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("no list with {pair}: {}", self.browser.url().await);
    }

    async fn rows(&self) -> i64 {
        let count = "return document.querySelectorAll('#main tbody tr').length";
        self.browser.script(count, &[]).await.as_i64().unwrap()
    }

    /// The first cell of each row.
    async fn first_cells(&self) -> String {
        let cells =
            "return [...document.querySelectorAll('#main tbody td:first-child')].map(e => e.textContent).join(' ')";
        self.browser.script(cells, &[]).await.as_str().unwrap().to_owned()
    }

    /// Goes on by the keyboard until the focus is on this element, where it can be seen.
    async fn tab_to(&self, css: &str) {
        let look =
            "const e = document.activeElement; return e.matches(arguments[0]) && getComputedStyle(e).outlineStyle";
        for _ in 0..60 {
            self.browser.press(TAB).await;
            let found = self.browser.script(look, &[css.into()]).await;
            if let Some(outline) = found.as_str() {
                assert_eq!(outline, "solid", "{css}");
                return;
            }
        }
        panic!("the keyboard does not lead to {css}");
    }

    /// Goes there by the keyboard, presses it, and waits for what comes.
    async fn press(&self, css: &str, comes: &str) {
        self.tab_to(css).await;
        self.browser.press(ENTER).await;
        self.browser.find(comes).await;
    }
}

/// How many of these browsers are signed in.
async fn signed_in(guests: &[Guest<'_>]) -> usize {
    let mut count = 0;
    for guest in guests {
        count += usize::from(guest.get("/account/sessions").await.status == 200);
    }
    count
}

/// The acts in the audit log, in their order.
async fn acts_noted(t: &Test) -> Vec<String> {
    noted(t).await.iter().rev().map(|line| line.split(' ').nth(2).unwrap().to_owned()).collect()
}

/// Which of these tokens count.
async fn living(t: &Test, tokens: &[String]) -> Vec<bool> {
    let mut all = Vec::new();
    for token in tokens {
        all.push(t.accepts(token).await);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_made_changed_signed_out_stopped_and_deleted() {
    for way in WAYS {
        let desk = Desk::new(way).await;
        let Desk { t, browser, .. } = &desk;
        let app = t.app(&[Password, ConvertToken]).await;
        desk.open("/admin/users/").await;
        desk.go("a[href='/admin/users/new']").await;
        browser.fill("#username", "grace").await;
        browser.fill("#email", "grace@example.com").await;
        browser.click("#main summary").await;
        browser.fill("#claims", "{").await;
        browser.follow("#main button.primary").await;
        assert!(browser.text("[role=alert]").await.contains("one JSON object"));
        assert_eq!(browser.attribute("#username", "value").await.as_deref(), Some("grace"));
        browser.fill("#claims", "{\"locale\": \"fr\"}").await;
        browser.fill("#password", PASSWORD).await;
        browser.follow("#main button.primary").await;
        assert_eq!(browser.text("[role=status] p").await, "The person is created.");
        let grace = t.find_person("grace").await.unwrap();
        assert!(grace.claims.contains("fr") && !grace.email_verified && grace.email == "grace@example.com");

        desk.go(".actions a[href$='/change']").await;
        browser.fill("#first_name", "Grace").await;
        browser.click("#email_verified").await;
        browser.follow("#main button.primary").await;
        let changed = t.find_person("grace").await.unwrap();
        assert!(changed.first_name == "Grace" && changed.email_verified && changed.claims.contains("fr"));

        let guests = [Guest::new(t), Guest::new(t), Guest::new(t)];
        for guest in &guests {
            guest.enter("grace").await;
        }
        desk.open_person(&grace).await;
        assert_eq!(desk.act("a[href*='/end-session?']").await, "The session has ended.");
        assert_eq!(signed_in(&guests).await, 2);
        let token = t.password(&app, "grace").await.access_token();
        assert!(desk.act("a[href$='/end-sessions']").await.contains("Every session of"));
        assert!(signed_in(&guests).await == 0 && t.accepts(&token).await);
        guests[0].enter("grace").await;
        assert!(desk.act("a[href$='/end-everything']").await.contains("Every session and token"));
        assert!(signed_in(&guests).await == 0 && !t.accepts(&token).await);

        let sign_in = async |password: &str| {
            let form = [("grant_type", "password"), ("username", "grace"), ("password", password)];
            t.call("token", &app, &form).await.outcome()
        };
        desk.go("a[href$='/set-password']").await;
        browser.fill("#password", "another one entirely").await;
        browser.follow("#main button.primary").await;
        assert!(browser.text("[role=status] p").await.contains("The password is set"));
        assert_eq!(sign_in(PASSWORD).await, "400 invalid_grant");
        assert_eq!(sign_in("another one entirely").await, "200");
        assert!(desk.act("a[href$='/deactivate']").await.contains("The person is deactivated"));
        assert_eq!(sign_in("another one entirely").await, "400 invalid_grant");
        browser.follow("[role=status] form[action$='/activate'] button").await;
        assert_eq!(sign_in("another one entirely").await, "200");
        assert!(desk.act("a[href$='/remove-password']").await.contains("no password any more"));
        assert!(!t.find_person("grace").await.unwrap().has_password());
        assert!(!browser.has("a[href$='/remove-password']").await);

        desk.go("a[href$='/rights']").await;
        for box_ in ["#is_staff", "[value='users.view']", "[value='audit.view']"] {
            browser.click(box_).await;
        }
        browser.follow("#main button.primary").await;
        let given = user::permissions(&t.vestibule.context().db, grace.id).await.unwrap();
        let mut given: Vec<_> = given.split_whitespace().collect();
        given.sort_unstable();
        assert_eq!(given, ["audit.view", "users.view"]);
        assert!(t.find_person("grace").await.unwrap().is_staff);

        desk.open("/admin/users/").await;
        desk.choose("#state", "staf", "staff").await;
        assert_eq!(desk.rows().await, 3);
        desk.filter("#q", "grac").await;
        assert_eq!(desk.first_cells().await, "grace");
        desk.go("tbody a").await;
        assert_eq!(desk.act("a[href$='/delete']").await, "The person is deleted.");
        assert!(t.find_person("grace").await.is_none());

        t.stand_in.issue("github", "good-token", "7");
        assert_eq!(t.convert(&app, "github", "good-token").await.status, 200);
        let db = &t.vestibule.context().db;
        let (_, person) = association::find(db, "github", "7").await.unwrap().unwrap();
        desk.open_person(&person).await;
        desk.go("a[href*='/disconnect?']").await;
        assert!(browser.text(".warning").await.contains("only way in"));
        assert_eq!(desk.confirm().await, "The account is disconnected.");
        assert!(association::of_user(db, person.id).await.unwrap().is_empty());

        let of_grace = "create change end_session end_sessions end_everything set_password deactivate activate";
        let of_grace = of_grace.split(' ').chain(["remove_password", "set_rights", "delete"]);
        let mut done: Vec<_> = of_grace.map(|act| format!("user.{act}")).collect();
        done.push("association.delete".to_owned());
        assert_eq!(acts_noted(t).await, done);
        browser.was_content().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_consents_codes_and_associations_are_found_and_ended() {
    for way in WAYS {
        let desk = Desk::new(way).await;
        let Desk { t, browser, scripts } = &desk;
        let app = t.app(&[Password, ConvertToken]).await;
        let bob = t.person("bob").await;
        let mut tokens = Vec::new();
        for username in ["bob", "bob", "bob", "bob", "ada"] {
            tokens.push(t.password(&app, username).await.access_token());
        }
        let db = &t.vestibule.context().db;

        desk.open("/admin/tokens/").await;
        desk.filter("#user", "bob").await;
        assert_eq!(desk.rows().await, 4);
        // The newest is the first.
        match scripts {
            Scripts::On => {
                browser.click("thead input[type=checkbox]").await;
                browser.click("tbody tr:nth-child(3) input").await;
                browser.click("tbody tr:nth-child(4) input").await;
            }
            Scripts::Off => {
                assert!(!browser.has("thead input").await);
                browser.click("tbody tr:nth-child(1) input").await;
                browser.click("tbody tr:nth-child(2) input").await;
            }
        }
        browser.follow("form:has(> .table) .actions button").await;
        assert_eq!(browser.text("#main strong").await, "2 chosen");
        assert_eq!(living(t, &tokens).await, [true; 5], "only asked so far");
        assert_eq!(desk.confirm().await, "The tokens have ended.");
        assert_eq!(living(t, &tokens).await, [true, true, false, false, true]);

        desk.go("a[href='/admin/tokens/find']").await;
        browser.fill("#token", "vat_nonsense").await;
        browser.follow("#main button.primary").await;
        assert!(browser.has("[role=alert]").await);
        browser.fill("#token", &tokens[1]).await;
        browser.follow("#main button.primary").await;
        assert!(browser.text("dl.details").await.contains("bob") && !browser.url().await.contains(&tokens[1]));
        browser.follow("#main form[action$='/revoke'] button").await;
        assert_eq!(browser.text("#main strong").await, "1 chosen");
        desk.confirm().await;
        assert_eq!(living(t, &tokens).await, [true, false, false, false, true]);

        desk.filter("#user", "bob").await;
        desk.choose("#state", "liv", "live").await;
        assert_eq!(desk.rows().await, 1);
        desk.go("a[href*='/revoke-all?']").await;
        assert_eq!(browser.text("#main strong").await, "bob: 1 live now");
        desk.confirm().await;
        assert_eq!(living(t, &tokens).await, [false, false, false, false, true]);

        let web = web_app(t).await;
        let guest = Guest::new(t);
        let token = redeem(t, &web, &guest.code(&web, "bob", &[("scope", "read")]).await).await.access_token();
        let code = guest.code(&web, "bob", &[("scope", "read")]).await;
        desk.go("a[href='/admin/tokens/grants/']").await;
        desk.choose("#kind", "auth", "codes").await;
        browser.click("tbody input").await;
        browser.follow("form:has(> .table) .actions button").await;
        assert_eq!(desk.confirm().await, "The codes are deleted.");
        assert_eq!(redeem(t, &web, &code).await.outcome(), "400 invalid_grant");
        assert!(t.accepts(&token).await);
        desk.choose("#kind", "cons", "consents").await;
        desk.filter("#user", "bob").await;
        browser.click("tbody input").await;
        browser.follow("form:has(> .table) .actions button").await;
        assert_eq!(desk.confirm().await, "The consents are withdrawn.");
        assert!(!t.accepts(&token).await);
        assert!(consent::find(db, bob.id, web.row.id).await.unwrap().is_empty());

        for (provider, uid) in [("github", "7"), ("facebook", "8")] {
            t.stand_in.issue(provider, uid, uid);
            assert_eq!(t.convert(&app, provider, uid).await.status, 200);
        }
        desk.go(".tabs a[href='/admin/associations/']").await;
        assert_eq!(desk.rows().await, 2);
        desk.filter("#provider", "github").await;
        assert_eq!(desk.first_cells().await, "github");
        desk.go("tbody td:first-child a").await;
        assert_eq!(desk.act("a[href$='/disconnect']").await, "The account is disconnected.");
        assert!(association::find(db, "github", "7").await.unwrap().is_none());
        assert!(association::find(db, "facebook", "8").await.unwrap().is_some());

        let done = acts_noted(t).await;
        let acts = ["token.revoke", "token.revoke", "token.revoke_all", "code.delete", "consent.withdraw"];
        assert_eq!(done, [&acts[..], &["association.delete"]].concat());
        browser.was_content().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_rotated_providers_tried_and_the_audit_log_exported() {
    for way in WAYS {
        let desk = Desk::new(way).await;
        let Desk { t, browser, .. } = &desk;
        statistics::flush(t.vestibule.context()).await.unwrap();
        let published = async || {
            let answer = t.http.get(t.url("jwks")).send().await.unwrap();
            answer.json::<serde_json::Value>().await.unwrap()["keys"].as_array().unwrap().len()
        };
        let before = published().await;
        t.clock.advance(10);
        desk.open("/admin/").await;
        desk.go(".tabs a[href='/admin/keys/']").await;
        let rows = desk.rows().await;
        desk.go("a[href='/admin/keys/rotate']").await;
        desk.go("#main .actions a[href='/admin/keys/']").await;
        assert_eq!((desk.rows().await, published().await), (rows, before), "only asked so far");
        assert_eq!(desk.act("a[href='/admin/keys/rotate']").await, "The next keys sign from now on.");
        assert_eq!(published().await, before + 3);

        desk.go(".tabs a[href='/admin/providers/']").await;
        desk.choose("#state", "enab", "enabled").await;
        assert_eq!(desk.rows().await, 3);
        desk.filter("#q", "google").await;
        desk.go("tbody a").await;
        assert!(browser.text("#main section:last-of-type tbody").await.contains("token_rejected"));
        desk.open("/admin/providers/github/").await;
        browser.follow("form[action$='/test'] button").await;
        assert_eq!(browser.text("#section-1").await, "Test: nothing is wrong");
        t.stand_in.mood(Mood::Broken);
        browser.follow("form[action$='/test'] button").await;
        assert!(browser.text("#section-1").await.contains("will not work"));
        assert!(browser.has("#main .badge.bad").await);

        desk.go(".tabs a[href='/admin/audit/']").await;
        assert_eq!(desk.rows().await, 3);
        desk.filter("#act", "key.").await;
        assert_eq!(desk.rows().await, 1);
        browser.click("form:has([value=csv]) button").await;
        let csv = browser.downloaded(".csv").await;
        assert!(
            csv.contains(",root,console,") && csv.contains("key.rotate") && !csv.contains("provider.test"),
            "{csv}"
        );
        browser.click("form:has([value=jsonl]) button").await;
        let lines = browser.downloaded(".jsonl").await;
        assert!(lines.lines().count() == 1 && lines.contains("\"key.rotate\""), "{lines}");
        let done = ["key.rotate", "provider.test", "provider.test", "audit.export", "audit.export"];
        assert_eq!(acts_noted(t).await, done);

        desk.go(".tabs a[href='/admin/settings/']").await;
        desk.filter("#q", "allow_private").await;
        assert_eq!(desk.first_cells().await, "outbound.allow_private_addresses");
        assert!(browser.text("tbody").await.contains("true"));
        browser.was_content().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_see_no_button_that_is_not_theirs() {
    for (engine, scripts) in WAYS {
        let t = lived_in(engine).await;
        let app = t.app(&[Password, ConvertToken]).await;
        t.stand_in.issue("github", "good-token", "7");
        assert_eq!(t.convert(&app, "github", "good-token").await.status, 200);
        let ada = t.find_person("ada").await.unwrap();
        let own = association::find(&t.vestibule.context().db, "github", "7").await.unwrap().unwrap().0;
        let person = format!("/admin/users/{}/", ada.id);
        let account = format!("/admin/associations/{}/", own.id);
        // With more than one sort of right, whether the buttons of one come with the other.
        type Pages<'p> = Vec<(&'p str, bool)>;
        let cases: [(&str, &str, Pages<'_>); 5] = [
            (
                "viewer",
                "users.view tokens.view",
                vec![("/admin/users/", false), (&person, false), ("/admin/tokens/", false)],
            ),
            ("ender", "tokens.change", vec![("/admin/tokens/?user=ada", true), ("/admin/tokens/grants/", false)]),
            ("helper", "users.change", vec![("/admin/users/", true), (&person, true)]),
            (
                "reader",
                "keys.view providers.view associations.view",
                vec![("/admin/keys/", false), ("/admin/providers/github/", false), (&account, false)],
            ),
            (
                "keeper",
                "keys.change associations.change providers.change",
                vec![("/admin/keys/", true), (&account, true)],
            ),
        ];
        let desk = Desk { browser: Browser::start(scripts).await, t, scripts };
        for (username, permissions, pages) in cases {
            staff(&desk.t, username, permissions).await;
            desk.open("/account/sign-in").await;
            desk.browser.fill("#username", username).await;
            desk.browser.fill("#password", PASSWORD).await;
            desk.browser.follow("form:has(#password) button").await;
            for (path, has_acts) in pages {
                desk.open(path).await;
                assert!(!desk.browser.has("[role=alert]").await, "{username} {path}");
                // An act is a form that posts, a box to choose a row, or a link to a question.
                let acts =
                    "return [...document.querySelectorAll('#main form[method=post], #main tbody input, #main a[href]')]
                    .map(e => e.matches('a') ? e.getAttribute('href') : 'button').filter(text => !text.endsWith('/')
                        && !text.startsWith('http') && !/\\/(find)$|\\/(tokens|audit)\\/\\?/.test(text))";
                let found = desk.browser.script(acts, &[]).await;
                let found: Vec<_> = found.as_array().unwrap().iter().map(|act| act.as_str().unwrap()).collect();
                assert_eq!(!found.is_empty(), has_acts, "{username} {path}: {found:?}");
                // None of them is refused.
                for act in found.iter().filter(|act| act.starts_with("/admin/")) {
                    desk.open(act).await;
                    assert!(!desk.browser.has("[role=alert]").await, "{username} {act}");
                }
                let areas = "return [...document.querySelectorAll('.tabs a')].map(e => e.pathname)";
                for area in desk.browser.script(areas, &[]).await.as_array().unwrap() {
                    desk.open(area.as_str().unwrap()).await;
                    assert!(!desk.browser.has("[role=alert]").await, "{username} {area}");
                }
            }
            desk.browser.forget().await;
        }
        desk.browser.was_content().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keyboard_alone_leads_to_an_act_and_back() {
    for way in WAYS {
        let desk = Desk::new(way).await;
        let Desk { t, browser, scripts } = &desk;
        let app = t.app(&[Password]).await;
        let token = t.password(&app, "ada").await.access_token();
        desk.open("/admin/").await;
        desk.press(".tabs a[href='/admin/users/']", "a[href='/admin/users/new']").await;
        desk.tab_to("#q").await;
        browser.press("ada").await;
        if *scripts == Scripts::Off {
            browser.press(ENTER).await;
        }
        desk.filtered("q=ada").await;
        browser.find("tbody tr:only-child").await;
        desk.press("tbody td a", "dl.details").await;
        desk.press("a[href$='/end-everything']", ".warning").await;
        desk.press("#main form .actions a", "dl.details").await;
        assert!(t.accepts(&token).await);
        desk.press("a[href$='/end-everything']", ".warning").await;
        desk.press("#main form button.danger", "[role=status]").await;
        assert!(!t.accepts(&token).await);
        desk.press("#main > p a[href='/admin/users/']", "a[href='/admin/users/new']").await;
        browser.was_content().await;
    }
}
