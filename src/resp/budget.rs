//! One limit on the memory of all connections' requests and replies.
//!
//! Every connection has an [`Account`]. Small buffers are free; larger ones must ask the account. The budget is shared by the
//! rule of switches with a common packet memory (Choudhury and Hahne, "Dynamic queue length thresholds", 1998): **an account
//! may hold as much as stays free**. One connection alone gets half of the budget, two get a third each, n get 1/(n+1) each. A
//! connection that comes later still finds memory, and the largest one is refused first. This takes only two numbers and no
//! ordering.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The limit for all connections together, and how much they hold.
#[derive(Debug)]
pub struct Budget {
    bytes_max: AtomicUsize,
    held: AtomicUsize,
    peak: AtomicUsize,
    refusals: AtomicU64,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl Budget {
    /// Creates a budget of at most `bytes_max` bytes.
    #[must_use]
    pub const fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max: AtomicUsize::new(bytes_max),
            held: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            refusals: AtomicU64::new(0),
        }
    }

    /// The limit in bytes.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.bytes_max.load(Ordering::Relaxed)
    }

    /// Number of bytes held now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// The most bytes ever held.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// How many requests for memory were refused.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize, own: usize) -> bool {
        let most = self.bytes_max();
        let fits = |held: usize| {
            let after = held.checked_add(bytes)?;
            let free = most.checked_sub(after)?;
            (own.checked_add(bytes)? <= free).then_some(after)
        };
        let taken = self
            .held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        match taken {
            Ok(before) => {
                let after = before.saturating_add(bytes);
                self.peak.fetch_max(after, Ordering::Relaxed);
            }
            Err(_) => {
                self.refusals.fetch_add(1, Ordering::Relaxed);
            }
        }
        taken.is_ok()
    }
}

/// One connection's share of a [`Budget`]. Returns all of it when dropped.
#[derive(Debug, Default)]
pub struct Account {
    budget: Arc<Budget>,
    held: AtomicUsize,
}

impl Account {
    /// Creates an account that holds nothing.
    #[must_use]
    pub const fn new(budget: Arc<Budget>) -> Self {
        Self {
            budget,
            held: AtomicUsize::new(0),
        }
    }

    /// Number of bytes that the account holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Takes `bytes` more, unless less would then be free than the account would hold. Returns whether it took them.
    #[must_use]
    pub fn grow(&self, bytes: usize) -> bool {
        let granted = self.budget.take(bytes, self.held());
        if granted {
            self.held.fetch_add(bytes, Ordering::Relaxed);
        }
        granted
    }

    /// Whether `bytes` more would be granted now.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        let most = self.budget.bytes_max();
        let free = most.saturating_sub(self.budget.held().saturating_add(bytes));
        self.held().saturating_add(bytes) <= free
    }

    /// Returns `bytes` to the budget, or everything if the account holds less.
    pub fn shrink(&self, bytes: usize) {
        let left = |held: usize| Some(held.saturating_sub(bytes));
        let order = Ordering::Relaxed;
        let before = self
            .held
            .fetch_update(order, order, left)
            .unwrap_or_default();
        self.budget.held.fetch_sub(before.min(bytes), order);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.shrink(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_gets_half_and_the_next_half_of_the_rest() {
        let budget = Arc::new(Budget::new(1000));
        let [one, two] = [0; 2].map(|_| Account::new(Arc::clone(&budget)));
        assert!(one.has_room(500) && !one.has_room(501));
        assert!(!one.grow(501));
        assert!(one.grow(300) && one.grow(200) && !one.grow(1));
        assert!(!two.grow(251) && two.grow(250));
        assert_eq!(
            (budget.held(), budget.peak(), budget.refusals()),
            (750, 750, 3)
        );
        one.shrink(100);
        assert_eq!((budget.held(), one.held()), (650, 400));
        assert!(two.grow(50), "one account can use what the other returned");
        drop(one);
        drop(two);
        assert_eq!((budget.held(), budget.peak()), (0, 750));
    }

    #[test]
    fn whoever_grows_step_by_step_meets_the_others_at_equal_shares() {
        let budget = Arc::new(Budget::new(9000));
        let accounts: Vec<_> = (0..8).map(|_| Account::new(Arc::clone(&budget))).collect();
        while accounts.iter().filter(|account| account.grow(10)).count() > 0 {}
        for account in &accounts {
            assert!((990..=1010).contains(&account.held()), "{}", account.held());
        }
    }

    #[test]
    fn more_than_there_are_numbers_is_refused_and_nothing_is_given_back_twice() {
        let account = Account::new(Arc::new(Budget::new(usize::MAX)));
        assert!(account.grow(10) && !account.grow(usize::MAX));
        account.shrink(usize::MAX);
        account.shrink(1);
        assert_eq!((account.held(), account.budget.held()), (0, 0));
    }
}
