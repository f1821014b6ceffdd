//! What has happened, counted in buckets of a minute, an hour and a day.

use super::{Db, Result, args};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Somebody came in by a browser, or by the password grant.
    SignIn,
    /// A provider's token or code was taken by the token endpoint.
    Conversion,
    /// An account at a provider was connected to somebody who was signed in.
    Connection,
    /// One of these was refused.
    Refusal,
    /// A pair was issued; the detail is its grant type.
    Token,
    /// A provider was waited for.
    ProviderCall,
    /// That a node counts the gauges of this minute.
    Sample,
    /// Gauge: people whose last sign-in is within 24 hours.
    PeopleOfDay,
    /// Gauge: people whose last sign-in is within 30 days.
    PeopleOfMonth,
    /// Gauge: access tokens that are good.
    LiveTokens,
    /// Gauge: sessions of browsers that are good.
    LiveSessions,
}

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What it is.
    pub kind: Kind,
    /// A provider's name; empty: none.
    pub provider: String,
    /// An application's number; 0: none.
    pub application_id: i64,
    /// A reason or a grant type; empty: none.
    pub detail: &'static str,
}

/// How often, and how long it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often.
    pub count: i64,
    /// In milliseconds, of all together.
    pub ms_sum: i64,
    /// In milliseconds, of the longest.
    pub ms_max: i64,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket {
    /// In seconds.
    pub size: i64,
    /// In seconds since 1970; a multiple of the size.
    pub starts_at: i64,
    /// Until when it is kept, in seconds since 1970.
    pub expires_at: i64,
}

/// By what counts are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The provider.
    Provider,
    /// The application.
    Application,
    /// The reason or the grant type.
    Detail,
}

/// A sum, of a bucket and of what it is told apart by: a number for applications, a word for all else.
pub struct Sum {
    /// Of the bucket, in seconds since 1970.
    pub starts_at: i64,
    /// The provider or the detail.
    pub word: String,
    /// The application.
    pub application_id: i64,
    /// How often.
    pub count: i64,
}

/// A provider that was waited for.
pub struct Waited {
    /// Its name.
    pub provider: String,
    /// How often, and how long.
    pub tally: Tally,
}

/// What there is just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// People whose last sign-in is within a day.
    pub people_of_day: i64,
    /// People whose last sign-in is within 30 days.
    pub people_of_month: i64,
    /// Access tokens.
    pub tokens: i64,
    /// Sessions.
    pub sessions: i64,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Conversion => "conversion",
            Self::Connection => "connection",
            Self::Refusal => "refusal",
            Self::Token => "token",
            Self::ProviderCall => "provider_call",
            Self::Sample => "sample",
            Self::PeopleOfDay => "people_of_day",
            Self::PeopleOfMonth => "people_of_month",
            Self::LiveTokens => "live_tokens",
            Self::LiveSessions => "live_sessions",
        }
    }
}

impl Tally {
    /// With these beside.
    pub fn add(&mut self, more: Self) {
        self.count += more.count;
        self.ms_sum += more.ms_sum;
        self.ms_max = self.ms_max.max(more.ms_max);
    }
}

macro_rules! insert {
    ($conflict:literal) => {
        concat!(
            "INSERT INTO vestibule_statistic (kind, size, starts_at, provider, application_id, detail, count, ms_sum, ms_max, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (kind, size, starts_at, provider, application_id, detail) DO ",
            $conflict
        )
    };
}

fn values(bucket: Bucket, key: Key, tally: Tally) -> Vec<super::Value> {
    let Bucket { size, starts_at, expires_at } = bucket;
    let Key { kind, provider, application_id, detail } = key;
    let Tally { count, ms_sum, ms_max } = tally;
    args![kind.as_str(), size, starts_at, provider, application_id, detail, count, ms_sum, ms_max, expires_at]
}

fn gauge(kind: Kind) -> Key {
    Key { kind, provider: String::new(), application_id: 0, detail: "" }
}

/// Adds to what is there, all or nothing. Rows in order, so that two nodes never wait for one another.
pub async fn add(db: &Db, rows: Vec<((Bucket, Key), Tally)>) -> Result<()> {
    let sql = insert!(
        "UPDATE SET count = vestibule_statistic.count + excluded.count,
                    ms_sum = vestibule_statistic.ms_sum + excluded.ms_sum,
                    ms_max = CASE WHEN excluded.ms_max > vestibule_statistic.ms_max THEN excluded.ms_max ELSE vestibule_statistic.ms_max END"
    );
    db.write(move |tx| {
        Box::pin(async move {
            for ((bucket, key), tally) in rows {
                tx.execute(sql, values(bucket, key, tally)).await?;
            }
            Ok(())
        })
    })
    .await
}

/// Whether nobody has begun to count the gauges of this minute before; from now on somebody has.
pub async fn claim(db: &Db, minute: Bucket) -> Result<bool> {
    let sql = insert!("NOTHING");
    Ok(db.execute(sql, values(minute, gauge(Kind::Sample), Tally::default())).await? == 1)
}

/// Stores the gauges in these buckets, in place of what was there.
pub async fn set(db: &Db, buckets: [Bucket; 3], live: Live) -> Result<()> {
    let sql = insert!("UPDATE SET count = excluded.count");
    let gauges = [
        (Kind::PeopleOfDay, live.people_of_day),
        (Kind::PeopleOfMonth, live.people_of_month),
        (Kind::LiveTokens, live.tokens),
        (Kind::LiveSessions, live.sessions),
    ];
    db.write(move |tx| {
        Box::pin(async move {
            for (kind, count) in gauges {
                for bucket in buckets {
                    tx.execute(sql, values(bucket, gauge(kind), Tally { count, ..Tally::default() })).await?;
                }
            }
            Ok(())
        })
    })
    .await
}

/// Counts what there is now; sessions since `seen_since` only. Each is read from an index alone. What has ended with its
/// person or application, and not by itself, counts until it would have expired.
pub async fn live(db: &Db, now: i64, seen_since: i64) -> Result<Live> {
    let people = "SELECT COUNT(*) FROM vestibule_user WHERE last_login >= $1";
    let tokens = "SELECT COUNT(*) FROM vestibule_token
                   WHERE access_expires_at > $1 AND consumed_at IS NULL AND revoked_at IS NULL";
    let sessions = "SELECT COUNT(*) FROM vestibule_session WHERE last_seen_at > $1 AND expires_at > $2";
    let count = async |sql, args| Ok(db.optional(sql, args, |row| row.int(0)).await?.unwrap_or_default());
    Ok(Live {
        people_of_day: count(people, args![now - 86_400]).await?,
        people_of_month: count(people, args![now - 30 * 86_400]).await?,
        tokens: count(tokens, args![now]).await?,
        sessions: count(sessions, args![seen_since, now]).await?,
    })
}

macro_rules! sums {
    ($word:literal, $application:literal, $group:literal) => {
        concat!(
            "SELECT starts_at, ",
            $word,
            ", ",
            $application,
            ", CAST(SUM(count) AS BIGINT) FROM vestibule_statistic
              WHERE kind = $1 AND size = $2 AND starts_at >= $3 AND starts_at <= $4 GROUP BY starts_at, ",
            $group
        )
    };
}

/// The sums of the buckets of this size that begin from `from` to `to`.
pub async fn sums(db: &Db, kind: Kind, by: By, size: i64, from: i64, to: i64) -> Result<Vec<Sum>> {
    let sql = match by {
        By::Provider => sums!("provider", "CAST(0 AS BIGINT)", "provider"),
        By::Application => sums!("''", "application_id", "application_id"),
        By::Detail => sums!("detail", "CAST(0 AS BIGINT)", "detail"),
    };
    db.all(sql, args![kind.as_str(), size, from, to], |row| {
        Ok(Sum { starts_at: row.int(0)?, word: row.text(1)?, application_id: row.int(2)?, count: row.int(3)? })
    })
    .await
}

/// How often each reason was given in the buckets of this size that begin from `from` to `to`, the commonest first; of this
/// provider, or of all and of none.
pub async fn reasons(db: &Db, provider: Option<&str>, size: i64, from: i64, to: i64) -> Result<Vec<(String, i64)>> {
    let sql = "SELECT detail, CAST(SUM(count) AS BIGINT) FROM vestibule_statistic
                WHERE kind = $1 AND size = $2 AND starts_at >= $3 AND starts_at <= $4 AND ($5 OR provider = $6)
                GROUP BY detail ORDER BY 2 DESC, 1";
    let values =
        args![Kind::Refusal.as_str(), size, from, to, provider.is_none(), provider.unwrap_or_default().to_owned()];
    db.all(sql, values, |row| Ok((row.text(0)?, row.int(1)?))).await
}

/// How long each provider took in the buckets of this size that begin from `from` to `to`.
pub async fn waited(db: &Db, size: i64, from: i64, to: i64) -> Result<Vec<Waited>> {
    let sql =
        "SELECT provider, CAST(SUM(count) AS BIGINT), CAST(SUM(ms_sum) AS BIGINT), MAX(ms_max) FROM vestibule_statistic
                WHERE kind = $1 AND size = $2 AND starts_at >= $3 AND starts_at <= $4 GROUP BY provider";
    db.all(sql, args![Kind::ProviderCall.as_str(), size, from, to], |row| {
        let tally = Tally { count: row.int(1)?, ms_sum: row.int(2)?, ms_max: row.int(3)? };
        Ok(Waited { provider: row.text(0)?, tally })
    })
    .await
}

/// The newest value of a gauge in buckets of this size, with when its bucket begins.
pub async fn newest(db: &Db, kind: Kind, size: i64) -> Result<Option<(i64, i64)>> {
    let sql = "SELECT starts_at, count FROM vestibule_statistic WHERE kind = $1 AND size = $2 ORDER BY starts_at DESC LIMIT 1";
    db.optional(sql, args![kind.as_str(), size], |row| Ok((row.int(0)?, row.int(1)?))).await
}
