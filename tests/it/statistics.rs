//! What the dashboard shows: counted on every node, summed up in the database, kept for its time.

use vestibule::cleanup;
use vestibule::context::Context;
use vestibule::protocol::GrantType::{AuthorizationCode, ClientCredentials, ConvertToken, Password, TokenExchange};
use vestibule::statistics::{self, By, Gauge, Group, Kind, Range, Series};

use crate::browser_login::query;
use crate::harness::guest::Guest;
use crate::harness::stand_in::{Issued, Mood};
use crate::harness::{Answer, App, Test, on_both_databases};

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

fn cx(t: &Test) -> &Context {
    t.vestibule.context()
}

async fn flush(t: &Test) {
    statistics::flush(cx(t)).await.unwrap();
}

async fn series(t: &Test, kind: Kind, range: Range, by: By) -> Series {
    statistics::series(cx(t), kind, range, by).await.unwrap()
}

/// The groups of the last hour and how often each was there.
async fn lately(t: &Test, kind: Kind, by: By) -> Vec<(Group, i64)> {
    series(t, kind, Range::Hour, by).await.lines.into_iter().map(|line| (line.group, line.total)).collect()
}

fn provider(name: &str) -> Group {
    Group::Provider(name.to_owned())
}

fn detail(word: &str) -> Group {
    Group::Detail(word.to_owned())
}

async fn wrong_password(t: &Test, app: &App) -> Answer {
    t.call("token", app, &[("grant_type", "password"), ("username", "ada"), ("password", "wrong-password")]).await
}

/// Moves the clock to the next midnight (UTC) and a little more, so that nothing ends while a test counts.
fn to_midnight(t: &Test) {
    let now = t.clock.now();
    t.clock.advance(DAY - now.rem_euclid(DAY) + 2);
}

/// Signs in with a provider in a browser.
async fn come_by(t: &Test, guest: &Guest<'_>, backend: &str, login: &str) -> Answer {
    let there = guest.get(login).await.header("location");
    t.stand_in.code("its-code", "good-token", Some(&format!("S256:{}", query(&there, "code_challenge"))));
    guest.get(&format!("complete/{backend}/?code=its-code&state={}", query(&there, "state"))).await
}

on_both_databases! {
    async fn the_token_endpoints_ways_in_are_counted_by_provider_application_and_reason(t: Test) {
        t.person("ada").await;
        let app = t.app(&[Password, ConvertToken, TokenExchange, ClientCredentials]).await;
        let other = t.app(&[Password]).await;
        t.stand_in.issue("github", "good-token", "1");
        t.stand_in.put("facebook", "stolen", Issued { client_id: "another".into(), uid: "1".into(), ..Issued::default() });

        let token = t.password(&app, "ada").await;
        t.password(&other, "ada").await;
        t.refresh(&app, &token.refresh_token()).await;
        t.call("token", &app, &[("grant_type", "client_credentials")]).await;
        assert_eq!(wrong_password(&t, &app).await.status, 400);
        assert_eq!(t.convert(&app, "github", "good-token").await.status, 200);
        let access_token = "urn:ietf:params:oauth:token-type:access_token";
        let exchange = [("grant_type", TokenExchange.wire()), ("backend", "github"), ("subject_token", "good-token"), ("subject_token_type", access_token)];
        assert_eq!(t.call("token", &app, &exchange).await.status, 200);
        assert_eq!(t.convert(&app, "facebook", "stolen").await.status, 400);
        assert_eq!(t.convert(&app, "nothing-we-know", "good-token").await.status, 400);
        let nobody = App { secret: Some("wrong".into()), ..app.clone() };
        assert_eq!(t.convert(&nobody, "google-oauth2", "unknown").await.status, 401);
        // Neither a sign-in nor a conversion.
        assert_eq!(t.refresh(&app, "nonsense").await.status, 400);
        assert_eq!(t.get_as("verify", "Bearer github good-token").await.status, 200);
        assert_eq!(t.get_as("verify", "Bearer github unknown").await.status, 401);

        assert!(series(&t, Kind::SignIn, Range::Hour, By::Provider).await.lines.is_empty(), "nothing is written yet");
        flush(&t).await;
        flush(&t).await;

        assert_eq!(lately(&t, Kind::SignIn, By::Provider).await, [(provider(""), 2)]);
        assert_eq!(lately(&t, Kind::SignIn, By::Application).await, [(Group::Application(app.row.id), 1), (Group::Application(other.row.id), 1)]);
        assert_eq!(lately(&t, Kind::SignIn, By::Detail).await, [(detail("password"), 2)]);
        assert_eq!(lately(&t, Kind::Conversion, By::Provider).await, [(provider("github"), 2)]);
        assert_eq!(lately(&t, Kind::Conversion, By::Application).await, [(Group::Application(app.row.id), 2)]);
        let tokens = [("password", 2), ("client-credentials", 1), ("convert-token", 1), ("refresh-token", 1), ("token-exchange", 1)];
        assert_eq!(lately(&t, Kind::Token, By::Detail).await, tokens.map(|(grant, count)| (detail(grant), count)));
        let refused = [("", 2), ("facebook", 1), ("google-oauth2", 1)];
        assert_eq!(lately(&t, Kind::Refusal, By::Provider).await, refused.map(|(name, count)| (provider(name), count)));
        assert_eq!(lately(&t, Kind::Refusal, By::Application).await, [(Group::Application(app.row.id), 3), (Group::Application(0), 1)]);
        let reasons = async |provider| {
            let reasons = statistics::reasons(cx(&t), Range::Hour, provider).await.unwrap();
            reasons.into_iter().map(|reason| (reason.reason, reason.count)).collect::<Vec<_>>()
        };
        let all = ["foreign_audience", "invalid_client", "invalid_grant", "unknown_backend"];
        assert_eq!(reasons(None).await, all.map(|reason| (reason.to_owned(), 1)));
        assert_eq!(reasons(Some("facebook")).await, [("foreign_audience".to_owned(), 1)]);
        let line = series(&t, Kind::Conversion, Range::Day, By::Provider).await.lines.remove(0);
        assert_eq!(line.name, "GitHub");
        let line = series(&t, Kind::Conversion, Range::Day, By::Application).await.lines.remove(0);
        assert_eq!(line.name, app.row.name);
    }
}

on_both_databases! {
    async fn the_browsers_ways_in_are_counted_too(t: Test) {
        t.person("ada").await;
        let app = t.app_with(|app| { app.grant_types = vec![AuthorizationCode]; app.redirect_uris = vec![crate::harness::guest::CALLBACK.into()]; }).await;
        t.stand_in.issue("github", "good-token", "1");
        let (ada, grace) = (Guest::new(&t), Guest::new(&t));

        let page = ada.get("/account/sign-in").await;
        ada.submit(&page.form(), &[("username", "ada"), ("password", "wrong-password")]).await;
        let page = ada.authorize(&app, &[]).await;
        ada.sign_in(&page, "ada").await;
        assert_eq!(come_by(&t, &grace, "github", "login/github").await.status, 303);
        // Whoever is signed in connects an account.
        t.stand_in.issue("facebook", "good-token", "2");
        grace.comes_from_here();
        assert_eq!(come_by(&t, &grace, "facebook", "login/facebook").await.status, 303);
        // The person says no, and a provider is away.
        let there = Guest::new(&t);
        let state = query(&there.get("login/github").await.header("location"), "state");
        assert!(there.get(&format!("complete/github/?error=access_denied&state={state}")).await.is_setback());
        t.stand_in.mood(Mood::Broken);
        let answer = come_by(&t, &there, "github", "login/github").await;
        assert!(answer.is_setback(), "{answer:?}");
        flush(&t).await;

        assert_eq!(lately(&t, Kind::SignIn, By::Provider).await, [(provider(""), 1), (provider("github"), 1)]);
        assert_eq!(lately(&t, Kind::SignIn, By::Application).await, [(Group::Application(0), 1), (Group::Application(app.row.id), 1)]);
        assert_eq!(lately(&t, Kind::SignIn, By::Detail).await, [(detail("browser"), 2)]);
        assert_eq!(lately(&t, Kind::Connection, By::Provider).await, [(provider("facebook"), 1)]);
        assert!(lately(&t, Kind::Conversion, By::Provider).await.is_empty());
        let refused = ["access_denied", "invalid_grant", "provider_unreachable"];
        assert_eq!(lately(&t, Kind::Refusal, By::Detail).await, refused.map(|word| (detail(word), 1)));
        let recent = statistics::recent_refusals(cx(&t), "github").await.unwrap();
        assert_eq!(recent.iter().map(|refusal| refusal.reason.as_str()).collect::<Vec<_>>(), ["provider_unreachable", "access_denied"]);
    }
}

on_both_databases! {
    async fn buckets_are_of_minutes_hours_and_days_and_empty_ones_are_zero(t: Test) {
        let app = t.app(&[ClientCredentials]).await;
        let token = async || assert_eq!(t.call("token", &app, &[("grant_type", "client_credentials")]).await.status, 200);
        to_midnight(&t);
        let midnight = t.clock.now() / DAY * DAY;
        token().await;
        t.clock.advance(2 * MINUTE);
        token().await;
        token().await;
        flush(&t).await;

        let hour = series(&t, Kind::Token, Range::Hour, By::Provider).await;
        assert_eq!((hour.size, hour.starts.len(), hour.starts[59], hour.starts[0]), (MINUTE, 60, midnight + 2 * MINUTE, midnight - 57 * MINUTE));
        let counts = &hour.lines[0].counts;
        assert_eq!((hour.total, counts.len(), counts.iter().sum::<i64>(), &counts[57..]), (3, 60, 3, &[1, 0, 2][..]));

        t.clock.advance(HOUR);
        token().await;
        flush(&t).await;
        let day = series(&t, Kind::Token, Range::Day, By::Provider).await;
        assert_eq!((day.size, day.starts.len(), day.starts[23]), (HOUR, 24, midnight + HOUR));
        assert_eq!((&day.lines[0].counts[21..], day.total), (&[0, 3, 1][..], 4));

        t.clock.advance(30 * DAY);
        token().await;
        flush(&t).await;
        assert_eq!(series(&t, Kind::Token, Range::Hour, By::Provider).await.total, 1);
        let month = series(&t, Kind::Token, Range::Month, By::Provider).await;
        assert_eq!((month.starts.len(), month.starts[0], month.starts[30]), (31, midnight, midnight + 30 * DAY));
        assert_eq!((month.lines[0].counts[0], month.lines[0].counts[29], month.lines[0].counts[30], month.total), (4, 0, 1, 5));
        t.clock.advance(DAY);
        assert_eq!(series(&t, Kind::Token, Range::Month, By::Provider).await.total, 1);
        let written = serde_json::to_value(&month).unwrap();
        assert_eq!((&written["lines"][0]["group"]["provider"], &written["starts"][0]), (&"".into(), &midnight.into()));
    }
}

on_both_databases! {
    async fn the_largest_six_have_lines_and_the_rest_is_one(t: Test) {
        let mut apps = Vec::new();
        for count in 1..=8 {
            let app = t.app(&[ClientCredentials]).await;
            for _ in 0..count {
                t.call("token", &app, &[("grant_type", "client_credentials")]).await;
            }
            apps.push(app.row.id);
        }
        flush(&t).await;

        let lines = lately(&t, Kind::Token, By::Application).await;

        let mut expected: Vec<_> = (2..8).rev().map(|at| (Group::Application(apps[at]), at as i64 + 1)).collect();
        expected.push((Group::Others, 3));
        assert_eq!(lines, expected);
        let series = series(&t, Kind::Token, Range::Hour, By::Application).await;
        assert_eq!((series.total, series.lines[6].counts.iter().sum::<i64>()), (36, 3));
    }
}

on_both_databases! {
    async fn nodes_sum_up_and_a_restart_keeps_what_was_closed(t: Test) {
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        let other = t.second_node().await;
        for _ in 0..3 {
            t.password(&app, "ada").await;
            other.password(&app, "ada").await;
        }
        let (one, two) = tokio::join!(statistics::flush(cx(&t)), statistics::flush(cx(&other)));
        one.unwrap();
        two.unwrap();
        assert_eq!(lately(&t, Kind::SignIn, By::Application).await, [(Group::Application(app.row.id), 6)]);

        other.password(&app, "ada").await;
        other.vestibule.close().await;
        drop(other);
        let t = t.restarted().await;
        t.password(&app, "ada").await;
        flush(&t).await;
        assert_eq!(lately(&t, Kind::SignIn, By::Application).await, [(Group::Application(app.row.id), 8)]);
    }
}

on_both_databases! {
    async fn a_running_server_writes_and_counts_by_itself(t: Test) {
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        t.password(&app, "ada").await;
        let vestibule = t.vestibule.clone();
        let running = tokio::spawn(async move { vestibule.clean_up_forever().await });
        for _ in 0..600 {
            if lately(&t, Kind::SignIn, By::Provider).await == [(provider(""), 1)]
                && statistics::gauges(cx(&t)).await.unwrap().tokens == Some(1)
            {
                running.abort();
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("nothing was written");
    }
}

on_both_databases! {
    async fn clean_up_removes_minutes_after_hours_and_hours_after_months(t: Test) {
        t.person("ada").await;
        let app = t.app(&[Password]).await;
        to_midnight(&t);
        wrong_password(&t, &app).await;
        flush(&t).await;
        let total = async |range| series(&t, Kind::Refusal, range, By::Provider).await.total;
        let refusals = async || statistics::recent_refusals(cx(&t), "").await.unwrap().len();
        let rows = async || cleanup::run(cx(&t)).await.unwrap();
        assert_eq!((rows().await, total(Range::Hour).await, refusals().await), (0, 1, 1));
        t.clock.advance(3 * HOUR - MINUTE);
        assert_eq!(rows().await, 2, "the tries of this name and address are over");
        t.clock.advance(2 * MINUTE);
        assert_eq!(rows().await, 1, "the minute");
        assert_eq!(total(Range::Day).await, 1);
        t.clock.advance(58 * DAY);
        assert_eq!((rows().await, refusals().await), (0, 1));
        t.clock.advance(4 * DAY);
        assert_eq!((rows().await, refusals().await), (2, 0), "the hour, and the refusal");
        t.clock.advance(1_030 * DAY);
        assert_eq!(rows().await, 0);
        t.clock.advance(8 * DAY);
        assert_eq!(rows().await, 1, "the day");
    }
}

on_both_databases! {
    async fn refusals_are_kept_without_secrets_and_only_the_newest(t: Test) {
        let app = t.app(&[ConvertToken, Password]).await;
        let secrets = ["ya29.a-token-of-theirs-0123456789", "4/a-code-of-theirs-0123456789", "a-password-of-somebody", "somebody@example.com"];
        t.convert(&app, "google-oauth2", secrets[0]).await;
        let code = [("grant_type", "convert_token"), ("backend", "google-oauth2"), ("code", secrets[1]), ("redirect_uri", "https://app.example/cb")];
        t.call("convert-token", &app, &code).await;
        let password = [("grant_type", "password"), ("username", secrets[3]), ("password", secrets[2])];
        t.call("token", &app, &password).await;
        flush(&t).await;

        let recent = statistics::recent_refusals(cx(&t), "google-oauth2").await.unwrap();
        assert_eq!(recent.iter().map(|refusal| refusal.reason.as_str()).collect::<Vec<_>>(), ["code_rejected", "token_rejected"]);
        assert_eq!((recent[1].application_id, recent[1].provider.as_str()), (app.row.id, "google-oauth2"));
        assert!(recent[1].description.starts_with("Google does not accept this access token"), "{recent:?}");
        assert!(recent[0].cause.contains("answered 400") && recent[0].cause.contains("Malformed auth code"), "{recent:?}");
        let stored = t.stored().await;
        for secret in secrets.into_iter().chain(app.secret.as_deref()) {
            assert!(!stored.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
        }
        assert!(stored.windows(19).any(|window| window == b"Malformed auth code"), "the search finds what is there");

        // Whoever tries a thousand times fills nothing; all are counted.
        for _ in 0..11 {
            for _ in 0..12 {
                t.convert(&app, "facebook", "unknown").await;
            }
            assert_eq!(cx(&t).statistics.waiting().1, 10);
            flush(&t).await;
        }
        assert_eq!(statistics::recent_refusals(cx(&t), "facebook").await.unwrap().len(), 100);
        assert_eq!(statistics::recent_refusals(cx(&t), "google-oauth2").await.unwrap().len(), 2, "others' are not lost by it");
        let reasons = statistics::reasons(cx(&t), Range::Day, Some("facebook")).await.unwrap();
        assert_eq!((reasons[0].reason.as_str(), reasons[0].count), ("token_rejected", 132));
    }
}

on_both_databases! {
    async fn no_client_makes_a_group_of_its_own(t: Test) {
        let app = t.app(&[ConvertToken]).await;
        to_midnight(&t);
        for number in 0..50 {
            let backend = format!("odd-{number}");
            t.convert(&app, &backend, "token").await;
            let odd = App { client_id: backend.clone(), ..app.clone() };
            t.convert(&odd, &backend, "token").await;
            t.call("token", &app, &[("grant_type", &backend)]).await;
            t.http.get(t.url(&format!("complete/{backend}/?error={backend}"))).send().await.unwrap();
        }
        assert_eq!(cx(&t).statistics.waiting().0, 2, "unknown_backend of the application and invalid_client of none");
        flush(&t).await;
        assert_eq!(lately(&t, Kind::Refusal, By::Provider).await, [(provider(""), 100)]);
        let stored = t.stored().await;
        assert!(!stored.windows(5).any(|window| window == b"odd-4"));
    }
}

on_both_databases! {
    async fn whatever_a_provider_is_asked_is_timed(t: Test) {
        let app = t.app(&[ConvertToken]).await;
        for (backend, times) in [("github", 2), ("google-oauth2", 1)] {
            t.stand_in.issue(backend, "good-token", "1");
            for _ in 0..times {
                t.convert(&app, backend, "good-token").await;
            }
        }
        t.stand_in.mood(Mood::Hanging);
        assert_eq!(t.convert(&app, "facebook", "good-token").await.status, 504);
        assert_eq!(t.convert(&app, "facebook", "other-token").await.status, 504);
        // Refused by its looks: nobody was asked.
        assert_eq!(t.convert(&app, "github", "with a blank").await.status, 400);
        flush(&t).await;

        let slow = statistics::slowest(cx(&t), Range::Day).await.unwrap();

        assert_eq!((slow[0].provider.as_str(), slow[0].title.as_str(), slow[0].count), ("facebook", "Facebook", 2));
        assert!(slow[0].max_ms >= 1_000 && slow[0].mean_ms <= slow[0].max_ms, "it was given up after `outbound.timeout`: {slow:?}");
        let mut others: Vec<_> = slow[1..].iter().map(|slow| (slow.provider.as_str(), slow.count)).collect();
        others.sort_unstable();
        assert_eq!(others, [("github", 2), ("google-oauth2", 1)]);
    }
}

on_both_databases! {
    async fn people_tokens_and_sessions_are_counted_once_a_minute_by_one_node(t: Test) {
        to_midnight(&t);
        for name in ["ada", "grace", "joan"] {
            t.person(name).await;
        }
        let app = t.app(&[Password]).await;
        let other = t.second_node().await;
        assert_eq!(statistics::gauges(cx(&t)).await.unwrap(), statistics::Gauges::default());
        let ada = t.password(&app, "ada").await;
        t.clock.advance(2 * DAY);
        let first = t.clock.now() / MINUTE * MINUTE;
        t.password(&app, "grace").await;
        let ended = t.password(&app, "grace").await;
        t.call("revoke-token", &app, &[("token", &ended.access_token())]).await;
        t.refresh(&app, &ada.refresh_token()).await;
        Guest::new(&t).enter("grace").await;

        let (one, two) = tokio::join!(statistics::sample(cx(&t)), statistics::sample(cx(&other)));
        assert!(one.unwrap() != two.unwrap(), "one of them counts");
        assert!(!statistics::sample(cx(&t)).await.unwrap());
        let gauges = statistics::gauges(cx(&other)).await.unwrap();
        assert_eq!((gauges.people_of_day, gauges.people_of_month, gauges.tokens, gauges.sessions), (Some(1), Some(2), Some(2), Some(1)));
        assert_eq!(gauges.counted_at, Some(first));

        t.clock.advance(2 * MINUTE);
        t.password(&app, "joan").await;
        assert!(statistics::sample(cx(&other)).await.unwrap());
        let hour = statistics::gauge_series(cx(&t), Gauge::Tokens, Range::Hour).await.unwrap();
        assert_eq!((hour.values.len(), &hour.values[57..]), (60, &[Some(2), None, Some(3)][..]));
        let day = statistics::gauge_series(cx(&t), Gauge::PeopleOfDay, Range::Day).await.unwrap();
        assert_eq!(day.values[23], Some(2), "the last of its hour");
        let month = statistics::gauge_series(cx(&t), Gauge::Sessions, Range::Month).await.unwrap();
        assert_eq!((month.values[29], month.values[30]), (None, Some(1)));
        // Sessions end by idleness, tokens by age.
        t.clock.advance(400 * DAY);
        assert!(statistics::sample(cx(&t)).await.unwrap());
        let gauges = statistics::gauges(cx(&t)).await.unwrap();
        assert_eq!((gauges.people_of_month, gauges.tokens, gauges.sessions), (Some(0), Some(0), Some(0)));
    }
}
