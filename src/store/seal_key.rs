//! Which keys something in this database is sealed under, by their names.

use super::{Db, Result, args};

/// The names of all keys that were ever used to seal.
pub async fn all(db: &Db) -> Result<Vec<String>> {
    db.all("SELECT id FROM vestibule_seal_key ORDER BY added_at", args![], |row| row.text(0)).await
}

/// Notes that this key seals from now on.
pub async fn add(db: &Db, id: &str, now: i64) -> Result<()> {
    let sql = "INSERT INTO vestibule_seal_key (id, added_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
    db.execute(sql, args![id, now]).await.map(|_| ())
}
