//! Tokens as staff look through them: newest first, and no page looks at more than so many rows.

use vestibule_protocol::{GrantType, Scope, TokenDigest};

use super::token::TokenContext;
use super::{Db, Error, Result, Row, Tx, args};

/// Rows that a page looks at, at most, for what no index knows: scope, state and the beginning of a token.
pub const WINDOW: i64 = 20_000;

/// A row of the token table, with whom it names.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The row.
    pub id: i64,
    /// The sign-in.
    pub family: i64,
    /// How many refreshes came before.
    pub generation: i64,
    /// The grant by which the family began.
    pub grant_type: GrantType,
    /// The application's number.
    pub application_id: i64,
    /// Its public name.
    pub client_id: String,
    /// Its name for people.
    pub application: String,
    /// The person's number and username; `None`: the application itself.
    pub user: Option<(i64, String)>,
    /// What it is good for.
    pub scope: Scope,
    /// In seconds since 1970.
    pub access_expires_at: i64,
    /// When the refresh token expires, in seconds since 1970; `None`: none went with it.
    pub refresh_expires_at: Option<i64>,
    /// In seconds since 1970.
    pub created_at: i64,
    /// When the refresh token was used, in seconds since 1970.
    pub consumed_at: Option<i64>,
    /// When both tokens were ended, in seconds since 1970.
    pub revoked_at: Option<i64>,
    /// When only the refresh token was, in seconds since 1970.
    pub refresh_revoked_at: Option<i64>,
    /// `live`, `spent`, `revoked`, `expired`, or `ended` with its person or application.
    pub state: String,
    /// The first characters of the access token behind its prefix; empty: not known.
    pub access_hint: String,
    /// What it is bound to.
    pub context: Option<TokenContext>,
    /// `sid` of the browser session that it was issued in.
    pub session: Option<String>,
}

/// Which tokens are listed; what is empty takes all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this person.
    pub user_id: Option<i64>,
    /// Of this application.
    pub application_id: Option<i64>,
    /// Good for this word of a scope.
    pub scope: String,
    /// In this state, as [`Listed::state`].
    pub state: String,
    /// The access token begins so behind its prefix: at most 8 characters.
    pub hint: String,
}

macro_rules! state {
    () => {
        "CASE WHEN t.revoked_at IS NOT NULL THEN 'revoked' \
              WHEN NOT a.is_active OR a.token_epoch <> t.application_epoch \
                OR (t.user_id IS NOT NULL AND (NOT u.is_active OR u.token_epoch <> t.user_epoch)) THEN 'ended' \
              WHEN t.consumed_at IS NOT NULL THEN 'spent' \
              WHEN t.access_expires_at > $2 OR (t.refresh_expires_at > $2 AND t.refresh_revoked_at IS NULL) THEN 'live' \
              ELSE 'expired' END"
    };
}

macro_rules! select {
    () => {
        concat!(
            "SELECT t.id, t.family, t.generation, t.grant_type, t.application_id, a.client_id, a.name, t.user_id, u.username, \
                    t.scope, t.access_expires_at, t.refresh_expires_at, t.created_at, t.consumed_at, t.revoked_at, \
                    t.refresh_revoked_at, ",
            state!(),
            ", t.access_hint, t.context, t.session_public_id \
               FROM vestibule_token t JOIN vestibule_application a ON a.id = t.application_id \
               LEFT JOIN vestibule_user u ON u.id = t.user_id "
        )
    };
}

impl Listed {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.int(0)?,
            family: row.int(1)?,
            generation: row.int(2)?,
            grant_type: row.text(3)?.parse().map_err(|error: String| Error::broken(error))?,
            application_id: row.int(4)?,
            client_id: row.text(5)?,
            application: row.text(6)?,
            user: row.optional_int(7)?.zip(row.optional_text(8)?),
            scope: Scope::from_stored(&row.text(9)?),
            access_expires_at: row.int(10)?,
            refresh_expires_at: row.optional_int(11)?,
            created_at: row.int(12)?,
            consumed_at: row.optional_int(13)?,
            revoked_at: row.optional_int(14)?,
            refresh_revoked_at: row.optional_int(15)?,
            state: row.text(16)?,
            access_hint: row.text(17)?,
            context: TokenContext::from_stored(row.optional_text(18)?)?,
            session: row.optional_text(19)?,
        })
    }

    /// Whether an ID token went with it (OpenID Connect Core §3.1.3.3). It was signed and not stored.
    pub fn had_id_token(&self) -> bool {
        let is_signed_in = self.context.as_ref().is_some_and(|context| context.auth_time.is_some());
        self.user.is_some() && is_signed_in && self.scope.contains("openid")
    }
}

/// Rows with smaller numbers than `before`, the youngest first, at most `limit`; and where to go on if there are more.
pub async fn page(
    db: &Db,
    filter: &Filter,
    (before, limit): (i64, i64),
    now: i64,
) -> Result<(Vec<Listed>, Option<i64>)> {
    macro_rules! page {
        ($more:literal) => {
            concat!(
                select!(),
                "WHERE t.id < $1 AND t.id >= $4 AND ($5 = '' OR ' ' || t.scope || ' ' LIKE '% ' || $5 || ' %' ESCAPE '!')
                   AND ($6 = '' OR ",
                state!(),
                " = $6) AND ($7 = '' OR substr(t.access_hint, 1, length($7)) = $7)
                   AND ($8 IS NULL OR t.user_id = $8) AND ($9 IS NULL OR t.application_id = $9)",
                $more,
                " ORDER BY t.id DESC LIMIT $3"
            )
        };
    }
    macro_rules! window {
        ($more:literal) => {
            concat!(
                "SELECT id FROM vestibule_token
                  WHERE id < $1 AND ($3 IS NULL OR user_id = $3) AND ($4 IS NULL OR application_id = $4)",
                $more,
                " ORDER BY id DESC LIMIT 1 OFFSET $2"
            )
        };
    }
    // What somebody has at one application is looked for among what they have.
    let window_application = filter.application_id.filter(|_| filter.user_id.is_none());
    let (sql, window) = match (filter.user_id, filter.application_id) {
        (None, None) => (page!(""), window!("")),
        (Some(_), _) => (page!(" AND t.user_id = $8"), window!(" AND user_id = $3")),
        (None, Some(_)) => (page!(" AND t.application_id = $9"), window!(" AND application_id = $4")),
    };
    let has_index = filter.scope.is_empty()
        && filter.state.is_empty()
        && filter.hint.is_empty()
        && (filter.user_id.is_none() || filter.application_id.is_none());
    let end = match has_index {
        true => None,
        false => {
            let args = args![before, WINDOW - 1, filter.user_id, window_application];
            db.optional(window, args, |row| row.int(0)).await?
        }
    };
    let args = args![
        before,
        now,
        limit + 1,
        end.unwrap_or(i64::MIN),
        super::like_literal(&filter.scope),
        filter.state.clone(),
        filter.hint.clone(),
        filter.user_id,
        filter.application_id
    ];
    let mut rows = db.all(sql, args, Listed::from_row).await?;
    let limit = usize::try_from(limit).unwrap_or_default();
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = if has_more { rows.last().map(|last| last.id) } else { end };
    Ok((rows, next))
}

/// A row by its number.
pub async fn find(db: &Db, id: i64, now: i64) -> Result<Option<Listed>> {
    db.optional(concat!(select!(), "WHERE t.id = $1"), args![id, now], Listed::from_row).await
}

/// As [`find`], as part of a decision.
pub async fn find_in(tx: &mut Tx<'_>, id: i64, now: i64) -> Result<Option<Listed>> {
    tx.optional(concat!(select!(), "WHERE t.id = $1"), args![id, now], Listed::from_row).await
}

/// The rows of a sign-in, the youngest first: a thousand at most.
pub async fn of_family(db: &Db, family: i64, now: i64) -> Result<Vec<Listed>> {
    let sql = concat!(select!(), "WHERE t.family = $1 ORDER BY t.id DESC LIMIT 1000");
    db.all(sql, args![family, now], Listed::from_row).await
}

/// The row of this access or refresh token.
pub async fn find_by_digest(db: &Db, digest: TokenDigest) -> Result<Option<i64>> {
    let sql = "SELECT id FROM vestibule_token WHERE access_digest = $1 OR refresh_digest = $1";
    db.optional(sql, args![digest], |row| row.int(0)).await
}

/// How many live rows there are of this person, of this application, or of this person at this application, among the
/// youngest [`WINDOW`]; and whether there are older ones.
pub async fn count_live(db: &Db, user_id: Option<i64>, application_id: Option<i64>, now: i64) -> Result<(i64, bool)> {
    macro_rules! count {
        ($more:literal) => {
            concat!(
                "SELECT COALESCE(SUM(CASE WHEN w.state = 'live' AND ($4 IS NULL OR w.application_id = $4) THEN 1 ELSE 0 END), 0),
                        COUNT(*)
                   FROM (SELECT t.application_id, ",
                state!(),
                " AS state FROM vestibule_token t JOIN vestibule_application a ON a.id = t.application_id
                    LEFT JOIN vestibule_user u ON u.id = t.user_id WHERE ($3 IS NULL OR t.user_id = $3)",
                $more,
                " ORDER BY t.id DESC LIMIT $1) w"
            )
        };
    }
    let sql = match user_id {
        Some(_) => count!(" AND t.user_id = $3"),
        None => count!(" AND t.application_id = $4"),
    };
    let counted = db
        .optional(sql, args![WINDOW, now, user_id, application_id], |row| Ok((row.int(0)?, row.int(1)? >= WINDOW)))
        .await?;
    Ok(counted.unwrap_or_default())
}
