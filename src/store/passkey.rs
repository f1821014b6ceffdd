//! Passkeys, and the handles by which authenticators know people.

use super::user::{self, User};
use super::{Db, Result, Row, Tx, args};

/// A credential of a person's authenticator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// Our number.
    pub id: i64,
    /// Whose it is.
    pub user_id: i64,
    /// What the authenticator calls it.
    pub credential_id: Vec<u8>,
    /// A COSE_Key.
    pub public_key: Vec<u8>,
    /// 0 where the authenticator does not count.
    pub sign_count: i64,
    /// Whether it may be copied to other devices.
    pub is_backup_eligible: bool,
    /// Whether it has been.
    pub is_backed_up: bool,
    /// How it can be reached: words between blanks.
    pub transports: String,
    /// What the person calls it.
    pub name: String,
    /// In seconds since 1970.
    pub created_at: i64,
    /// In seconds since 1970; `None`: not yet.
    pub last_used_at: Option<i64>,
}

macro_rules! columns {
    () => {
        "p.id, p.user_id, p.credential_id, p.public_key, p.sign_count, p.is_backup_eligible, p.is_backed_up, \
         p.transports, p.name, p.created_at, p.last_used_at"
    };
}

const COLUMNS: usize = 11;

impl Passkey {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.int(0)?,
            user_id: row.int(1)?,
            credential_id: row.optional_bytes(2)?.unwrap_or_default(),
            public_key: row.optional_bytes(3)?.unwrap_or_default(),
            sign_count: row.int(4)?,
            is_backup_eligible: row.bool(5)?,
            is_backed_up: row.bool(6)?,
            transports: row.text(7)?,
            name: row.text(8)?,
            created_at: row.int(9)?,
            last_used_at: row.optional_int(10)?,
        })
    }
}

/// Stores a new one; its number and its use are not looked at. `false`: somebody has this credential already.
pub async fn insert(db: &Db, new: Passkey) -> Result<bool> {
    let sql = "INSERT INTO vestibule_passkey (user_id, credential_id, public_key, sign_count, is_backup_eligible,
                           is_backed_up, transports, name, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (credential_id) DO NOTHING";
    let args = args![
        new.user_id,
        new.credential_id,
        new.public_key,
        new.sign_count,
        new.is_backup_eligible,
        new.is_backed_up,
        new.transports,
        new.name,
        new.created_at
    ];
    db.execute(sql, args).await.map(|count| count > 0)
}

/// The passkey of this credential, whose it is, and their handle.
pub async fn find(db: &Db, credential_id: Vec<u8>) -> Result<Option<(Passkey, User, Vec<u8>)>> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        ", h.handle, ",
        user::columns!(),
        " FROM vestibule_passkey p JOIN vestibule_user u ON u.id = p.user_id
          JOIN vestibule_passkey_handle h ON h.user_id = p.user_id WHERE p.credential_id = $1"
    );
    db.optional(sql, args![credential_id], |row| {
        let handle = row.optional_bytes(COLUMNS)?.unwrap_or_default();
        Ok((Passkey::from_row(row)?, User::from_row_at(row, COLUMNS + 1)?, handle))
    })
    .await
}

const OF_USER: &str = concat!("SELECT ", columns!(), " FROM vestibule_passkey p WHERE p.user_id = $1 ORDER BY p.id");

/// A person's passkeys, oldest first.
pub async fn of_user(db: &Db, user_id: i64) -> Result<Vec<Passkey>> {
    db.all(OF_USER, args![user_id], Passkey::from_row).await
}

/// As [`of_user`], as part of a decision.
pub async fn of_user_in(tx: &mut Tx<'_>, user_id: i64) -> Result<Vec<Passkey>> {
    tx.all(OF_USER, args![user_id], Passkey::from_row).await
}

/// Notes a use, and with that a sign-in. `false`: it was used since `before` was read, or is gone.
pub async fn note_use(db: &Db, before: &Passkey, sign_count: i64, is_backed_up: bool, now: i64) -> Result<bool> {
    let sql = "UPDATE vestibule_passkey SET sign_count = $3, is_backed_up = $4, last_used_at = $5
                WHERE id = $1 AND sign_count = $2";
    let args = args![before.id, before.sign_count, sign_count, is_backed_up, now];
    let user_id = before.user_id;
    db.write(move |tx| {
        Box::pin(async move {
            let is_noted = tx.execute(sql, args).await? > 0;
            if is_noted {
                user::note_login(tx, user_id, now).await?;
            }
            Ok(is_noted)
        })
    })
    .await
}

/// Gives a person's passkey another name. `false`: it is not theirs.
pub async fn rename(db: &Db, id: i64, user_id: i64, name: &str) -> Result<bool> {
    let sql = "UPDATE vestibule_passkey SET name = $3 WHERE id = $1 AND user_id = $2";
    db.execute(sql, args![id, user_id, name]).await.map(|count| count > 0)
}

/// Removes a person's passkey.
pub async fn delete(tx: &mut Tx<'_>, id: i64, user_id: i64) -> Result<()> {
    tx.execute("DELETE FROM vestibule_passkey WHERE id = $1 AND user_id = $2", args![id, user_id]).await.map(|_| ())
}

/// A person's handle: this new one, where there is none yet.
pub async fn handle_of(db: &Db, user_id: i64, new: Vec<u8>) -> Result<Vec<u8>> {
    db.write(move |tx| {
        Box::pin(async move {
            let insert = "INSERT INTO vestibule_passkey_handle (user_id, handle) VALUES ($1, $2) ON CONFLICT (user_id) DO NOTHING";
            tx.execute(insert, args![user_id, new]).await?;
            let select = "SELECT handle FROM vestibule_passkey_handle WHERE user_id = $1";
            let handle = tx.optional(select, args![user_id], |row| row.optional_bytes(0)).await?;
            Ok(handle.flatten().unwrap_or_default())
        })
    })
    .await
}

/// Removes all of a person's passkeys, and says how many.
pub async fn delete_all_in(tx: &mut Tx<'_>, user_id: i64) -> Result<u64> {
    tx.execute("DELETE FROM vestibule_passkey WHERE user_id = $1", args![user_id]).await
}
