//! Whether anybody has written to a SQLite file since we last looked, for one system call.
//!
//! In WAL mode every commit, of whichever process, counts up `iChange` in the header of the `-shm` file
//! (<https://sqlite.org/walformat.html>, §2.1). While it is what we know it to be, nobody but ourselves has written, and of
//! our own writes the cache is told one by one ([`super::change`]).

use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where `iChange` stands in the header.
const COUNTER_AT: u64 = 8;

pub(super) struct Watch {
    /// Never closed: closing any handle of a file ends the locks that the process has on it (POSIX), SQLite's own too.
    index: ManuallyDrop<File>,
    known: AtomicU32,
}

impl Watch {
    /// Begins to watch a database that is open in WAL mode.
    pub(super) fn new(database: &Path) -> std::io::Result<Self> {
        let mut path = database.as_os_str().to_owned();
        path.push("-shm");
        let watch = Self { index: ManuallyDrop::new(File::open(path)?), known: AtomicU32::new(0) };
        watch.known.store(watch.counter()?, Ordering::Release);
        Ok(watch)
    }

    fn counter(&self) -> std::io::Result<u32> {
        let mut bytes = [0; 4];
        self.index.read_exact_at(&mut bytes, COUNTER_AT)?;
        Ok(u32::from_ne_bytes(bytes)) // the file is in the machine's own byte order
    }

    /// Calls `forget` if somebody else has written since the last look, before it is looked at as known.
    pub(super) fn look(&self, forget: impl FnOnce()) {
        let counter = self.counter();
        match counter {
            Ok(counter) if counter == self.known.load(Ordering::Acquire) => {}
            Ok(counter) => {
                forget();
                self.known.store(counter, Ordering::Release);
            }
            Err(_) => forget(),
        }
    }

    /// The counter as it stands while we alone may write.
    pub(super) fn begin(&self, forget: impl FnOnce()) -> u32 {
        self.look(forget);
        self.known.load(Ordering::Acquire)
    }

    /// Takes note of our own commit, which counted up by one. If the counter stands elsewhere, somebody else has written
    /// since, which the next look finds.
    pub(super) fn committed(&self, began_at: u32) {
        self.known.store(began_at.wrapping_add(1), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::Watch;

    #[test]
    fn a_write_of_another_connection_is_seen_and_our_own_is_not_taken_for_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        let ours = rusqlite::Connection::open(&path).unwrap();
        ours.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (n); INSERT INTO t VALUES (1)").unwrap();
        let watch = Watch::new(&path).unwrap();
        let forgotten = Cell::new(0);
        let look = || watch.look(|| forgotten.set(forgotten.get() + 1));

        look();
        assert_eq!(forgotten.get(), 0);

        ours.execute_batch("BEGIN IMMEDIATE").unwrap();
        let began_at = watch.begin(|| panic!("nobody has written"));
        ours.execute_batch("UPDATE t SET n = n + 1; COMMIT").unwrap();
        watch.committed(began_at);
        look();
        assert_eq!(forgotten.get(), 0);

        let theirs = rusqlite::Connection::open(&path).unwrap();
        theirs.execute_batch("UPDATE t SET n = n + 1").unwrap();
        look();
        look();
        assert_eq!(forgotten.get(), 1);

        ours.execute_batch("BEGIN IMMEDIATE").unwrap();
        let began_at = watch.begin(|| panic!("nobody has written since"));
        ours.execute_batch("UPDATE t SET n = n + 1; COMMIT").unwrap();
        theirs.execute_batch("UPDATE t SET n = n + 1").unwrap();
        watch.committed(began_at);
        look();
        assert_eq!(forgotten.get(), 2, "theirs came after ours, before we took note");
        theirs.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        theirs.execute_batch("UPDATE t SET n = n + 1").unwrap();
        look();
        assert_eq!(forgotten.get(), 3, "also after the log was begun anew");
    }
}
