//! Who acts, and what they may do.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;
use vestibule_protocol::scope::{ADMIN_READ_SCOPE, ADMIN_WRITE_SCOPE};
use vestibule_protocol::{ErrorCode, OAuthError, Scope};

use crate::authenticate::Identity;
use crate::context::Context;
use crate::store::audit::Entry;
use crate::store::user::{self, User};

/// A part of what is administered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// The counts of what goes on.
    Dashboard,
    /// Clients.
    Applications,
    /// People, their sessions and permissions.
    Users,
    /// Tokens, codes and consents.
    Tokens,
    /// Accounts at providers.
    Associations,
    /// Keys that sign.
    Keys,
    /// The catalog and its trials.
    Providers,
    /// Who did what.
    Audit,
    /// The configuration in force.
    Settings,
}

impl Area {
    /// All, in the order in which the console lists them.
    pub const ALL: [Self; 9] = [
        Self::Dashboard,
        Self::Applications,
        Self::Users,
        Self::Tokens,
        Self::Associations,
        Self::Keys,
        Self::Providers,
        Self::Audit,
        Self::Settings,
    ];

    /// Its word in permissions and addresses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dashboard => "dashboard",
            Self::Applications => "applications",
            Self::Users => "users",
            Self::Tokens => "tokens",
            Self::Associations => "associations",
            Self::Keys => "keys",
            Self::Providers => "providers",
            Self::Audit => "audit",
            Self::Settings => "settings",
        }
    }

    /// Whether there is something to change in it.
    pub const fn can_be_changed(self) -> bool {
        !matches!(self, Self::Dashboard | Self::Audit | Self::Settings)
    }
}

/// `users.view` or `users.change`; whoever may change may view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// Of what.
    pub area: Area,
    /// Whether it is to change, not only to view.
    pub change: bool,
}

impl Permission {
    /// Every permission that there is.
    pub fn all() -> impl Iterator<Item = Self> {
        Area::ALL.into_iter().flat_map(|area| {
            let change = area.can_be_changed().then_some(Self { area, change: true });
            [Some(Self { area, change: false }), change].into_iter().flatten()
        })
    }

    /// Permissions as they are stored: words between blanks. A word that is none (any more) is nobody's.
    pub fn of_stored(text: &str) -> BTreeSet<Self> {
        text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.area.as_str(), if self.change { "change" } else { "view" })
    }
}

impl FromStr for Permission {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::all()
            .find(|permission| permission.to_string() == word)
            .ok_or_else(|| format!("`{word}` is no permission"))
    }
}

/// The way by which somebody acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The pages under `/admin/`.
    Console,
    /// `/admin/api/`.
    Api,
    /// The program on the server.
    Command,
}

impl Via {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Api => "api",
            Self::Command => "command",
        }
    }
}

/// Who acts.
#[derive(Clone, Debug)]
pub struct Actor {
    id: Option<i64>,
    name: String,
    via: Via,
    address: String,
    is_superuser: bool,
    permissions: BTreeSet<Permission>,
}

impl Actor {
    /// Whoever runs the program where the database is: they could do everything anyhow.
    pub fn operator() -> Self {
        Self {
            id: None,
            name: "operator".to_owned(),
            via: Via::Command,
            address: String::new(),
            is_superuser: true,
            permissions: Permission::all().collect(),
        }
    }

    /// A person who is signed in, at this address. `None` for whoever is not staff.
    ///
    /// # Errors
    /// What the database says.
    pub async fn staff(cx: &Context, user: &User, address: &str) -> Result<Option<Self>, OAuthError> {
        if !user.is_staff && !user.is_superuser {
            return Ok(None);
        }
        let permissions = match user.is_superuser {
            true => Permission::all().collect(),
            false => Permission::of_stored(&user::permissions(&cx.db, user.id).await?),
        };
        Ok(Some(Self {
            id: Some(user.id),
            name: user.username.clone(),
            via: Via::Console,
            address: address.to_owned(),
            is_superuser: user.is_superuser,
            permissions,
        }))
    }

    /// Whoever calls with a token: of a person what they may do, of an application everything, in each case no more than
    /// the token's scope says.
    ///
    /// # Errors
    /// 403 for a token without an admin scope, and for a person who is not staff.
    pub async fn caller(cx: &Context, identity: &Identity, address: &str) -> Result<Self, OAuthError> {
        let scope: &Scope = identity.scope();
        let (may_read, may_write) = (scope.contains(ADMIN_READ_SCOPE), scope.contains(ADMIN_WRITE_SCOPE));
        if !may_read && !may_write {
            let sentence = "The token carries neither the scope admin:read nor admin:write.";
            return Err(OAuthError::new(ErrorCode::InsufficientScope, sentence));
        }
        let mut actor = match identity.user() {
            Some(user) => Self::staff(cx, user, address).await?.ok_or_else(|| {
                OAuthError::new(ErrorCode::AccessDenied, "This person is not staff.").with_status(403)
            })?,
            None => Self {
                name: format!("client {}", identity.client_id().unwrap_or_default()),
                address: address.to_owned(),
                ..Self::operator()
            },
        };
        actor.via = Via::Api;
        if !may_write {
            // Whoever may change may view: of that, viewing is left.
            actor.permissions =
                actor.permissions.into_iter().map(|permission| Permission { change: false, ..permission }).collect();
            actor.is_superuser = false;
        }
        Ok(actor)
    }

    /// What the actor is called in the audit log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The person's number; `None`: an application or the command line.
    pub fn user_id(&self) -> Option<i64> {
        self.id
    }

    /// Whether this is the command line, whose user can make a superuser at any time.
    pub fn is_operator(&self) -> bool {
        self.via == Via::Command
    }

    /// Whether everything may be done, permissions of others included.
    pub fn is_superuser(&self) -> bool {
        self.is_superuser
    }

    /// Whether this may be viewed.
    pub fn sees(&self, area: Area) -> bool {
        self.permissions.iter().any(|permission| permission.area == area)
    }

    /// Whether this may be changed.
    pub fn changes(&self, area: Area) -> bool {
        self.permissions.contains(&Permission { area, change: true })
    }

    /// Goes on only if this may be viewed.
    ///
    /// # Errors
    /// 403 that names the permission.
    pub fn must_see(&self, area: Area) -> Result<(), OAuthError> {
        if self.sees(area) { Ok(()) } else { Err(lacks(Permission { area, change: false })) }
    }

    /// Goes on only if this may be changed.
    ///
    /// # Errors
    /// 403 that names the permission.
    pub fn must_change(&self, area: Area) -> Result<(), OAuthError> {
        if self.changes(area) { Ok(()) } else { Err(lacks(Permission { area, change: true })) }
    }

    /// Goes on only as a superuser.
    ///
    /// # Errors
    /// 403 with this sentence.
    pub fn must_be_superuser(&self, sentence: &'static str) -> Result<(), OAuthError> {
        if self.is_superuser {
            Ok(())
        } else {
            Err(OAuthError::new(ErrorCode::AccessDenied, sentence).with_status(403))
        }
    }

    /// An entry for the audit log. `detail` holds no secret.
    pub fn entry(&self, at: i64, act: &'static str, target: (&'static str, Option<i64>, &str), detail: Value) -> Entry {
        let (target_kind, target_id, target) = target;
        Entry {
            at,
            actor_id: self.id,
            actor: self.name.clone(),
            via: self.via.as_str(),
            address: self.address.clone(),
            act,
            target_kind,
            target_id,
            target: target.to_owned(),
            detail,
        }
    }
}

fn lacks(permission: Permission) -> OAuthError {
    let sentence = format!("This needs the permission `{permission}`; a superuser can give it.");
    OAuthError::new(ErrorCode::AccessDenied, sentence).with_status(403)
}

#[cfg(test)]
mod tests {
    use super::Permission;

    #[test]
    fn every_permission_is_read_as_it_is_written() {
        let all: Vec<_> = Permission::all().collect();
        assert_eq!(all.len(), 15);
        for permission in all {
            assert_eq!(permission.to_string().parse(), Ok(permission));
        }
        assert_eq!(Permission::of_stored("users.view nonsense audit.change users.change").len(), 2);
    }
}
