//! `vestibule user …`

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use vestibule::Vestibule;
use vestibule::context::random;
use vestibule::store::user::{self, NewUser, User};

use super::line_of_stdin;
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
    let db = &vestibule.context().db;
    match command {
        UserCommand::Create(create) => self::create(vestibule, create).await,
        UserCommand::List(output) => list(vestibule, output).await,
        UserCommand::Show(named) => {
            let user = find(vestibule, &named.username).await?;
            print(named.output, &as_json(&user), || as_text(&user));
            Ok(())
        }
        UserCommand::SetPassword { named, password_stdin } => {
            let user = find(vestibule, &named.username).await?;
            if !password_stdin {
                return Err(Failure::Refused(
                    "give the password on stdin: `… user set-password NAME --password-stdin < FILE`".to_owned(),
                ));
            }
            let encoded = hash(vestibule, &line_of_stdin()?).await?;
            user::set_password(db, user.id, Some(encoded)).await?;
            done(vestibule, &named, "has a new password").await
        }
        UserCommand::Deactivate(named) => {
            let user = find(vestibule, &named.username).await?;
            user::set_active(db, user.id, false).await?;
            done(vestibule, &named, "is deactivated; every token of theirs has ended").await
        }
        UserCommand::Activate(named) => {
            let user = find(vestibule, &named.username).await?;
            user::set_active(db, user.id, true).await?;
            done(vestibule, &named, "is active").await
        }
        UserCommand::Delete(named) => {
            let user = find(vestibule, &named.username).await?;
            user::delete(db, user.id).await?;
            print(named.output, &as_json(&user), || format!("{} is deleted", user.username));
            Ok(())
        }
    }
}

async fn create(vestibule: &Vestibule, create: Create) -> Outcome {
    let cx = vestibule.context();
    if create.username.is_empty()
        || create.username.chars().count() > 150
        || create.username.chars().any(char::is_control)
    {
        return Err(Failure::Refused(
            "a username has 1 to 150 characters, none of them a control character".to_owned(),
        ));
    }
    let password = match create.password_stdin {
        true => Some(hash(vestibule, &line_of_stdin()?).await?),
        false => None,
    };
    let new = NewUser {
        username: create.username.clone(),
        email: create.email.unwrap_or_default(),
        // Whoever types this vouches for nothing: only a provider or a confirmation by mail does.
        email_verified: false,
        first_name: create.first_name.unwrap_or_default(),
        last_name: create.last_name.unwrap_or_default(),
        password,
        is_superuser: create.superuser,
        claims: String::new(),
    };
    let user = user::create(&cx.db, new, cx.clock.now()).await?;
    let user = user.ok_or_else(|| Failure::Refused(format!("the username `{}` is taken", create.username)))?;
    print(create.output, &as_json(&user), || format!("made {} (id {})", user.username, user.id));
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
    print(output, &Value::Array(all.iter().map(as_json).collect()), || {
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
async fn done(vestibule: &Vestibule, named: &Named, sentence: &str) -> Outcome {
    let user = find(vestibule, &named.username).await?;
    print(named.output, &as_json(&user), || format!("{} {sentence}", user.username));
    Ok(())
}

async fn hash(vestibule: &Vestibule, password: &str) -> Result<String, Failure> {
    if password.is_empty() {
        return Err(Failure::Refused("the password on stdin is empty".to_owned()));
    }
    vestibule.context().hasher.hash(password, random()).await.map_err(|error| Failure::Refused(error.to_string()))
}

fn as_json(user: &User) -> Value {
    json!({
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "email_verified": user.email_verified,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "is_active": user.is_active,
        "is_staff": user.is_staff,
        "is_superuser": user.is_superuser,
        "has_password": user.has_password(),
        "date_joined": user.date_joined,
        "last_login": user.last_login,
    })
}

fn as_text(user: &User) -> String {
    let Value::Object(members) = as_json(user) else { return String::new() };
    members.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:<16}{}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        text
    })
}
