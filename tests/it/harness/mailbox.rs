//! Where a server's mails lie: a folder, a file each.

use std::path::Path;

use tempfile::TempDir;

use super::{Setup, Test};

pub struct Mailbox(TempDir);

impl Mailbox {
    /// The mails of a server that is about to be started.
    pub fn of(setup: &mut Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        setup.settings.mail.folder = Some(folder.path().display().to_string());
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The mails to an address, as text.
    pub fn to(&self, address: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut files: Vec<_> = std::fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap()).collect();
        files.sort_by_key(|file| file.metadata().unwrap().modified().unwrap());
        for file in files {
            let text = std::fs::read_to_string(file.path()).unwrap();
            let text = text.replace("=\r\n", "").replace("=3D", "=");
            if text.contains(&format!("\r\nTo: {address}\r\n")) {
                found.push(text);
            }
        }
        found
    }

    pub fn only_to(&self, address: &str) -> String {
        let mut all = self.to(address);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// The last mail to an address, once everything has left that is to leave.
    pub async fn last_to(&self, t: &Test, address: &str) -> String {
        sent(t).await;
        self.to(address).pop().unwrap_or_else(|| panic!("no mail to {address}"))
    }

    /// How many mails have gone to an address, once everything has left that is to leave.
    pub async fn count_to(&self, t: &Test, address: &str) -> usize {
        sent(t).await;
        self.to(address).len()
    }
}

/// Waits until no mail is left to send: they leave after the answer.
pub async fn sent(t: &Test) {
    for _ in 0..1000 {
        if waiting(t).await == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("mails are still there");
}

/// How many mails have not left yet.
pub async fn waiting(t: &Test) -> i64 {
    let db = &t.vestibule.context().db;
    db.optional("SELECT COUNT(*) FROM vestibule_mail", vec![], |row| row.int(0)).await.unwrap().unwrap()
}

/// The link in a mail.
pub fn link(mail: &str) -> String {
    let start = mail.find("http://").unwrap();
    mail[start..].split_whitespace().next().unwrap().to_owned()
}

/// The code in a mail.
pub fn code(mail: &str) -> String {
    let digits = |word: &&str| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_digit());
    mail.split_whitespace().find(digits).unwrap().to_owned()
}

/// Waits until a mail was tried in vain.
pub async fn was_put_off(t: &Test) {
    let db = &t.vestibule.context().db;
    for _ in 0..1000 {
        let sql = "SELECT MIN(due_at) FROM vestibule_mail WHERE tries > 0";
        let due = db.optional(sql, vec![], |row| row.optional_int(0)).await.unwrap().flatten();
        // Whoever takes one has longer for it than the first wait is.
        if due.is_some_and(|due| (1..=60).contains(&(due - t.clock.now()))) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("no mail was tried");
}
