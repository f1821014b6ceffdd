//! An API with Vestibule inside: `cargo run --example axum`, then POST to `/auth/token` and GET `/notes` with the token.

use axum::{Router, routing::get};
use vestibule::{ApiError, CurrentUser, Settings, Vestibule};

async fn notes(user: CurrentUser) -> Result<String, ApiError> {
    user.require_scope("read")?;
    Ok(format!("The notes of {}.\n", user.username))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let settings = Settings { database_url: "sqlite://notes.db".into(), ..Settings::default() };
    let vestibule = Vestibule::open(settings, &[*b"keep this in a file, not in code"]).await?;
    let api = Router::new().route("/notes", get(notes)).layer(vestibule.layer());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, api.merge(vestibule.router())).await?)
}
