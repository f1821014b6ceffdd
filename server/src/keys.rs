//! The master keys that seal providers' tokens: from the configuration, or from a file that is made at the first start.
//!
//! The file never lies in the database. For SQLite it stands beside the database's file, for PostgreSQL in the user's
//! state directory, and every node needs the same one.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use vestibule::context::random;
use vestibule::settings::Settings;

/// The keys, the sealing one first.
pub struct Masters {
    /// 32 random bytes each.
    pub keys: Vec<[u8; 32]>,
    /// The file that was made for them just now.
    made: Option<PathBuf>,
}

impl Masters {
    /// Tells the operator of a file that was made. Not before everything else is in order: what is wrong is one line.
    pub fn announce(&self) {
        if let Some(file) = &self.made {
            let file = file.display();
            tracing::warn!(%file, "made the key that seals provider tokens; keep a copy of it, and give it to every node");
        }
    }
}

/// The keys that the configuration names, or that stand in their file.
///
/// # Errors
/// One line that names the setting.
pub fn masters(settings: &Settings) -> Result<Masters, String> {
    if let Some(text) = &settings.encryption_key {
        let keys = parse(text.reveal()).map_err(|sentence| format!("encryption_key: {sentence}"))?;
        return Ok(Masters { keys, made: None });
    }
    if let Some(path) = &settings.encryption_key_file {
        let keys = read(Path::new(path)).map_err(|sentence| format!("encryption_key_file: {sentence}"))?;
        return Ok(Masters { keys, made: None });
    }
    let path = default_path(&settings.database_url)?;
    let made = if path.exists() {
        None
    } else {
        make(&path).map_err(|error| {
            format!(
                "encryption_key: cannot write {}: {error}; give one by `encryption_key` or `encryption_key_file`",
                path.display()
            )
        })?;
        Some(path.clone())
    };
    let keys = read(&path).map_err(|sentence| format!("encryption_key: {sentence}"))?;
    Ok(Masters { keys, made })
}

fn default_path(database_url: &str) -> Result<PathBuf, String> {
    if let Some(rest) = database_url.strip_prefix("sqlite:") {
        let file = rest.strip_prefix("//").unwrap_or(rest);
        let file = file.split_once('?').map_or(file, |(file, _)| file);
        return Ok(PathBuf::from(format!("{file}.key")));
    }
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
    let state = state.ok_or(
        "encryption_key: is not set, and there is no HOME to keep one in; make one by `openssl rand -base64 32`",
    )?;
    Ok(state.join("vestibule").join("vestibule.key"))
}

fn read(path: &Path) -> Result<Vec<[u8; 32]>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        if std::fs::metadata(path).is_ok_and(|file| file.mode() & 0o077 != 0) {
            tracing::warn!(file = %path.display(), "others can read the encryption key; `chmod 600` it");
        }
    }
    parse(&text).map_err(|sentence| format!("{}: {sentence}", path.display()))
}

/// One key a line; empty lines and lines that begin with `#` do not count.
fn parse(text: &str) -> Result<Vec<[u8; 32]>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys = lines.map(|line| STANDARD.decode(line).ok().and_then(|bytes| bytes.try_into().ok()));
    let keys: Option<Vec<[u8; 32]>> = keys.collect();
    keys.filter(|keys| !keys.is_empty())
        .ok_or_else(|| "takes 32 bytes in base64 (`openssl rand -base64 32`), in a file one a line".to_owned())
}

/// Writes a new key where none is yet. Of several that try at once one wins, and all use its key.
fn make(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?; // made with mode 0600
    writeln!(file, "{}", STANDARD.encode(random::<32>()))?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use vestibule::settings::{Hidden, Settings};

    use super::masters;

    #[test]
    fn ten_that_start_at_once_use_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            Settings { database_url: format!("sqlite://{}/v.db", folder.path().display()), ..Settings::default() };

        let threads: Vec<_> = (0..10)
            .map(|_| {
                std::thread::spawn({
                    let settings = settings.clone();
                    move || masters(&settings).unwrap().keys
                })
            })
            .collect();
        let keys: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();

        assert!(keys.iter().all(|key| *key == keys[0] && key.len() == 1));
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!(std::fs::metadata(folder.path().join("v.db.key")).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_key_that_is_none_is_refused_and_not_repeated() {
        for bad in ["", "c2hvcnQ=", "hush hush"] {
            let settings = Settings { encryption_key: Some(Hidden::new(bad)), ..Settings::default() };
            let error = masters(&settings).err().unwrap();
            assert!(error.starts_with("encryption_key: ") && !error.contains("hush"), "{error}");
        }
    }
}
