//! Who did what, from where. Rows are only ever added; nothing in them is a secret.

use super::{Db, Result, Row, Tx, args};

/// What was done, as it is noted in the transaction that does it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// In seconds since 1970.
    pub at: i64,
    /// The person's number; `None`: an application or the command line.
    pub actor_id: Option<i64>,
    /// What they are called.
    pub actor: String,
    /// `console`, `api` or `command`.
    pub via: &'static str,
    /// The address that it was done from; empty for the command line.
    pub address: String,
    /// `application.create`
    pub act: &'static str,
    /// `application`, `user` …
    pub target_kind: &'static str,
    /// Its number.
    pub target_id: Option<i64>,
    /// What it is called.
    pub target: String,
    /// What changed.
    pub detail: serde_json::Value,
}

/// An entry as it was stored.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Noted {
    /// Its number; a later one has a greater one.
    pub id: i64,
    /// In seconds since 1970.
    pub at: i64,
    /// See [`Entry::actor_id`].
    pub actor_id: Option<i64>,
    /// See [`Entry::actor`].
    pub actor: String,
    /// See [`Entry::via`].
    pub via: String,
    /// See [`Entry::address`].
    pub address: String,
    /// See [`Entry::act`].
    pub act: String,
    /// See [`Entry::target_kind`].
    pub target_kind: String,
    /// See [`Entry::target_id`].
    pub target_id: Option<i64>,
    /// See [`Entry::target`].
    pub target: String,
    /// See [`Entry::detail`].
    pub detail: serde_json::Value,
}

/// Notes what the rest of this transaction does.
pub async fn note(tx: &mut Tx<'_>, entry: Entry) -> Result<()> {
    let sql = "INSERT INTO vestibule_audit
                      (at, actor_id, actor, via, address, act, act_area, target_kind, target_id, target, detail)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let args = args![
        entry.at,
        entry.actor_id,
        entry.actor,
        entry.via,
        entry.address,
        entry.act,
        area(entry.act),
        entry.target_kind,
        entry.target_id,
        entry.target,
        entry.detail.to_string()
    ];
    tx.execute(sql, args).await.map(|_| ())
}

/// The beginning of an act's name: `application` of `application.create`.
fn area(act: &str) -> &str {
    act.split('.').next().unwrap_or_default()
}

/// Which entries are read; a filter that is empty takes all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of whom.
    pub actor: String,
    /// Of this act: `application.create`; or of these: `application.`
    pub act: String,
    /// What it was done to: its kind …
    pub target_kind: String,
    /// … and what it is called.
    pub target: String,
    /// From this second since 1970 on.
    pub since: Option<i64>,
    /// Before this second since 1970.
    pub until: Option<i64>,
}

/// Entries that are older than the one numbered `before`, the youngest first, at most `limit`. A number that none has stands
/// before all.
pub async fn page(db: &Db, filter: &Filter, before: i64, limit: i64) -> Result<Vec<Noted>> {
    macro_rules! page {
        ($word:literal) => {
            concat!(
                "SELECT id, at, actor_id, actor, via, address, act, target_kind, target_id, target, detail
                   FROM vestibule_audit WHERE ",
                $word,
                "at >= $3 AND at <= $4 AND (at < $1 OR id < $2)
                    AND ($6 = '' OR target = $6) AND ($7 = '' OR act = $7) AND ($8 = '' OR actor = $8)
                    AND ($9 = '' OR target_kind = $9) AND ($10 = '' OR act_area = $10)
                  ORDER BY at DESC, id DESC LIMIT $5"
            )
        };
    }
    let (act, act_area) = match filter.act.strip_suffix('.') {
        Some(area) => ("", area),
        None => (filter.act.as_str(), ""),
    };
    // The words whose index tells the most are given as such; each index is in the order of the list.
    let given =
        [filter.target.as_str(), &filter.actor, act, act_area, &filter.target_kind].map(|word| !word.is_empty());
    let sql = match given {
        [true, ..] => page!("target = $6 AND "),
        [_, true, true, ..] => page!("actor = $8 AND act = $7 AND "),
        [_, true, _, true, _] => page!("actor = $8 AND act_area = $10 AND "),
        [_, true, _, _, true] => page!("actor = $8 AND target_kind = $9 AND "),
        [_, true, ..] => page!("actor = $8 AND "),
        [_, _, true, ..] => page!("act = $7 AND "),
        [_, _, _, true, _] => page!("act_area = $10 AND "),
        [.., true] => page!("target_kind = $9 AND "),
        _ => page!(""),
    };
    let at = db.optional("SELECT at FROM vestibule_audit WHERE id = $1", args![before], |row| row.int(0)).await?;
    let at = at.unwrap_or(i64::MAX);
    // One bound each way: SQLite goes by one only.
    let (since, last) =
        (filter.since.unwrap_or(i64::MIN), filter.until.map_or(at, |until| at.min(until.saturating_sub(1))));
    let args = args![
        at,
        before,
        since,
        last,
        limit,
        filter.target.clone(),
        act,
        filter.actor.clone(),
        filter.target_kind.clone(),
        act_area,
    ];
    db.all(sql, args, Noted::from_row).await
}

impl Noted {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.int(0)?,
            at: row.int(1)?,
            actor_id: row.optional_int(2)?,
            actor: row.text(3)?,
            via: row.text(4)?,
            address: row.text(5)?,
            act: row.text(6)?,
            target_kind: row.text(7)?,
            target_id: row.optional_int(8)?,
            target: row.text(9)?,
            detail: serde_json::from_str(&row.text(10)?).map_err(super::Error::broken)?,
        })
    }
}
