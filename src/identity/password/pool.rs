//! The threads that hash, beside those that answer requests.
//!
//! A hash takes some 20 ms of a processor. So hashes have threads of their own, as many as there are processors, with a
//! lower priority, and a queue that ends: past it the answer is "busy" at once, not later. What nobody waits for any
//! more is not computed. A thread keeps Argon2's memory from hash to hash and gives it back when it rests.
//! Not here: what a stored hash looks like (`encoding`), what the caller answers when all are busy.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, thread};

use tokio::sync::oneshot;

use super::encoding::{Encoded, Workspace, encode};
use crate::settings::PasswordSettings;

/// The longest password that is hashed.
pub const MAX_PASSWORD_BYTES: usize = 4096;

/// A thread without work for so long gives its memory back.
const REST: Duration = Duration::from_secs(10);

/// Hashes and verifies passwords on threads of its own. Cheap to clone; the threads end with the last clone.
#[derive(Clone)]
pub struct Hasher {
    pool: Arc<Pool>,
}

/// What a password turned out to be.
pub enum Verdict {
    /// Not the one; or there is none.
    Wrong,
    /// The one.
    Right,
    /// The one, but its hash is not of the current setting.
    RightButOutdated {
        /// The hash to store in its place.
        encoded: String,
    },
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// As many wait as may.
    #[error("too many passwords wait to be hashed")]
    Busy,
    /// More than [`MAX_PASSWORD_BYTES`].
    #[error("the password is longer than {MAX_PASSWORD_BYTES} bytes")]
    TooLong,
    /// The hash broke off: no memory for it, or a fault in a library.
    #[error("the password could not be hashed")]
    Closed,
}

impl Hasher {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(settings: &PasswordSettings) -> io::Result<Self> {
        let threads = match settings.hash_threads {
            0 => thread::available_parallelism()?.get(),
            threads => threads,
        };
        let hasher = Self::without_threads(threads, settings.hash_queue);
        for number in 0..threads {
            let shared = Arc::clone(&hasher.pool.shared);
            thread::Builder::new().name(format!("hash-{number}")).spawn(move || {
                yield_to_requests();
                shared.work();
            })?;
        }
        Ok(hasher)
    }

    /// The pool before its threads are started.
    fn without_threads(threads: usize, queue: usize) -> Self {
        let shared = Shared {
            at_most: threads.saturating_add(queue),
            queue: Mutex::default(),
            changed: Condvar::new(),
            hashes: AtomicU64::new(0),
        };
        Self { pool: Arc::new(Pool { shared: Arc::new(shared) }) }
    }

    /// Hashes a new password with 16 random bytes of salt, at the current setting.
    ///
    /// # Errors
    /// See [`HashError`]. A caller that stops waiting takes its work back.
    pub async fn hash(&self, password: &str, salt: [u8; 16]) -> Result<String, HashError> {
        let password = bounded(password)?;
        let (reply, answer) = oneshot::channel();
        self.pool.shared.submit(Job::Hash { password, salt, reply })?;
        answer.await.map_err(|_| HashError::Closed)
    }

    /// Verifies a password against its stored hash. Without one (`None`), and with one that is unusable or unreadable,
    /// it takes as long as a wrong password and is [`Verdict::Wrong`]. The salt is for the new hash of an outdated one.
    ///
    /// # Errors
    /// See [`HashError`]. A caller that stops waiting takes its work back.
    pub async fn verify(
        &self,
        password: &str,
        encoded: Option<&str>,
        salt_for_rehash: [u8; 16],
    ) -> Result<Verdict, HashError> {
        let password = bounded(password)?;
        let (reply, answer) = oneshot::channel();
        let encoded = encoded.map(str::to_owned);
        self.pool.shared.submit(Job::Verify { password, encoded, salt: salt_for_rehash, reply })?;
        answer.await.map_err(|_| HashError::Closed)
    }

    /// How many wait for a thread now.
    pub fn waiting(&self) -> usize {
        self.pool.shared.lock().waiting.len()
    }

    /// How many hashes were computed since the start.
    pub fn hashes(&self) -> u64 {
        self.pool.shared.hashes.load(Ordering::Relaxed)
    }
}

/// Refused before it costs anything (CVE-2013-1443).
fn bounded(password: &str) -> Result<String, HashError> {
    if password.len() > MAX_PASSWORD_BYTES { Err(HashError::TooLong) } else { Ok(password.to_owned()) }
}

/// On Linux a priority belongs to the thread. That it could not be lowered is no reason not to work.
fn yield_to_requests() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(5);
}

/// Held by the clones of a [`Hasher`] and not by its threads, so that its end is theirs.
struct Pool {
    shared: Arc<Shared>,
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

struct Shared {
    /// How many may be computed and wait, together.
    at_most: usize,
    queue: Mutex<Queue>,
    changed: Condvar,
    hashes: AtomicU64,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    running: usize,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self, job: Job) -> Result<(), HashError> {
        let mut queue = self.lock();
        if queue.waiting.len() + queue.running >= self.at_most {
            queue.waiting.retain(|job| !job.is_abandoned());
        }
        if queue.waiting.len() + queue.running >= self.at_most {
            return Err(HashError::Busy);
        }
        queue.waiting.push_back(job);
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    /// A thread's life.
    fn work(&self) {
        let mut workspace = Workspace::default();
        while let Some(job) = self.next(&mut workspace) {
            self.run(job, &mut workspace);
        }
    }

    /// Waits for work that somebody still wants. `None`: the pool is closed.
    fn next(&self, workspace: &mut Workspace) -> Option<Job> {
        let mut queue = self.lock();
        while !queue.closed {
            if let Some(job) = queue.waiting.pop_front() {
                if job.is_abandoned() {
                    continue;
                }
                queue.running += 1;
                return Some(job);
            }
            let (woken, timeout) = self.changed.wait_timeout(queue, REST).unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            if timeout.timed_out() {
                workspace.release();
            }
        }
        None
    }

    /// A panic costs the one who asked an answer, and the pool no thread.
    fn run(&self, job: Job, workspace: &mut Workspace) {
        let answer = catch_unwind(AssertUnwindSafe(|| job.run(workspace)));
        self.hashes.fetch_add(workspace.take_count(), Ordering::Relaxed);
        self.lock().running -= 1;
        if let Ok(Some(answer)) = answer {
            answer.send();
        }
    }
}

enum Job {
    Hash { password: String, salt: [u8; 16], reply: oneshot::Sender<String> },
    Verify { password: String, encoded: Option<String>, salt: [u8; 16], reply: oneshot::Sender<Verdict> },
}

enum Answer {
    Hash(oneshot::Sender<String>, String),
    Verify(oneshot::Sender<Verdict>, Verdict),
}

impl Job {
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Hash { reply, .. } => reply.is_closed(),
            Self::Verify { reply, .. } => reply.is_closed(),
        }
    }

    /// The password is gone when this returns. `None`: no memory.
    fn run(self, workspace: &mut Workspace) -> Option<Answer> {
        match self {
            Self::Hash { password, salt, reply } => {
                encode(&password, salt, workspace).ok().map(|encoded| Answer::Hash(reply, encoded))
            }
            Self::Verify { password, encoded, salt, reply } => {
                verify(&password, encoded.as_deref(), salt, workspace).map(|verdict| Answer::Verify(reply, verdict))
            }
        }
    }
}

impl Answer {
    /// Whoever no longer waits does not get it.
    fn send(self) {
        match self {
            Self::Hash(reply, encoded) => drop(reply.send(encoded)),
            Self::Verify(reply, verdict) => drop(reply.send(verdict)),
        }
    }
}

/// `None`: no memory.
fn verify(password: &str, encoded: Option<&str>, salt: [u8; 16], workspace: &mut Workspace) -> Option<Verdict> {
    let Some(encoded) = encoded.and_then(Encoded::parse) else {
        // Nothing to compare with; the time of a comparison all the same.
        encode(password, salt, workspace).ok()?;
        return Some(Verdict::Wrong);
    };
    Some(match (encoded.matches(password, workspace), encoded.is_current()) {
        (false, _) => Verdict::Wrong,
        (true, true) => Verdict::Right,
        (true, false) => Verdict::RightButOutdated { encoded: encode(password, salt, workspace).ok()? },
    })
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}

/// Without the hash.
impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wrong => "Wrong",
            Self::Right => "Right",
            Self::RightButOutdated { .. } => "RightButOutdated",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    const SALT: [u8; 16] = *b"0123456789abcdef";
    /// Made by Django 5.2 from "ada".
    const DJANGO: &str = "pbkdf2_sha256$1000$saltsalt$sxoWT4MUrt94O2jLwD77C0TX7sw8mpdjJ6eP0C+ODrg=";
    const BOMB: &str = "pbkdf2_sha256$1000000000000$seasalt$XHfRVmyEZRTCcSbqGP00JKv0fRwYHK0ogjPZdSJxCXk=";

    fn started(hash_threads: usize, hash_queue: usize) -> Hasher {
        Hasher::new(&PasswordSettings { hash_threads, hash_queue }).unwrap()
    }

    /// Asks, and does not wait for the answer.
    fn ask<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Does the work of one job, as a thread of the pool would.
    fn work_once(hasher: &Hasher) {
        let mut workspace = Workspace::default();
        let job = hasher.pool.shared.next(&mut workspace).unwrap();
        hasher.pool.shared.run(job, &mut workspace);
    }

    #[tokio::test]
    async fn a_new_hash_verifies_and_another_password_does_not() {
        let hasher = started(2, 8);
        let encoded = hasher.hash("ada", SALT).await.unwrap();

        assert!(matches!(hasher.verify("ada", Some(&encoded), SALT).await, Ok(Verdict::Right)));
        assert!(matches!(hasher.verify("Ada", Some(&encoded), SALT).await, Ok(Verdict::Wrong)));
        assert_eq!(hasher.hashes(), 3);
    }

    #[tokio::test]
    async fn an_outdated_hash_comes_back_renewed_if_the_password_is_right() {
        let hasher = started(1, 8);

        assert!(matches!(hasher.verify("Ada", Some(DJANGO), SALT).await, Ok(Verdict::Wrong)));
        let Ok(Verdict::RightButOutdated { encoded }) = hasher.verify("ada", Some(DJANGO), SALT).await else {
            panic!("not outdated");
        };

        assert!(encoded.starts_with("argon2$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$"), "{encoded}");
        assert!(matches!(hasher.verify("ada", Some(&encoded), SALT).await, Ok(Verdict::Right)));
    }

    #[tokio::test]
    async fn without_a_usable_hash_it_costs_a_hash_and_is_wrong() {
        // attacks 213, 269
        let hasher = started(1, 8);
        for (already, encoded) in [None, Some(""), Some("!x"), Some("md5$a$b"), Some(BOMB)].into_iter().enumerate() {
            let verdict = hasher.verify("ada", encoded, SALT).await;

            assert!(matches!(verdict, Ok(Verdict::Wrong)), "{encoded:?}");
            assert_eq!(hasher.hashes(), already as u64 + 1, "{encoded:?}");
        }
    }

    #[tokio::test]
    async fn a_password_over_4096_bytes_is_refused_unhashed() {
        // attack 175
        let hasher = started(1, 8);
        let (longest, longer, megabyte) = ("x".repeat(4096), "x".repeat(4097), "x".repeat(1 << 20));

        assert_eq!(hasher.hash(&longer, SALT).await, Err(HashError::TooLong));
        assert!(matches!(hasher.verify(&megabyte, None, SALT).await, Err(HashError::TooLong)));
        assert_eq!(hasher.hashes(), 0);
        assert!(hasher.hash(&longest, SALT).await.is_ok());
    }

    #[tokio::test]
    async fn past_the_queue_the_answer_is_busy_at_once() {
        let hasher = Hasher::without_threads(1, 1);
        let (mut first, mut second) = (pin!(hasher.hash("ada", SALT)), pin!(hasher.hash("bob", SALT)));
        assert!(ask(first.as_mut()).is_pending());
        assert!(ask(second.as_mut()).is_pending());
        assert_eq!(hasher.waiting(), 2);

        assert_eq!(hasher.hash("eve", SALT).await, Err(HashError::Busy));

        work_once(&hasher);
        assert!(first.await.is_ok());
        let mut third = pin!(hasher.hash("eve", SALT));
        assert!(ask(third.as_mut()).is_pending());
        work_once(&hasher);
        work_once(&hasher);
        assert!(second.await.is_ok());
        assert!(third.await.is_ok());
    }

    #[tokio::test]
    async fn with_no_queue_a_free_thread_still_works() {
        let hasher = started(1, 0);

        assert!(hasher.hash("ada", SALT).await.is_ok());
        assert!(hasher.hash("ada", SALT).await.is_ok());
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_hashed() {
        let hasher = Hasher::without_threads(1, 8);
        let mut wanted = pin!(hasher.hash("bob", SALT));
        {
            let mut abandoned = pin!(hasher.verify("ada", None, SALT));
            assert!(ask(abandoned.as_mut()).is_pending());
            assert!(ask(wanted.as_mut()).is_pending());
        }

        work_once(&hasher);

        assert!(wanted.await.is_ok());
        assert_eq!(hasher.hashes(), 1);
        assert_eq!(hasher.waiting(), 0);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_takes_no_place() {
        let hasher = Hasher::without_threads(1, 0);
        {
            let mut abandoned = pin!(hasher.hash("ada", SALT));
            assert!(ask(abandoned.as_mut()).is_pending());
        }

        let mut wanted = pin!(hasher.hash("bob", SALT));

        assert!(ask(wanted.as_mut()).is_pending());
        assert_eq!(hasher.waiting(), 1);
    }

    #[test]
    fn the_threads_end_with_the_last_clone() {
        let hasher = Hasher::without_threads(1, 8);
        let shared = Arc::clone(&hasher.pool.shared);
        let thread = thread::spawn(move || shared.work());

        drop(hasher.clone());
        assert!(!hasher.pool.shared.lock().closed);
        drop(hasher);

        thread.join().unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_hashing_thread_yields_and_the_others_do_not() {
        let before = rustix::process::getpriority_process(None).unwrap();

        let in_thread = thread::spawn(|| {
            yield_to_requests();
            rustix::process::getpriority_process(None).unwrap()
        });

        assert_eq!(in_thread.join().unwrap(), (before + 5).min(19));
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), before);
    }

    #[test]
    fn debug_shows_no_hash() {
        let verdict = Verdict::RightButOutdated { encoded: "argon2$secret".to_owned() };

        assert_eq!(format!("{verdict:?}"), "RightButOutdated");
    }
}
