//! Commands about the whole server: `serve`, `migrate`, `check`, `cleanup`, `openapi`.

use std::fmt::Write as _;

use axum::Router;
use serde_json::{Value, json};
use vestibule::store::{Db, migrate};
use vestibule::upstream;
use vestibule::{Vestibule, openapi};

use super::{open, trial};
use crate::configuration::Loaded;
use crate::outcome::{Failure, Outcome, Output, print};
use crate::{keys, serve};

pub(super) async fn serve(mut loaded: Loaded) -> Outcome {
    let (listener, address) = serve::bind(&loaded.settings.listen).await.map_err(Failure::Configuration)?;
    loaded.settings.listen = address.to_string(); // the real port, where 0 was asked for
    let vestibule = open(loaded).await?;
    serve::run(listener, &vestibule, Router::new(), serve::announce).await.map_err(Failure::Refused)
}

pub(super) async fn migrate(loaded: Loaded, output: Output) -> Outcome {
    let settings = loaded.settings;
    let wrong = |error: &dyn std::fmt::Display| Failure::Configuration(format!("database_url: {error}"));
    let db = Db::open(&settings.database_url, &settings.database).await.map_err(|error| wrong(&error))?;
    let now = vestibule::clock::Clock::default().now();
    let ran = migrate::migrate(&db, now).await.map_err(|error| wrong(&vestibule::describe(&error)))?;
    print(output, &json!({ "migrations_run": ran }), || match ran {
        0 => "the schema is current".to_owned(),
        ran => format!("ran {ran} migration(s)"),
    });
    Ok(())
}

pub(super) async fn cleanup(vestibule: &Vestibule, output: Output) -> Outcome {
    let deleted = vestibule::cleanup::run(vestibule.context()).await?;
    print(output, &json!({ "deleted": deleted }), || format!("deleted {deleted} expired row(s)"));
    Ok(())
}

/// There is one form of it, so `--json` would say nothing.
pub(super) fn openapi(loaded: &Loaded) -> Outcome {
    let lines = upstream::lines(&loaded.settings).map_err(Failure::Configuration)?;
    let enabled = lines.iter().filter(|line| line.enabled).map(|line| line.name.as_str());
    let document = openapi::document(&loaded.settings, &enabled.collect::<Vec<_>>());
    print(Output { json: true }, &document, String::new);
    Ok(())
}

/// One thing that was looked at.
struct Finding {
    what: String,
    outcome: Result<String, String>,
    /// What it is made of, where it is made of several.
    more: Option<Value>,
}

impl Finding {
    fn new(what: impl Into<String>, outcome: Result<String, String>) -> Self {
        Self { what: what.into(), outcome, more: None }
    }
}

pub(super) async fn check(loaded: Loaded, output: Output) -> Outcome {
    let mut findings = vec![Finding::new("configuration", Ok("every key is known and every value fits".to_owned()))];
    let opened = match keys::masters(&loaded.settings) {
        Ok(masters) => Vestibule::open(loaded.settings, &masters.keys).await.map_err(|error| error.to_string()),
        Err(sentence) => Err(sentence),
    };
    match &opened {
        Ok(vestibule) => {
            let cx = vestibule.context();
            let kind = if cx.db.is_postgres() { "PostgreSQL" } else { "SQLite" };
            findings.push(Finding::new("database", Ok(format!("{kind}, schema current, keys fit"))));
            if cx.mailer.is_there() {
                findings.push(Finding::new("mail", cx.mailer.check().await));
            }
            for trial in trial::all(&cx.upstream, &cx.settings).await {
                let what = format!("provider {}", trial.name);
                let more = Some(trial.to_json()["checks"].take());
                findings.push(Finding { what, outcome: trial::in_short(&trial), more });
            }
        }
        Err(sentence) => findings.push(Finding::new("database", Err(sentence.clone()))),
    }
    let all_good = findings.iter().all(|finding| finding.outcome.is_ok());
    let rows: Vec<_> = findings
        .iter()
        .map(|Finding { what, outcome, more }| {
            let detail = outcome.as_ref().unwrap_or_else(|sentence| sentence);
            let mut row = json!({ "what": what, "ok": outcome.is_ok(), "detail": detail });
            if let Some(more) = more {
                row["checks"] = more.clone();
            }
            row
        })
        .collect();
    print(output, &json!({ "ok": all_good, "checks": rows }), || {
        let mut text = String::new();
        for Finding { what, outcome, .. } in &findings {
            let _ = match outcome {
                Ok(detail) => writeln!(text, "ok    {what}: {detail}"),
                Err(detail) => writeln!(text, "FAIL  {what}: {detail}"),
            };
        }
        text
    });
    match all_good {
        true => Ok(()),
        false => Err(Failure::Refused("not everything is in order".to_owned())),
    }
}
