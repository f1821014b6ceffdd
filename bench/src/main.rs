//! What the hot paths cost, beside what bounds them, in one run.
//!
//! The program under test is `vestibule serve` as it is installed, in a process of its own. Each path is driven by the same
//! closed loop of 1, 16 and 64 connections as a bare axum handler, or set against a bare insert of the same row, or a bare
//! Argon2 hash. Both sides take turns, so that a drift of the machine's speed falls on both.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that meets what it did not expect is none")]

mod bound;
mod load;
mod place;
mod provider;

use std::fmt::Write as _;
use std::time::Duration;

use load::{Load, Measured};
use place::{PASSWORD, Place};

const CONNECTIONS: [usize; 3] = [1, 16, 64];

/// How long and how often each side is measured.
#[derive(Clone, Copy)]
struct Effort {
    turn: Duration,
    turns: usize,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "bare-handler") {
        return bound::serve_bare_handler();
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let effort = match quick {
        true => Effort { turn: Duration::from_millis(400), turns: 1 },
        false => Effort { turn: Duration::from_millis(1500), turns: 3 },
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(run(effort));
}

async fn run(effort: Effort) {
    println!("{}\n", place::machine());
    let provider = provider::start().await;
    let hashes = bound::argon2(effort.turn * 2);
    println!("A bare Argon2id hash (m=19456, t=2, p=1) on every core: {hashes:.0} a second.\n");
    for place in [Place::sqlite(), Place::postgres()] {
        println!("## {}\n", place.name);
        println!("| path | connections | requests/s | p50 ms | p99 ms | bound | bound/s | ratio |");
        println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
        let server = place.serve(&provider);
        let bare = bound::BareHandler::start();
        let paths = paths(&server, &place, &provider).await;
        for path in &paths {
            for connections in CONNECTIONS {
                println!("{}", row(path, connections, effort, &place, &bare, hashes).await);
            }
        }
        drop(server);
        println!("\n{}\n", place.start_and_memory(&provider, if effort.turns == 1 { 2 } else { 10 }).await);
    }
}

/// What bounds a path.
enum Bound {
    /// A handler that reads the request and answers as many bytes.
    Handler(Box<dyn Load>),
    /// The row that the path stores.
    Insert,
    /// The hash that it computes.
    Hash,
}

struct Path {
    name: &'static str,
    load: Box<dyn Load>,
    bound: Bound,
}

async fn paths(server: &place::Server, place: &Place, provider: &provider::Provider) -> Vec<Path> {
    let (id, secret) = (place.client_id.as_str(), place.client_secret.as_str());
    let token = server.token(&place.form("password", &[("username", "ada"), ("password", PASSWORD)])).await;
    let bearer = format!("authorization: Bearer {}\r\n", token.access_token);
    let asked = format!("token={}&client_id={id}&client_secret={secret}", token.access_token);
    let fixed =
        |name, request: String, bound| Path { name, load: Box::new(load::Fixed::new(&server.address, request)), bound };
    let bare = |request: String| Bound::Handler(Box::new(load::Fixed::new(bound::BARE_ADDRESS, request)));
    let post = |path: &str, body: &str| load::post(path, body);
    let convert = |token: &str| place.form("convert_token", &[("backend", "google-oauth2"), ("token", token)]);
    let mut refresh_tokens = Vec::new();
    for _ in 0..64 {
        refresh_tokens.push(
            server.token(&place.form("password", &[("username", "ada"), ("password", PASSWORD)])).await.refresh_token,
        );
    }
    let refresh = load::Refresh::new(&server.address, place.form("refresh_token", &[]), refresh_tokens);
    vec![
        fixed("authenticated request", load::get("/auth/verify", &bearer), bare(load::get("/get", &bearer))),
        fixed("introspect", post("/auth/introspect", &asked), bare(post("/post", &asked))),
        fixed("client_credentials", post("/auth/token", &place.form("client_credentials", &[])), Bound::Insert),
        Path { name: "refresh", load: Box::new(refresh), bound: Bound::Insert },
        fixed(
            "convert-token, access token",
            post("/auth/convert-token", &convert(provider::ACCESS_TOKEN)),
            Bound::Insert,
        ),
        fixed("convert-token, ID token", post("/auth/convert-token", &convert(&provider.id_token)), Bound::Insert),
        fixed(
            "password",
            post("/auth/token", &place.form("password", &[("username", "ada"), ("password", PASSWORD)])),
            Bound::Hash,
        ),
    ]
}

async fn row(
    path: &Path,
    connections: usize,
    effort: Effort,
    place: &Place,
    _bare: &bound::BareHandler,
    hashes: f64,
) -> String {
    let warm_up = effort.turn / 3;
    load::drive(&*path.load, connections, warm_up).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..effort.turns {
        ours.push(load::drive(&*path.load, connections, effort.turn).await);
        theirs.push(match &path.bound {
            Bound::Handler(load) => load::drive(&**load, connections, effort.turn).await.per_second,
            Bound::Insert => place.bare_inserts(connections, effort.turn).await,
            Bound::Hash => hashes,
        });
    }
    let mut ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(own, bound)| own.per_second / bound).collect();
    let ratio = median(&mut ratios);
    let bound = match path.bound {
        Bound::Handler(_) => "bare handler",
        Bound::Insert => "bare insert",
        Bound::Hash => "bare hash",
    };
    let figure = |pick: fn(&Measured) -> f64| median(&mut ours.iter().map(pick).collect::<Vec<_>>());
    let mut row = String::new();
    let _ = write!(
        row,
        "| {} | {connections} | {:.0} | {:.2} | {:.2} | {bound} | {:.0} | {ratio:.2} |",
        path.name,
        figure(|measured| measured.per_second),
        figure(|measured| measured.p50_ms),
        figure(|measured| measured.p99_ms),
        median(&mut theirs),
    );
    row
}

/// The middle of some figures.
fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
