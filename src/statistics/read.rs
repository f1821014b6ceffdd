//! What the dashboard reads. Every function is one or a few reads of sums, however many requests there were.

use std::collections::HashMap;

use serde::Serialize;

use super::{By, DAY, HOUR, Kind, MINUTE, start};
use crate::context::Context;
use crate::store::refusal::{self, Refusal};
use crate::store::statistic::{self, Sum};
use crate::store::{Result, application};

/// How many lines a series has beside the rest.
const LINES: usize = 6;

/// How far back is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Range {
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
    /// 31 days.
    Month,
}

impl Range {
    /// The range of this name.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Hour, Self::Day, Self::Month].into_iter().find(|range| range.as_str() == name)
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// The seconds of a bucket, and how many there are.
    const fn buckets(self) -> (i64, i64) {
        match self {
            Self::Hour => (MINUTE, 60),
            Self::Day => (HOUR, 24),
            Self::Month => (DAY, 31),
        }
    }

    /// The size of a bucket, and when each begins. The last is the one that is not over yet.
    fn starts(self, now: i64) -> (i64, Vec<i64>) {
        let (size, count) = self.buckets();
        let last = start(now, size);
        (size, (0..count).rev().map(|back| last - back * size).collect())
    }
}

/// What a line is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// A provider's name; empty: none.
    Provider(String),
    /// An application's number; 0: none.
    Application(i64),
    /// A reason or a grant type; empty: none.
    Detail(String),
    /// All that have no line of their own.
    Others,
}

/// The counts of one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What they are of.
    pub group: Group,
    /// The provider's title or the application's name; empty where there is none, or not any more.
    pub name: String,
    /// All together.
    pub total: i64,
    /// A number a bucket.
    pub counts: Vec<i64>,
}

/// Counts over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Series {
    /// When each bucket begins, in seconds since 1970 (UTC), the oldest first. The last is not over yet.
    pub starts: Vec<i64>,
    /// The seconds of a bucket.
    pub size: i64,
    /// The largest six groups, the largest first, and all others in one.
    pub lines: Vec<Line>,
    /// All together.
    pub total: i64,
}

/// How often something was refused for a reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// A word of ours: the reason of a refusal, or its OAuth error code.
    pub reason: String,
    /// How often.
    pub count: i64,
}

/// How long a provider takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Slow {
    /// Its name.
    pub provider: String,
    /// Its title.
    pub title: String,
    /// How often it was waited for.
    pub count: i64,
    /// In milliseconds.
    pub mean_ms: i64,
    /// In milliseconds.
    pub max_ms: i64,
}

/// What there was when it was counted last, within the last three hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gauges {
    /// When that was, in seconds since 1970; `None`: not lately.
    pub counted_at: Option<i64>,
    /// People whose last sign-in is within 24 hours.
    pub people_of_day: Option<i64>,
    /// People whose last sign-in is within 30 days.
    pub people_of_month: Option<i64>,
    /// Access tokens that are good.
    pub tokens: Option<i64>,
    /// Sessions of browsers that are good.
    pub sessions: Option<i64>,
}

/// What is counted as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gauge {
    /// As [`Gauges::people_of_day`].
    PeopleOfDay,
    /// As [`Gauges::people_of_month`].
    PeopleOfMonth,
    /// As [`Gauges::tokens`].
    Tokens,
    /// As [`Gauges::sessions`].
    Sessions,
}

impl Gauge {
    const fn kind(self) -> Kind {
        match self {
            Self::PeopleOfDay => Kind::PeopleOfDay,
            Self::PeopleOfMonth => Kind::PeopleOfMonth,
            Self::Tokens => Kind::LiveTokens,
            Self::Sessions => Kind::LiveSessions,
        }
    }
}

/// A gauge over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GaugeSeries {
    /// As [`Series::starts`].
    pub starts: Vec<i64>,
    /// The seconds of a bucket.
    pub size: i64,
    /// What was counted last within each bucket; `None`: nobody counted, which is not zero.
    pub values: Vec<Option<i64>>,
}

/// How often something happened, by provider, application or detail.
///
/// # Errors
/// What the database says.
pub async fn series(cx: &Context, kind: Kind, range: Range, by: By) -> Result<Series> {
    let (size, starts) = range.starts(cx.clock.now());
    let sums = statistic::sums(&cx.db, kind, by, size, first(&starts), last(&starts)).await?;
    let mut groups: HashMap<Group, Vec<i64>> = HashMap::new();
    for Sum { starts_at, word, application_id, count } in sums {
        let group = match by {
            By::Provider => Group::Provider(word),
            By::Application => Group::Application(application_id),
            By::Detail => Group::Detail(word),
        };
        let counts = groups.entry(group).or_insert_with(|| vec![0; starts.len()]);
        if let Some(at) = place(&starts, starts_at).and_then(|at| counts.get_mut(at)) {
            *at += count;
        }
    }
    let mut groups: Vec<_> =
        groups.into_iter().map(|(group, counts)| (counts.iter().sum::<i64>(), group, counts)).collect();
    groups.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    let rest = groups.split_off(groups.len().min(LINES));
    let mut lines = Vec::new();
    for (total, group, counts) in groups {
        lines.push(Line { name: name(cx, &group).await?, group, total, counts });
    }
    if !rest.is_empty() {
        let mut counts = vec![0; starts.len()];
        for (_, _, more) in rest {
            counts.iter_mut().zip(more).for_each(|(sum, count)| *sum += count);
        }
        let total = counts.iter().sum();
        lines.push(Line { group: Group::Others, name: String::new(), total, counts });
    }
    let total = lines.iter().map(|line| line.total).sum();
    Ok(Series { starts, size, lines, total })
}

/// Why sign-ins, conversions and connections were refused, the commonest reason first: at this provider, or everywhere.
///
/// # Errors
/// What the database says.
pub async fn reasons(cx: &Context, range: Range, provider: Option<&str>) -> Result<Vec<Reason>> {
    let (size, starts) = range.starts(cx.clock.now());
    let reasons = statistic::reasons(&cx.db, provider, size, first(&starts), last(&starts)).await?;
    Ok(reasons.into_iter().map(|(reason, count)| Reason { reason, count }).collect())
}

/// How long each provider took, the slowest in the mean first.
///
/// # Errors
/// What the database says.
pub async fn slowest(cx: &Context, range: Range) -> Result<Vec<Slow>> {
    let (size, starts) = range.starts(cx.clock.now());
    let waited = statistic::waited(&cx.db, size, first(&starts), last(&starts)).await?;
    let mut slow: Vec<_> = waited
        .into_iter()
        .map(|waited| Slow {
            title: title(cx, &waited.provider),
            provider: waited.provider,
            count: waited.tally.count,
            mean_ms: waited.tally.ms_sum / waited.tally.count.max(1),
            max_ms: waited.tally.ms_max,
        })
        .collect();
    slow.sort_by(|one, other| {
        other
            .mean_ms
            .cmp(&one.mean_ms)
            .then_with(|| other.max_ms.cmp(&one.max_ms))
            .then_with(|| one.provider.cmp(&other.provider))
    });
    Ok(slow)
}

/// People, tokens and sessions as they were counted last.
///
/// # Errors
/// What the database says.
pub async fn gauges(cx: &Context) -> Result<Gauges> {
    let newest = async |kind| statistic::newest(&cx.db, kind, MINUTE).await;
    let people_of_day = newest(Kind::PeopleOfDay).await?;
    let value = |newest: Option<(i64, i64)>| newest.map(|(_, value)| value);
    Ok(Gauges {
        counted_at: people_of_day.map(|(at, _)| at),
        people_of_day: value(people_of_day),
        people_of_month: value(newest(Kind::PeopleOfMonth).await?),
        tokens: value(newest(Kind::LiveTokens).await?),
        sessions: value(newest(Kind::LiveSessions).await?),
    })
}

/// One of them over time.
///
/// # Errors
/// What the database says.
pub async fn gauge_series(cx: &Context, gauge: Gauge, range: Range) -> Result<GaugeSeries> {
    let (size, starts) = range.starts(cx.clock.now());
    let mut values = vec![None; starts.len()];
    for sum in statistic::sums(&cx.db, gauge.kind(), By::Provider, size, first(&starts), last(&starts)).await? {
        if let Some(value) = place(&starts, sum.starts_at).and_then(|at| values.get_mut(at)) {
            *value = Some(sum.count);
        }
    }
    Ok(GaugeSeries { starts, size, values })
}

/// The newest refusals of a provider, or with an empty name those of none, the last first; a hundred at most.
///
/// # Errors
/// What the database says.
pub async fn recent_refusals(cx: &Context, provider: &str) -> Result<Vec<Refusal>> {
    refusal::recent(&cx.db, provider, refusal::KEPT).await
}

async fn name(cx: &Context, group: &Group) -> Result<String> {
    Ok(match group {
        Group::Provider(name) => title(cx, name),
        Group::Application(id) if *id != 0 => {
            application::find_by_id(&cx.db, *id).await?.map(|application| application.name).unwrap_or_default()
        }
        _ => String::new(),
    })
}

fn title(cx: &Context, provider: &str) -> String {
    cx.upstream.provider(provider).map(|provider| provider.title().to_owned()).unwrap_or_default()
}

fn first(starts: &[i64]) -> i64 {
    starts.first().copied().unwrap_or_default()
}

fn last(starts: &[i64]) -> i64 {
    starts.last().copied().unwrap_or_default()
}

fn place(starts: &[i64], starts_at: i64) -> Option<usize> {
    starts.binary_search(&starts_at).ok()
}
