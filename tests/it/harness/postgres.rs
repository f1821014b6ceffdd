//! A database of its own for each test, on the PostgreSQL that the test command started.

use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};

/// Makes an empty database and gives its address.
pub async fn create_database() -> String {
    let server = std::env::var("TEST_POSTGRES_URL")
        .expect("TEST_POSTGRES_URL names no PostgreSQL: run the tests by `./test`, or by `tests/with-postgres cargo nextest run`");
    let mut connection = PgConnection::connect(&server).await.unwrap();
    let id: u64 = std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), std::process::id());
    let name = format!("vestibule_test_{id:x}");
    connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    with_database(&server, &name)
}

fn with_database(server: &str, name: &str) -> String {
    let mut url = url::Url::parse(server).unwrap();
    url.set_path(name);
    url.to_string()
}

/// Every value of every table, as text.
pub async fn dump(url: &str) -> Vec<u8> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let tables = connection.fetch_all("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").await.unwrap();
    let mut all = Vec::new();
    for table in tables {
        let table: String = table.get(0);
        let rows = connection.fetch_all(sqlx::AssertSqlSafe(format!("SELECT t::text FROM {table} t"))).await.unwrap();
        for row in rows {
            let text: String = row.get(0);
            all.extend(text.into_bytes());
            all.push(b'\n');
        }
    }
    assert!(!all.is_empty(), "a dump without a row shows nothing");
    all
}
