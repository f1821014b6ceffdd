//! The database goes away, in the middle of everything, and comes back.

use std::time::Duration;

use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use vestibule::protocol::GrantType::{ClientCredentials, ConvertToken, Password};
use vestibule::statistics::{self, By, Kind, Range};

use crate::harness::{Engine, Setup, Test};

/// Lets nobody into a test's database and ends every connection that is in it; or lets them in again.
async fn shut(t: &Test, shut: bool) {
    let mut server = PgConnection::connect(&std::env::var("TEST_POSTGRES_URL").unwrap()).await.unwrap();
    let url = url::Url::parse(&t.vestibule.context().settings.database_url).unwrap();
    let name = url.path().trim_start_matches('/');
    server.execute(AssertSqlSafe(format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {}", !shut))).await.unwrap();
    if shut {
        cut(&mut server, name).await;
    }
}

async fn cut(server: &mut PgConnection, name: &str) {
    let sql = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    server.execute(AssertSqlSafe(sql)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_away_is_503_and_comes_back_by_itself() {
    let mut setup = Setup::new(Engine::Postgres).await;
    setup.settings.database.acquire_timeout = Duration::from_millis(500);
    let t = setup.start().await;
    t.person("ada").await;
    let app = t.app(&[Password, ClientCredentials]).await;
    let tokens = t.password(&app, "ada").await;
    assert_eq!(t.get_as("/readyz", "").await.status, 200);

    shut(&t, true).await;
    tokio::time::sleep(Duration::from_millis(200)).await;

    assert_eq!(t.get_as("/readyz", "").await.status, 503);
    assert_eq!(t.get_as("/healthz", "").await.status, 200);
    for answer in [
        t.call("token", &app, &[("grant_type", "client_credentials")]).await,
        t.refresh(&app, &tokens.refresh_token()).await,
        t.get_as("verify", &format!("Bearer {}", tokens.access_token())).await,
    ] {
        assert_eq!(answer.outcome(), "503 temporarily_unavailable");
        assert!(!answer.header("retry-after").is_empty());
    }

    shut(&t, false).await;
    for _ in 0..100 {
        if t.get_as("/readyz", "").await.status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(t.accepts(&tokens.access_token()).await);
    assert_eq!(t.refresh(&app, &tokens.refresh_token()).await.status, 200, "what was refused was not half done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_counted_waits_for_a_database_that_is_away() {
    let mut setup = Setup::new(Engine::Postgres).await;
    setup.settings.database.acquire_timeout = Duration::from_millis(500);
    let t = setup.start().await;
    let cx = t.vestibule.context();
    let app = t.app(&[ClientCredentials, ConvertToken]).await;
    t.call("token", &app, &[("grant_type", "client_credentials")]).await;
    t.convert(&app, "github", "unknown").await;
    let waiting = cx.statistics.waiting();

    shut(&t, true).await;
    assert!(statistics::flush(cx).await.is_err());
    assert!(statistics::sample(cx).await.is_err());
    assert_eq!(cx.statistics.waiting(), waiting, "nothing is lost");
    t.call("token", &app, &[("grant_type", "client_credentials")]).await;

    shut(&t, false).await;
    while statistics::flush(cx).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(cx.statistics.waiting(), (0, 0));
    let total = async |kind| statistics::series(cx, kind, Range::Hour, By::Provider).await.unwrap().total;
    assert_eq!((total(Kind::Token).await, total(Kind::Refusal).await), (1, 1), "and nothing was counted twice");
    assert_eq!(statistics::recent_refusals(cx, "github").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_cut_in_the_middle_leave_every_refresh_done_or_not_done() {
    // attack 253
    let t = Setup::new(Engine::Postgres).await.start().await;
    t.person("ada").await;
    let app = t.app(&[Password]).await;
    let starts = join_all((0..8).map(|_| t.password(&app, "ada"))).await;
    let url = url::Url::parse(&t.vestibule.context().settings.database_url).unwrap();
    let name = url.path().trim_start_matches('/').to_owned();

    let cutting = tokio::spawn(async move {
        let mut server = PgConnection::connect(&std::env::var("TEST_POSTGRES_URL").unwrap()).await.unwrap();
        for _ in 0..10 {
            cut(&mut server, &name).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    // Each walks its chain; whoever gets no answer asks again with the same token, as the grace allows.
    let ends = join_all(starts.iter().map(|start| async {
        let mut last = start.refresh_token();
        let mut steps = 0;
        for _ in 0..60 {
            let answer = t.refresh(&app, &last).await;
            match answer.status {
                200 => {
                    last = answer.refresh_token();
                    steps += 1;
                }
                503 => {}
                other => panic!("{other}: {answer:?}"),
            }
        }
        (last, steps)
    }))
    .await;
    cutting.await.unwrap();

    for (last, steps) in ends {
        assert!(steps > 0);
        assert_eq!(t.refresh(&app, &last).await.status, 200, "the chain is unbroken");
    }
}
