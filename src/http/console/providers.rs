//! `/admin/providers/`: the catalog, and whether a provider works.

use axum::extract::{Path, State};
use axum::response::Response;

use super::view::{Act, Cell, Choice, Detail, Fact, Field, List, Row, Section, Table, fact, facts};
use super::{Staff, StaffForm, segment};
use crate::admin::Area;
use crate::admin::providers::{self, Wanted};
use crate::context::{Context, Ctx};
use crate::statistics;
use crate::store::refusal::Refusal;
use crate::upstream::{CatalogLine, CheckOutcome, Trial};

const LIST: &str = "/admin/providers/";
/// Where the catalog's pages are, one a provider.
const DOCUMENTATION: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/providers/");

/// What a provider can speak.
const PROTOCOLS: [&str; 8] = ["oauth2", "oidc", "oauth1", "openid2", "saml", "cas", "signed", "form"];

pub(super) async fn list(State(cx): State<Ctx>, staff: Staff) -> Response {
    let wanted = Wanted { text: staff.filter("q"), protocol: staff.filter("protocol"), state: staff.filter("state") };
    let lines = match providers::list(&cx, &staff.actor, wanted) {
        Ok(lines) => lines,
        Err(error) => return staff.refuse(&cx, error),
    };
    let rows = lines.into_iter().map(|line| Row {
        id: line.name.clone(),
        cells: vec![
            Cell::text(&line.entry.title).to(url(&line.name)),
            Cell::code(&line.name),
            Cell::code(line.entry.protocol.as_str()),
            state(line),
            missing(line),
            Cell::text(line.audience_check),
        ],
    });
    let mut protocols = vec![Choice::new("", "console_all")];
    protocols.extend(PROTOCOLS.map(Choice::plain));
    let states = vec![
        Choice::new("", "console_all"),
        Choice::new("enabled", "console_enabled"),
        Choice::new("live", "console_provider_live"),
        Choice::new("legacy", "console_legacy"),
        Choice::new("shut down", "console_shut_down"),
    ];
    let view = List {
        title: "console_providers",
        intro: Some("console_providers_intro"),
        action: LIST.to_owned(),
        filters: vec![
            Field::new("search", "q", "console_provider_search", vec![staff.filter("q").to_owned()]),
            Field::select("protocol", "console_protocol", staff.filter("protocol"), protocols),
            Field::select("state", "console_state", staff.filter("state"), states),
        ],
        table: Table {
            label: "console_providers",
            columns: vec![
                "console_provider",
                "console_provider_name",
                "console_protocol",
                "console_state",
                "console_missing",
                "console_audience_check",
            ],
            rows: rows.collect(),
            empty: "console_no_providers",
            ..Table::default()
        },
        ..List::default()
    };
    staff.show(&cx, "console/list.html", &view)
}

fn url(name: &str) -> String {
    format!("{LIST}{}/", segment(name))
}

fn state(line: &CatalogLine) -> Cell {
    match line.entry.status.as_str() {
        _ if line.enabled => Cell::badge("console_enabled", ""),
        "live" => Cell::badge("console_provider_live", "off"),
        "legacy" => Cell::badge("console_legacy", "off"),
        _ => Cell::badge("console_shut_down", "bad"),
    }
}

/// What has to be set before it can be enabled.
fn missing(line: &CatalogLine) -> Cell {
    if line.enabled || line.is_shut_down() || line.missing.is_empty() {
        return Cell::none("console_nothing_missing");
    }
    let keys: Vec<String> = line.missing.iter().map(|key| format!("providers.{}.{key}", line.name)).collect();
    Cell::code(keys.join(" "))
}

pub(super) async fn show(State(cx): State<Ctx>, Path(name): Path<String>, staff: Staff) -> Response {
    match providers::find(&cx, &staff.actor, &name) {
        Ok(line) => detail(&cx, &staff, line, None).await,
        Err(error) => staff.refuse(&cx, error),
    }
}

pub(super) async fn test(State(cx): State<Ctx>, Path(name): Path<String>, form: StaffForm) -> Response {
    let staff = form.staff;
    let tried = async {
        let trial = providers::try_out(&cx, &staff.actor, &name).await?;
        Ok((trial, providers::find(&cx, &staff.actor, &name)?))
    };
    match tried.await {
        Ok((trial, line)) => detail(&cx, &staff, line, Some(&trial)).await,
        Err(error) => staff.refuse(&cx, error),
    }
}

async fn detail(cx: &Context, staff: &Staff, line: &CatalogLine, trial: Option<&Trial>) -> Response {
    let refusals = match statistics::recent_refusals(cx, &line.name).await {
        Ok(refusals) => refusals,
        Err(error) => return staff.refuse(cx, error.into()),
    };
    let may_test = line.enabled && staff.actor.changes(Area::Providers);
    let entry = &line.entry;
    let note = entry.note.as_ref().map(|note| fact("console_note", Cell::text(note)));
    let page = line.is_in_catalog.then(|| format!("{DOCUMENTATION}{}.md", line.name));
    let page = page.map(|page| fact("console_documentation", Cell::text(&page).to(&page)));
    let register = entry.register.as_ref().map(|place| fact("console_register_at", Cell::text(place).to(place)));
    let mut known: Vec<Fact> = vec![
        fact("console_provider_name", Cell::code(&line.name)),
        fact("console_protocol", Cell::code(entry.protocol.as_str())),
        fact("console_redirect_uri", Cell::code(cx.settings.redirect_uri(&line.name))),
        fact("console_missing", missing(line)),
        fact("console_audience_check", Cell::text(line.audience_check)),
        facts("console_changed_keys", line.changed.iter().map(|key| format!("providers.{}.{key}", line.name))),
    ];
    known.extend(register);
    known.extend(page);
    known.extend(note);
    let mut sections = Vec::new();
    sections.extend(trial.map(checks));
    if !entry.settings.is_empty() {
        sections.push(own_settings(line));
    }
    sections.push(rules(cx, line));
    sections.push(recent(refusals));
    let view = Detail {
        heading: entry.title.clone(),
        badges: vec![state(line)],
        acts: may_test
            .then(|| Act::post("console_test", format!("{}test", url(&line.name))).primary())
            .into_iter()
            .collect(),
        facts: known,
        sections,
        back_url: LIST.to_owned(),
        back_label: "console_providers",
        ..Detail::default()
    };
    staff.show(cx, "console/show.html", &view)
}

/// What a trial found.
fn checks(trial: &Trial) -> Section {
    let rows = trial.checks.iter().map(|check| Row {
        id: check.what.to_owned(),
        cells: vec![
            Cell::text(check.what),
            match check.outcome {
                CheckOutcome::Good => Cell::badge("console_check_good", ""),
                CheckOutcome::Bad => Cell::badge("console_check_bad", "bad"),
                CheckOutcome::Unknown => Cell::badge("console_check_unknown", "off"),
            },
            Cell::text(&check.detail),
            Cell::text(&check.advice),
        ],
    });
    Section {
        title: if trial.is_good() { "console_trial_good" } else { "console_trial_bad" },
        intro: Some("console_trial_intro"),
        table: Some(Table {
            label: "console_trial",
            columns: vec!["console_check", "console_result", "console_seen", "console_advice"],
            rows: rows.collect(),
            empty: "console_no_checks",
            ..Table::default()
        }),
        acts: Vec::new(),
    }
}

/// What this provider needs beside a client id and a secret.
fn own_settings(line: &CatalogLine) -> Section {
    let rows = line.entry.settings.iter().map(|(name, rule)| Row {
        id: name.clone(),
        cells: vec![
            Cell::code(format!("providers.{}.{name}", line.name)),
            match line.values.get(name) {
                Some(value) => Cell::code(value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
                None if line.changed.contains(name) => Cell::word("console_set"),
                None if rule.optional => Cell::none("console_optional"),
                None => Cell::badge("console_must_be_set", "bad"),
            },
            Cell::text(rule.description.as_deref().unwrap_or_default()),
        ],
    });
    Section {
        title: "console_provider_settings",
        table: Some(Table {
            label: "console_provider_settings",
            columns: vec!["console_setting", "console_value", "console_what_it_does"],
            rows: rows.collect(),
            ..Table::default()
        }),
        ..Section::default()
    }
}

/// Who gets in by it, and as whom.
/// What was refused lately of those who came by this provider.
fn recent(refusals: Vec<Refusal>) -> Section {
    let rows = refusals.into_iter().map(|refusal| Row {
        id: refusal.at.to_string(),
        cells: vec![
            Cell::time(refusal.at),
            Cell::code(refusal.reason),
            Cell::text(refusal.description),
            Cell::text(refusal.cause),
        ],
    });
    Section {
        title: "console_recent_errors",
        intro: Some("console_recent_errors_intro"),
        table: Some(Table {
            label: "console_recent_errors",
            columns: vec!["console_when", "console_reason", "console_told", "console_cause"],
            rows: rows.collect(),
            empty: "console_no_refusals",
            ..Table::default()
        }),
        acts: Vec::new(),
    }
}

fn rules(cx: &Context, line: &CatalogLine) -> Section {
    let rows = providers::rules(cx, &line.name).into_iter().map(|rule| Row {
        cells: vec![
            Cell::code(&rule.name),
            Cell::code(rule.value.as_str().map_or_else(|| rule.value.to_string(), str::to_owned)),
            Cell::code(if rule.is_own { format!("providers.{}", line.name) } else { "social".to_owned() }),
        ],
        id: rule.name,
    });
    Section {
        title: "console_policy",
        intro: Some("console_policy_intro"),
        table: Some(Table {
            label: "console_policy",
            columns: vec!["console_setting", "console_value", "console_policy_from"],
            rows: rows.collect(),
            empty: "console_policy_default",
            ..Table::default()
        }),
        acts: Vec::new(),
    }
}
