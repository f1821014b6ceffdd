//! `vestibule user …`

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use vestibule::Vestibule;
use vestibule::admin::users::described;
use vestibule::admin::{Actor, users};
use vestibule::store::user::{self, User};

use super::{line_of_stdin, refused};
use crate::outcome::{Failure, Outcome, Output, print};

#[derive(Subcommand)]
pub enum UserCommand {
    /// Make a person
    Create(Create),
    /// All people
    List(Output),
    /// One person
    Show(Named),
    /// Set a person's password
    SetPassword {
        #[command(flatten)]
        named: Named,
        /// Read the password from the first line of stdin
        #[arg(long)]
        password_stdin: bool,
    },
    /// Take every second factor away from a person who has lost theirs
    RemoveFactors(Named),
    /// Keep a person out; every token of theirs ends at once
    Deactivate(Named),
    /// Let a person in again
    Activate(Named),
    /// Delete a person with all tokens and connected accounts
    Delete(Named),
}

#[derive(Args)]
pub struct Create {
    /// Unique
    #[arg(long)]
    username: String,
    #[arg(long)]
    email: Option<String>,
    #[arg(long)]
    first_name: Option<String>,
    #[arg(long)]
    last_name: Option<String>,
    /// Every permission, and staff
    #[arg(long)]
    superuser: bool,
    /// Read the password from the first line of stdin; without it the person has none
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
pub struct Named {
    username: String,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(vestibule: &Vestibule, command: UserCommand) -> Outcome {
    let (cx, actor) = (vestibule.context(), Actor::operator());
    match command {
        UserCommand::Create(create) => self::create(vestibule, create).await,
        UserCommand::List(output) => list(vestibule, output).await,
        UserCommand::Show(named) => {
            let user = find(vestibule, &named.username).await?;
            print(named.output, &described(&user), || as_text(&user));
            Ok(())
        }
        UserCommand::SetPassword { named, password_stdin } => {
            let user = find(vestibule, &named.username).await?;
            if !password_stdin {
                return Err(Failure::Refused(
                    "give the password on stdin: `… user set-password NAME --password-stdin < FILE`".to_owned(),
                ));
            }
            let user = users::set_password(cx, &actor, user.id, Some(&line_of_stdin()?)).await.map_err(refused)?;
            done(&named, &user, "has a new password")
        }
        UserCommand::RemoveFactors(named) => {
            let user = find(vestibule, &named.username).await?;
            let user = users::remove_factors(cx, &actor, user.id).await.map_err(refused)?;
            done(&named, &user, "has no second factor any more")
        }
        UserCommand::Deactivate(named) => {
            let user = find(vestibule, &named.username).await?;
            let user = users::set_active(cx, &actor, user.id, false).await.map_err(refused)?;
            done(&named, &user, "is deactivated; every token of theirs has ended")
        }
        UserCommand::Activate(named) => {
            let user = find(vestibule, &named.username).await?;
            let user = users::set_active(cx, &actor, user.id, true).await.map_err(refused)?;
            done(&named, &user, "is active")
        }
        UserCommand::Delete(named) => {
            let user = find(vestibule, &named.username).await?;
            let user = users::delete(cx, &actor, user.id).await.map_err(refused)?;
            done(&named, &user, "is deleted")
        }
    }
}

async fn create(vestibule: &Vestibule, create: Create) -> Outcome {
    let mut members = Map::new();
    members.insert("username".to_owned(), create.username.into());
    members.insert("is_superuser".to_owned(), create.superuser.into());
    for (name, given) in [("email", create.email), ("first_name", create.first_name), ("last_name", create.last_name)] {
        members.extend(given.map(|text| (name.to_owned(), Value::from(text))));
    }
    if create.password_stdin {
        members.insert("password".to_owned(), line_of_stdin()?.into());
    }
    let user = users::create(vestibule.context(), &Actor::operator(), &members).await.map_err(refused)?;
    print(create.output, &described(&user), || format!("made {} (id {})", user.username, user.id));
    Ok(())
}

async fn list(vestibule: &Vestibule, output: Output) -> Outcome {
    let mut all = Vec::new();
    let mut after = i64::MIN;
    loop {
        let page = user::list(&vestibule.context().db, after, 1_000).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        all.extend(page);
    }
    print(output, &Value::Array(all.iter().map(described).collect()), || {
        let mut text = String::new();
        for user in &all {
            let state = if user.is_active { "" } else { "  (deactivated)" };
            let _ = writeln!(text, "{:>8}  {:<24} {}{state}", user.id, user.username, user.email);
        }
        text
    });
    Ok(())
}

async fn find(vestibule: &Vestibule, username: &str) -> Result<User, Failure> {
    let user = user::find_by_username(&vestibule.context().db, username).await?;
    user.ok_or_else(|| {
        Failure::Refused(format!("no person has the username `{username}`; `vestibule user list` shows all"))
    })
}

/// Shows the person as they are now.
fn done(named: &Named, user: &User, sentence: &str) -> Outcome {
    print(named.output, &described(user), || format!("{} {sentence}", user.username));
    Ok(())
}

fn as_text(user: &User) -> String {
    let Value::Object(members) = described(user) else { return String::new() };
    members.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:<16}{}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        text
    })
}
