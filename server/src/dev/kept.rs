//! What the development provider remembers: bounded, the oldest is forgotten first.

use std::collections::{HashMap, VecDeque};

/// How many values are kept.
const LIMIT: usize = 10_000;

/// Values by the secret that stands for them.
pub struct Kept<T> {
    by_secret: HashMap<String, T>,
    /// Also holds what was taken since, so it is the one that is bounded.
    order: VecDeque<String>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { by_secret: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> Kept<T> {
    /// Keeps a value under a new secret.
    pub fn keep(&mut self, secret: String, value: T) {
        if self.order.len() >= LIMIT
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_secret.remove(&oldest);
        }
        self.order.push_back(secret.clone());
        self.by_secret.insert(secret, value);
    }

    /// The value, which stays.
    pub fn get(&self, secret: &str) -> Option<&T> {
        self.by_secret.get(secret)
    }

    /// The value, once.
    pub fn take(&mut self, secret: &str) -> Option<T> {
        self.by_secret.remove(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::{Kept, LIMIT};

    #[test]
    fn the_oldest_is_forgotten_first_and_nothing_grows_without_end() {
        let mut kept = Kept::default();
        for number in 0..=LIMIT {
            kept.keep(number.to_string(), number);
        }

        assert_eq!((kept.get("0"), kept.get("1")), (None, Some(&1)));
        assert_eq!((kept.take("1"), kept.take("1")), (Some(1), None));
        assert!(kept.by_secret.len() < LIMIT && kept.order.len() == LIMIT);
    }
}
