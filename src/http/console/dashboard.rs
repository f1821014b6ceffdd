//! `/admin/`: what goes on, as it was counted.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use vestibule_protocol::OAuthError;

use super::Staff;
use super::chart::{Plot, Values};
use super::view::{Cell, Choice, Field, Row, Table};
use crate::admin::Area;
use crate::context::{Context, Ctx};
use crate::http::visitor::see_other;
use crate::statistics::{self, By, Gauge, Group, Kind, Range, Series};

/// The page.
#[derive(Serialize)]
struct Dashboard {
    filters: Vec<Field>,
    numbers: Vec<Number>,
    plots: Vec<Plot>,
    tables: Vec<Table>,
    counted_at: Option<Cell>,
}

/// A number that stands for itself.
#[derive(Serialize)]
struct Number {
    label: &'static str,
    value: Option<i64>,
}

pub(super) async fn dashboard(State(cx): State<Ctx>, staff: Staff) -> Response {
    if !staff.actor.sees(Area::Dashboard) {
        // Whoever may see something else begins there.
        let other = Area::ALL.into_iter().find(|area| staff.actor.sees(*area));
        return match (other, staff.actor.must_see(Area::Dashboard)) {
            (Some(area), _) => see_other(&super::area_url(area)),
            (None, Err(error)) => staff.refuse(&cx, error),
            (None, Ok(())) => see_other("/account/"),
        };
    }
    let range = Range::of(staff.filter("range")).unwrap_or(Range::Day);
    let by = if staff.filter("by") == "application" { By::Application } else { By::Provider };
    match read(&cx, range, by).await {
        Ok(view) => staff.show(&cx, "console/dashboard.html", &view),
        Err(error) => staff.refuse(&cx, error),
    }
}

async fn read(cx: &Context, range: Range, by: By) -> Result<Dashboard, OAuthError> {
    let ranges = vec![
        Choice::new("hour", "console_range_hour"),
        Choice::new("day", "console_range_day"),
        Choice::new("month", "console_range_month"),
    ];
    let groups =
        vec![Choice::new("provider", "console_by_provider"), Choice::new("application", "console_by_application")];
    let by_name = if matches!(by, By::Application) { "application" } else { "provider" };
    let gauges = statistics::gauges(cx).await?;
    let mut plots = Vec::new();
    for (id, title, kind, by) in [
        ("sign-ins", "console_sign_ins", Kind::SignIn, by),
        ("conversions", "console_conversions", Kind::Conversion, by),
        ("refusals", "console_refusals", Kind::Refusal, by),
        ("tokens", "console_tokens_issued", Kind::Token, By::Detail),
    ] {
        plots.push(counted(id, title, &statistics::series(cx, kind, range, by).await?));
    }
    for (id, title, all) in [
        (
            "people",
            "console_active_people",
            [("console_people_of_day", Gauge::PeopleOfDay), ("console_people_of_month", Gauge::PeopleOfMonth)],
        ),
        ("live", "console_live", [("console_live_tokens", Gauge::Tokens), ("console_live_sessions", Gauge::Sessions)]),
    ] {
        let (mut starts, mut size, mut lines) = (Vec::new(), 60, Vec::new());
        for (label, gauge) in all {
            let series = statistics::gauge_series(cx, gauge, range).await?;
            (starts, size) = (series.starts, series.size);
            lines.push(Values { label: Some(label), name: String::new(), values: series.values });
        }
        plots.push(Plot::new(id, title, &starts, size, lines));
    }
    Ok(Dashboard {
        filters: vec![
            Field::select("range", "console_range", range.as_str(), ranges),
            Field::select("by", "console_by", by_name, groups),
        ],
        numbers: vec![
            Number { label: "console_people_of_day", value: gauges.people_of_day },
            Number { label: "console_people_of_month", value: gauges.people_of_month },
            Number { label: "console_live_tokens", value: gauges.tokens },
            Number { label: "console_live_sessions", value: gauges.sessions },
        ],
        plots,
        tables: vec![reasons(cx, range).await?, slowest(cx, range).await?],
        counted_at: gauges.counted_at.map(Cell::time),
    })
}

fn counted(id: &'static str, title: &'static str, series: &Series) -> Plot {
    let lines = series.lines.iter().map(|line| {
        let (label, name) = match &line.group {
            Group::Others => (Some("console_all_others"), String::new()),
            Group::Provider(name) if name.is_empty() => (Some("console_own_password"), String::new()),
            Group::Application(0) => (Some("console_no_application"), String::new()),
            Group::Detail(name) | Group::Provider(name) if line.name.is_empty() => (None, name.clone()),
            Group::Application(id) if line.name.is_empty() => (None, format!("#{id}")),
            _ => (None, line.name.clone()),
        };
        Values { label, name, values: line.counts.iter().copied().map(Some).collect() }
    });
    Plot::new(id, title, &series.starts, series.size, lines.collect())
}

async fn reasons(cx: &Context, range: Range) -> Result<Table, OAuthError> {
    let all = statistics::reasons(cx, range, None).await?;
    let rows = all.into_iter().map(|reason| Row {
        id: reason.reason.clone(),
        cells: vec![Cell::code(reason.reason), Cell::text(reason.count.to_string())],
    });
    Ok(Table {
        label: "console_error_reasons",
        columns: vec!["console_reason", "console_count"],
        rows: rows.collect(),
        empty: "console_no_refusals",
        ..Table::default()
    })
}

async fn slowest(cx: &Context, range: Range) -> Result<Table, OAuthError> {
    let all = statistics::slowest(cx, range).await?;
    let rows = all.into_iter().take(10).map(|slow| {
        let name = if slow.title.is_empty() { slow.provider.clone() } else { slow.title };
        Row {
            cells: vec![
                Cell::text(name).to(format!("/admin/providers/{}/", super::segment(&slow.provider))),
                Cell::text(slow.count.to_string()),
                Cell::text(format!("{} ms", slow.mean_ms)),
                Cell::text(format!("{} ms", slow.max_ms)),
            ],
            id: slow.provider,
        }
    });
    Ok(Table {
        label: "console_slowest_providers",
        columns: vec!["console_provider", "console_calls", "console_mean_time", "console_longest_time"],
        rows: rows.collect(),
        empty: "console_no_calls",
        ..Table::default()
    })
}

/// The same as JSON, for the admin API.
///
/// # Errors
/// What the database says.
pub(in crate::http) async fn as_json(cx: &Context, range: Range, by: By) -> Result<serde_json::Value, OAuthError> {
    Ok(json!({
        "range": range,
        "sign_ins": statistics::series(cx, Kind::SignIn, range, by).await?,
        "conversions": statistics::series(cx, Kind::Conversion, range, by).await?,
        "refusals": statistics::series(cx, Kind::Refusal, range, by).await?,
        "tokens": statistics::series(cx, Kind::Token, range, By::Detail).await?,
        "reasons": statistics::reasons(cx, range, None).await?,
        "slowest_providers": statistics::slowest(cx, range).await?,
        "now": statistics::gauges(cx).await?,
    }))
}
