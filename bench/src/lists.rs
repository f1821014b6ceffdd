//! What a page of a list of the admin API costs with a thousand rows and with a million: it must be about the same.

use std::fmt::Write as _;

use vestibule::store::{Db, Value};

use crate::load::{self, Fixed};
use crate::place::{Place, Server};
use crate::provider::Provider;
use crate::{Effort, median};

/// How many rows a table has at first, and at last.
const SIZES: [i64; 2] = [1_000, 1_000_000];

const ADMIN: &str = "UPDATE vestibule_application SET scopes = 'admin:read' WHERE id = $1";

/// People from `$1` to `$2`, beside the first.
const PEOPLE: &str =
    "INSERT INTO vestibule_user (username, email, email_key, date_joined, search_username, search_email, search_name)
    WITH RECURSIVE n(i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i < $2)
    SELECT 'person' || i, 'person' || i || '@example.org', 'person' || i || '@example.org', 1795000000,
           'person' || i, 'person' || i || '@example.org', 'name' || i FROM n";

/// Ten applications that the tokens are of.
const APPLICATIONS: &str =
    "INSERT INTO vestibule_application (client_id, name, client_type, grant_types, created_at, updated_at)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10)
    SELECT 'listed' || i, 'Listed ' || i, 'public', 'password', 1795000000, 1795000000 FROM n";

/// Tokens from `$1` to `$2`: fifty each of so many people as `$3`, a tenth each of every application.
const TOKENS: &str = "INSERT INTO vestibule_token (family, generation, grant_type, application_id, application_epoch, user_id,
        user_epoch, scope, access_digest, access_expires_at, refresh_digest, refresh_expires_at, created_at, expires_at, access_hint)
    WITH RECURSIVE n(i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i < $2)
    SELECT n.i, 0, 'password', a.id, 0, u.id, 0, 'read write', CAST(CAST(n.i AS TEXT) AS BYTEA), 2795000000,
           CAST(CAST(n.i AS TEXT) AS BYTEA), 2795000000, 1795000000, 2795000000, 'q8Zr2kVd'
      FROM n JOIN vestibule_application a ON a.client_id = 'listed' || (1 + n.i % 10)
      JOIN vestibule_user u ON u.username = 'person' || (1 + n.i % $3)";

/// The pages, by the number of rows that there are.
fn pages(size: i64) -> Vec<(&'static str, String)> {
    let middle = size / 2;
    vec![
        ("tokens, first page", "/admin/api/tokens".to_owned()),
        ("tokens, a deep page", format!("/admin/api/tokens?before={middle}")),
        ("tokens of a person", "/admin/api/tokens?user=person7".to_owned()),
        ("tokens of an application", "/admin/api/tokens?client_id=listed3".to_owned()),
        ("users, first page", "/admin/api/users".to_owned()),
        ("users, a deep page", format!("/admin/api/users?before={middle}")),
        ("users, beginning of a name", "/admin/api/users?q=person99".to_owned()),
    ]
}

/// Prints the table of one database.
pub async fn measure(place: &Place, provider: &Provider, effort: Effort) {
    let db = place.open().await;
    let server = place.serve(provider);
    execute(&db, ADMIN, &[place.ids.0]).await;
    execute(&db, APPLICATIONS, &[]).await;
    let token = server.token(&place.form("client_credentials", &[("scope", "admin:read")])).await.access_token;
    let bearer = format!("authorization: Bearer {token}\r\n");
    let (mut from, mut measured) = (1, Vec::new());
    for size in SIZES {
        // In parts, so that the log of what is not yet committed stays small.
        for first in (from..=size).step_by(100_000) {
            let last = size.min(first + 99_999);
            execute(&db, PEOPLE, &[first, last]).await;
        }
        for first in (from..=size).step_by(100_000) {
            execute(&db, TOKENS, &[first, size.min(first + 99_999), size / 50]).await;
        }
        execute(&db, "ANALYZE", &[]).await;
        from = size + 1;
        measured.push(times(&server, &bearer, size, effort).await);
    }
    println!("| page | 1,000 rows, p50 ms | 1,000,000 rows, p50 ms | ratio |");
    println!("| --- | --- | --- | --- |");
    let [few, many] = [&measured[0], &measured[1]];
    for ((name, few), (_, many)) in few.iter().zip(many) {
        let mut row = String::new();
        let _ = write!(row, "| {name} | {few:.2} | {many:.2} | {:.2} |", many / few);
        println!("{row}");
    }
}

/// How long each page takes, for one who asks again and again; a page that this program does not have is left out.
async fn times(server: &Server, bearer: &str, size: i64, effort: Effort) -> Vec<(&'static str, f64)> {
    let mut all = Vec::new();
    for (name, path) in pages(size) {
        if !server.has(&path, bearer).await {
            continue;
        }
        let load = Fixed::new(&server.address, load::get(&path, bearer));
        load::drive(&load, 1, effort.turn / 3).await;
        let mut turns = Vec::new();
        for _ in 0..effort.turns {
            turns.push(load::drive(&load, 1, effort.turn).await.p50_ms);
        }
        all.push((name, median(&mut turns)));
    }
    all
}

async fn execute(db: &Db, sql: &'static str, numbers: &[i64]) {
    let args = numbers.iter().map(|number| Value::from(*number)).collect();
    db.execute(sql, args).await.unwrap();
}
