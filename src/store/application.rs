//! Applications: the clients that were registered.

use vestibule_protocol::client_metadata::ClientMetadata;
use vestibule_protocol::{ClientAuthenticationMethod, ClientType, GrantType, Scope, TokenDigest};

use super::change::Change;
use super::{Db, Error, Result, Row, Tx, args};

/// An application. `Debug` does not show its secret's hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Application {
    /// Our own number.
    pub id: i64,
    /// What the client calls itself.
    pub client_id: String,
    /// For people.
    pub name: String,
    /// Whether it can keep a secret.
    pub client_type: ClientType,
    /// `sha256$` and 64 hexadecimal digits; `None` for public clients.
    pub secret_hash: Option<String>,
    /// The one before, while its overlap lasts.
    pub previous_secret: Option<PreviousSecret>,
    /// The only method it may use; `None`: any that fits its type.
    pub token_endpoint_auth_method: Option<ClientAuthenticationMethod>,
    /// What it may ask for at the token endpoint.
    pub grant_types: Vec<GrantType>,
    /// Where a browser may be sent back to.
    pub redirect_uris: Vec<String>,
    /// Where a browser may be sent after signing out.
    pub post_logout_redirect_uris: Vec<String>,
    /// Origins whose scripts may call the token endpoint.
    pub allowed_origins: Vec<String>,
    /// What it may ask for; empty: every scope.
    pub scopes: Scope,
    /// Its public keys, as a JWK set.
    pub jwks: Option<String>,
    /// Where those keys are.
    pub jwks_uri: Option<String>,
    /// How its ID tokens are signed.
    pub signing_algorithm: String,
    /// Whose application it is.
    pub owner_id: Option<i64>,
    /// Whether people are not asked for consent.
    pub skip_authorization: bool,
    /// Whether it may introspect every application's tokens.
    pub is_resource_server: bool,
    /// What RFC 7591 calls client metadata and no query asks for.
    pub metadata: ClientMetadata,
    /// The secret, sealed: only where something must be computed with it.
    pub sealed_secret: Option<Vec<u8>>,
    /// Of the token that manages its registration (RFC 7592).
    pub registration_digest: Option<TokenDigest>,
    /// Whether it may do anything at all.
    pub is_active: bool,
    /// Tokens of an older epoch are dead.
    pub token_epoch: i64,
    /// In seconds since 1970.
    pub created_at: i64,
    /// In seconds since 1970.
    pub updated_at: i64,
}

/// A secret that was replaced and still counts for a while.
#[derive(Clone, PartialEq, Eq)]
pub struct PreviousSecret {
    /// As [`Application::secret_hash`].
    pub hash: String,
    /// In seconds since 1970.
    pub expires_at: i64,
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Application").field("id", &self.id).field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl Application {
    /// A new application with the grants of one that names none; [`create`] gives it its number and times.
    pub fn new(client_id: String, name: String, client_type: ClientType) -> Self {
        Self {
            id: 0,
            client_id,
            name,
            client_type,
            secret_hash: None,
            previous_secret: None,
            token_endpoint_auth_method: None,
            grant_types: GrantType::DEFAULT.to_vec(),
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            allowed_origins: Vec::new(),
            scopes: Scope::default(),
            jwks: None,
            jwks_uri: None,
            signing_algorithm: "RS256".to_owned(),
            owner_id: None,
            skip_authorization: false,
            is_resource_server: false,
            metadata: ClientMetadata::default(),
            sealed_secret: None,
            registration_digest: None,
            is_active: true,
            token_epoch: 0,
            created_at: 0,
            updated_at: 0,
        }
    }

    /// Whether it may use this grant at the token endpoint.
    pub fn may_use(&self, wanted: GrantType) -> bool {
        // What a code grant brings along for Django's clients is not for whoever registered themselves.
        if wanted == GrantType::ConvertToken && self.is_self_registered() {
            return false;
        }
        self.grant_types.iter().any(|own| own.covers(wanted))
    }

    /// Whether it registered itself, or describes itself by a document: nobody has checked what it says.
    pub fn is_self_registered(&self) -> bool {
        self.registration_digest.is_some() || self.metadata.document_fresh_until.is_some()
    }

    fn from_row(row: &Row<'_>) -> Result<Self> {
        let word = |at: usize| -> Result<String> { row.text(at) };
        let list =
            |at: usize| -> Result<Vec<String>> { Ok(row.text(at)?.split_whitespace().map(str::to_owned).collect()) };
        let previous_secret = match (row.optional_text(5)?, row.optional_int(6)?) {
            (Some(hash), Some(expires_at)) => Some(PreviousSecret { hash, expires_at }),
            _ => None,
        };
        Ok(Self {
            id: row.int(0)?,
            client_id: word(1)?,
            name: word(2)?,
            client_type: word(3)?.parse().map_err(|error: String| Error::broken(error))?,
            secret_hash: row.optional_text(4)?,
            previous_secret,
            token_endpoint_auth_method: row
                .optional_text(7)?
                .map(|text| text.parse())
                .transpose()
                .map_err(|error: String| Error::broken(error))?,
            grant_types: list(8)?
                .iter()
                .map(|text| text.parse())
                .collect::<std::result::Result<_, String>>()
                .map_err(Error::broken)?,
            redirect_uris: list(9)?,
            post_logout_redirect_uris: list(10)?,
            allowed_origins: list(11)?,
            scopes: Scope::from_stored(&word(12)?),
            jwks: row.optional_text(13)?,
            jwks_uri: row.optional_text(14)?,
            signing_algorithm: word(15)?,
            owner_id: row.optional_int(16)?,
            skip_authorization: row.bool(17)?,
            is_resource_server: row.bool(18)?,
            is_active: row.bool(19)?,
            token_epoch: row.int(20)?,
            created_at: row.int(21)?,
            updated_at: row.int(22)?,
            metadata: serde_json::from_str(&row.text(23)?).map_err(Error::broken)?,
            sealed_secret: row.optional_bytes(24)?,
            registration_digest: row.optional_bytes(25)?.as_deref().and_then(TokenDigest::from_bytes),
        })
    }
}

macro_rules! columns {
    () => {
        "id, client_id, name, client_type, secret_hash, previous_secret_hash, previous_secret_expires_at, \
         token_endpoint_auth_method, grant_types, redirect_uris, post_logout_redirect_uris, allowed_origins, scopes, jwks, \
         jwks_uri, signing_algorithm, owner_id, skip_authorization, is_resource_server, is_active, token_epoch, created_at, \
         updated_at, metadata, sealed_secret, registration_digest"
    };
}

/// An application by its client id, written exactly so.
pub async fn find(db: &Db, client_id: &str) -> Result<Option<Application>> {
    let sql = concat!("SELECT ", columns!(), " FROM vestibule_application WHERE client_id = $1");
    db.optional(sql, args![client_id], Application::from_row).await
}

/// All applications, in the order in which they were made.
pub async fn list(db: &Db) -> Result<Vec<Application>> {
    db.all(concat!("SELECT ", columns!(), " FROM vestibule_application ORDER BY id"), args![], Application::from_row)
        .await
}

/// An application by its number.
pub async fn find_by_id(db: &Db, id: i64) -> Result<Option<Application>> {
    let sql = concat!("SELECT ", columns!(), " FROM vestibule_application WHERE id = $1");
    db.optional(sql, args![id], Application::from_row).await
}

/// The applications of this person, in the order in which they were made.
pub async fn of_owner(db: &Db, owner_id: i64) -> Result<Vec<Application>> {
    let sql = concat!("SELECT ", columns!(), " FROM vestibule_application WHERE owner_id = $1 ORDER BY id");
    db.all(sql, args![owner_id], Application::from_row).await
}

/// Whether some application names this origin as one of its own.
pub async fn has_origin(db: &Db, origin: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM vestibule_application
                WHERE is_active AND allowed_origins <> '' AND ' ' || allowed_origins || ' ' LIKE '% ' || $1 || ' %' ESCAPE '!' LIMIT 1";
    db.optional(sql, args![super::like_literal(origin)], |_| Ok(())).await.map(|found| found.is_some())
}

/// Registers an application, unless its client id is taken (`None`). Its `id`, epoch and times are given by the database.
pub async fn create(db: &Db, new: &Application, now: i64) -> Result<Option<Application>> {
    let new = new.clone();
    db.write(move |tx| Box::pin(async move { insert(tx, &new, now).await })).await
}

/// As [`create`], as part of a decision.
pub async fn insert(tx: &mut Tx<'_>, new: &Application, now: i64) -> Result<Option<Application>> {
    let sql = concat!(
        "INSERT INTO vestibule_application (client_id, name, client_type, secret_hash, token_endpoint_auth_method,
                        grant_types, redirect_uris, post_logout_redirect_uris, allowed_origins, scopes, jwks, jwks_uri,
                        signing_algorithm, owner_id, skip_authorization, is_resource_server, created_at, updated_at,
                        metadata, sealed_secret, registration_digest)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17, $18, $19, $20)
                 ON CONFLICT (client_id) DO NOTHING RETURNING ",
        columns!()
    );
    let args = args![
        new.client_id.clone(),
        new.name.clone(),
        new.client_type.as_str(),
        new.secret_hash.clone(),
        new.token_endpoint_auth_method.map(|method| method.as_str().to_owned()),
        joined(&new.grant_types),
        new.redirect_uris.join(" "),
        new.post_logout_redirect_uris.join(" "),
        new.allowed_origins.join(" "),
        new.scopes.to_string(),
        new.jwks.clone(),
        new.jwks_uri.clone(),
        new.signing_algorithm.clone(),
        new.owner_id,
        new.skip_authorization,
        new.is_resource_server,
        now,
        metadata_text(new)?,
        new.sealed_secret.clone(),
        new.registration_digest
    ];
    tx.optional(sql, args, Application::from_row).await
}

/// Writes everything that an operator can change. Disabling, and taking back a grant or a scope, is heard at once by every
/// node; disabling ends its tokens for good. `None`: no such application.
pub async fn update(db: &Db, changed: &Application, now: i64) -> Result<Option<Application>> {
    let changed = changed.clone();
    db.write(move |tx| Box::pin(async move { update_in(tx, &changed, now).await })).await
}

/// As [`update`], as part of a decision.
pub async fn update_in(tx: &mut Tx<'_>, changed: &Application, now: i64) -> Result<Option<Application>> {
    let sql = concat!(
                "UPDATE vestibule_application
                    SET name = $2, client_type = $3, secret_hash = $4, previous_secret_hash = $5, previous_secret_expires_at = $6,
                        token_endpoint_auth_method = $7, grant_types = $8, redirect_uris = $9, post_logout_redirect_uris = $10,
                        allowed_origins = $11, scopes = $12, jwks = $13, jwks_uri = $14, signing_algorithm = $15, owner_id = $16,
                        skip_authorization = $17, is_resource_server = $18, is_active = $19,
                        token_epoch = token_epoch + CASE WHEN $19 THEN 0 ELSE 1 END, updated_at = $20,
                        metadata = $21, sealed_secret = $22, registration_digest = $23
                  WHERE id = $1 RETURNING ",
                columns!()
            );
    let args = args![
        changed.id,
        changed.name.clone(),
        changed.client_type.as_str(),
        changed.secret_hash.clone(),
        changed.previous_secret.as_ref().map(|previous| previous.hash.clone()),
        changed.previous_secret.as_ref().map(|previous| previous.expires_at),
        changed.token_endpoint_auth_method.map(|method| method.as_str().to_owned()),
        joined(&changed.grant_types),
        changed.redirect_uris.join(" "),
        changed.post_logout_redirect_uris.join(" "),
        changed.allowed_origins.join(" "),
        changed.scopes.to_string(),
        changed.jwks.clone(),
        changed.jwks_uri.clone(),
        changed.signing_algorithm.clone(),
        changed.owner_id,
        changed.skip_authorization,
        changed.is_resource_server,
        changed.is_active,
        now,
        metadata_text(changed)?,
        changed.sealed_secret.clone(),
        changed.registration_digest
    ];
    tx.changed(Change::Application(changed.id));
    tx.optional(sql, args, Application::from_row).await
}

/// Deletes an application with all its tokens. `false`: no such application.
pub async fn delete(db: &Db, id: i64) -> Result<bool> {
    db.write(move |tx| Box::pin(async move { delete_in(tx, id).await })).await
}

/// As [`delete`], as part of a decision.
pub async fn delete_in(tx: &mut Tx<'_>, id: i64) -> Result<bool> {
    tx.changed(Change::Application(id));
    tx.execute("DELETE FROM vestibule_application WHERE id = $1", args![id]).await.map(|count| count > 0)
}

/// Ends every token and code that this application was given. `false`: no such application.
pub async fn end_all(tx: &mut Tx<'_>, id: i64) -> Result<bool> {
    tx.changed(Change::Application(id));
    let sql = "UPDATE vestibule_application SET token_epoch = token_epoch + 1 WHERE id = $1";
    tx.execute(sql, args![id]).await.map(|count| count > 0)
}

/// As [`find`], as part of a decision.
pub async fn find_in(tx: &mut Tx<'_>, client_id: &str) -> Result<Option<Application>> {
    let sql = concat!("SELECT ", columns!(), " FROM vestibule_application WHERE client_id = $1");
    tx.optional(sql, args![client_id], Application::from_row).await
}

/// Which applications a page lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// All.
    All,
    /// Those that work.
    Active,
    /// Those that are disabled.
    Disabled,
}

/// Applications with smaller numbers than `before`, the youngest first, at most `limit`. `text` is part of the name or the
/// client id, in any letter case; empty: any.
pub async fn page(db: &Db, listed: Listed, text: &str, before: i64, limit: i64) -> Result<Vec<Application>> {
    macro_rules! page {
        ($more:literal) => {
            concat!(
                "SELECT ",
                columns!(),
                " FROM vestibule_application WHERE id < $1 AND (lower(name) LIKE $2 ESCAPE '!' OR lower(client_id) LIKE $2 ESCAPE '!')",
                $more,
                " ORDER BY id DESC LIMIT $3"
            )
        };
    }
    let sql = match listed {
        Listed::All => page!(""),
        Listed::Active => page!(" AND is_active"),
        Listed::Disabled => page!(" AND NOT is_active"),
    };
    let pattern = format!("%{}%", super::like_literal(&text.to_lowercase()));
    db.all(sql, args![before, pattern, limit], Application::from_row).await
}

fn metadata_text(application: &Application) -> Result<String> {
    serde_json::to_string(&application.metadata).map_err(Error::broken)
}

fn joined(grants: &[GrantType]) -> String {
    grants.iter().map(|grant| grant.as_str()).collect::<Vec<_>>().join(" ")
}
