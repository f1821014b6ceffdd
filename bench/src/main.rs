//! What the hot paths cost, beside what bounds them, in one run.
//!
//! The program under test is `vestibule serve` as it is installed, in a process of its own. Each path is driven by the same
//! closed loop of 1, 16 and 64 connections as a bare axum handler, or set against a bare insert of the same row, a bare
//! Argon2 hash or a bare signature. Both sides take turns, so that a drift of the machine's speed falls on both.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that meets what it did not expect is none")]

mod bound;
mod lists;
mod load;
mod once;
mod place;
mod provider;

use std::fmt::Write as _;
use std::time::Duration;

use load::{Load, Measured};
use place::{PASSWORD, Place, Row};

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
    let only = arguments.iter().position(|argument| argument == "--only").and_then(|at| arguments.get(at + 1)).cloned();
    let effort = match quick {
        true => Effort { turn: Duration::from_millis(400), turns: 1 },
        false => Effort { turn: Duration::from_millis(1500), turns: 3 },
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    match arguments.iter().any(|argument| argument == "--lists") {
        true => runtime.block_on(run_lists(effort)),
        false => runtime.block_on(run(effort, only)),
    }
}

/// The lists of the admin API, alone: a million rows take their time.
async fn run_lists(effort: Effort) {
    println!("{}\n", place::machine());
    let provider = provider::start().await;
    for place in [Place::sqlite(), Place::postgres()] {
        println!("## {}\n", place.name);
        lists::measure(&place, &provider, effort).await;
        println!();
    }
}

/// `only`: the paths with this in their name.
async fn run(effort: Effort, only: Option<String>) {
    println!("{}\n", place::machine());
    let provider = provider::start().await;
    for place in [Place::sqlite(), Place::postgres()] {
        println!("## {}\n", place.name);
        println!("| path | connections | requests/s | p50 ms | p99 ms | bound | bound/s | ratio |");
        println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
        let server = place.serve(&provider);
        let bare = bound::BareHandler::start();
        let paths = paths(&server, &place, &provider).await;
        for path in paths.iter().filter(|path| only.as_deref().is_none_or(|only| path.name.contains(only))) {
            for connections in CONNECTIONS {
                println!("{}", row(path, connections, effort, &place, &bare).await);
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
    Insert(Row),
    /// The hash that it computes.
    Hash,
    /// The signature that it makes.
    Signature,
}

struct Path {
    name: &'static str,
    load: Box<dyn Load>,
    bound: Bound,
}

/// How many requests of a kind that can be sent once only are made ready for each row of the table.
const READY: usize = 60_000;

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
    let openid = [("username", "ada"), ("password", PASSWORD), ("scope", "openid+profile+email")];
    let about =
        format!("authorization: Bearer {}\r\n", server.token(&place.form("password", &openid)).await.access_token);
    let discovery = "/.well-known/openid-configuration";
    let size = |body: &str| format!("/bytes/{}", body.len());
    let (info_size, document_size) =
        (size(&server.get("/auth/userinfo", &about).await), size(&server.get(discovery, "").await));
    let [es256, rs256] = &place.jwt_clients;
    let jwt = server.token(&es256.form("client_credentials")).await.access_token;
    let jwt_bearer = format!("authorization: Bearer {jwt}\r\n");
    let grant = "client_credentials";
    vec![
        fixed("authenticated request", load::get("/auth/verify", &bearer), bare(load::get("/get", &bearer))),
        fixed(
            "authenticated request, JWT",
            load::get("/auth/verify", &jwt_bearer),
            bare(load::get("/get", &jwt_bearer)),
        ),
        Path {
            name: "authenticated request, DPoP",
            load: Box::new(once::Proofs::start(server, place).await),
            bound: Bound::Insert(Row::Seen),
        },
        fixed("introspect", post("/auth/introspect", &asked), bare(post("/post", &asked))),
        fixed("userinfo", load::get("/auth/userinfo", &about), bare(load::get(&info_size, &about))),
        fixed("discovery", load::get(discovery, ""), bare(load::get(&document_size, ""))),
        fixed(grant, post("/auth/token", &place.form(grant, &[])), Bound::Insert(Row::Access)),
        fixed("client_credentials, JWT by ES256", post("/auth/token", &es256.form(grant)), Bound::Insert(Row::Access)),
        fixed("client_credentials, JWT by RS256", post("/auth/token", &rs256.form(grant)), Bound::Signature),
        Path {
            name: "code redemption",
            load: Box::new(once::Codes::start(server, place).await),
            bound: Bound::Insert(Row::Pair),
        },
        Path { name: "refresh", load: Box::new(refresh), bound: Bound::Insert(Row::Pair) },
        fixed(
            "convert-token, access token",
            post("/auth/convert-token", &convert(provider::ACCESS_TOKEN)),
            Bound::Insert(Row::Pair),
        ),
        fixed(
            "convert-token, ID token",
            post("/auth/convert-token", &convert(&provider.id_token)),
            Bound::Insert(Row::Pair),
        ),
        fixed(
            "password",
            post("/auth/token", &place.form("password", &[("username", "ada"), ("password", PASSWORD)])),
            Bound::Hash,
        ),
    ]
}

async fn row(path: &Path, connections: usize, effort: Effort, place: &Place, _bare: &bound::BareHandler) -> String {
    path.load.make_ready(READY).await;
    load::drive(&*path.load, connections, effort.turn / 3).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..effort.turns {
        ours.push(load::drive(&*path.load, connections, effort.turn).await);
        theirs.push(match &path.bound {
            Bound::Handler(load) => load::drive(&**load, connections, effort.turn).await.per_second,
            Bound::Insert(row) => place.bare_inserts(*row, connections, effort.turn).await,
            Bound::Hash => bound::on_every_core(effort.turn, bound::hashes),
            Bound::Signature => bound::on_every_core(effort.turn, bound::signatures),
        });
    }
    let mut ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(own, bound)| own.per_second / bound).collect();
    let ratio = median(&mut ratios);
    let bound = match path.bound {
        Bound::Handler(_) => "bare handler",
        Bound::Insert(_) => "bare insert",
        Bound::Hash => "bare hash",
        Bound::Signature => "bare signature",
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
