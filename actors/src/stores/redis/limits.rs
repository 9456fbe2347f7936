//! Counters that all nodes share: one short string for each.

use super::super::{
    AddressCharges, Admission, AttemptCharges, Backoff, Budget, Counter, Forgiven, LimitStore, StoreResult, Verdict,
    Waits,
};
use super::challenges::{millis, pause};
use super::slot::Slot;
use super::{RedisTokenStore, counter_key, record, scripts};
use async_trait::async_trait;
use std::time::Duration;

impl RedisTokenStore {
    async fn rate(&self, Budget { counter, rate }: Budget, mode: &str) -> StoreResult<Verdict> {
        let mut call = scripts::RATE.prepare_invoke();
        call.key(counter_key(&counter)).arg(self.offset()).arg(rate.limit).arg(millis(rate.window)).arg(mode);
        let wait: Option<i64> = self.run(&call).await?;
        Ok(wait.map_or(Verdict::Allowed, |wait| Verdict::Refused(pause(wait))))
    }
}

#[async_trait]
impl LimitStore for RedisTokenStore {
    async fn charge(&self, budget: Budget) -> StoreResult<Verdict> {
        self.rate(budget, "charge").await
    }

    async fn peek(&self, budget: Budget) -> StoreResult<Verdict> {
        self.rate(budget, "peek").await
    }

    async fn admit(&self, attempt: &AttemptCharges) -> StoreResult<Admission> {
        match &attempt.address {
            Some(address) if !self.is_one_step(&address.attempts.counter, &attempt.waits.counter) => {
                self.admit_in_steps(address, attempt).await
            }
            _ => self.admit_at_once(attempt).await,
        }
    }

    async fn wait(&self, Waits { counter, backoff }: &Waits) -> StoreResult<Option<Duration>> {
        let mut call = scripts::WAIT.prepare_invoke();
        call.key(counter_key(counter)).arg(self.offset()).arg(backoff.max_tries);
        Ok(self.run::<Option<i64>>(&call).await?.map(pause))
    }

    async fn forgive(&self, charges: &Forgiven) -> StoreResult<()> {
        let mut charges = charges.clone();
        // One step for each slot of a cluster, and one in all else.
        while let Some(first) = charges.cleared.first().or(charges.refunded.first()).copied() {
            let (together, others) = charges.partition(|counter| self.is_one_step(&first, counter));
            let mut call = scripts::FORGIVE.prepare_invoke();
            call.arg(self.offset());
            add_forgiven(&mut call, &together);
            self.run::<()>(&call).await?;
            charges = others;
        }
        Ok(())
    }
}

impl RedisTokenStore {
    /// Whether one script may touch both.
    pub(super) fn is_one_step(&self, one: &Counter, another: &Counter) -> bool {
        self.topology().is_one_step(Slot::of(&counter_key(one)), Slot::of(&counter_key(another)))
    }

    /// In a cluster the counters of an address are elsewhere. They are charged first. If the account then refuses, or does
    /// not answer, that charge is given back; until then others may be refused for it.
    async fn admit_in_steps(&self, address: &AddressCharges, attempt: &AttemptCharges) -> StoreResult<Admission> {
        let charged = match self.charge(address.attempts).await? {
            Verdict::Allowed => true,
            Verdict::Refused(_) if address.refuses => {
                let failures = match self.peek(address.failures).await? {
                    Verdict::Allowed => None,
                    Verdict::Refused(wait) => Some(wait),
                };
                return Ok(Admission::AddressFull { failures });
            }
            Verdict::Refused(_) => false,
        };
        match self.admit_at_once(&AttemptCharges { address: None, ..*attempt }).await {
            Ok(Admission::Admitted { .. }) => Ok(Admission::Admitted { address: charged }),
            refused => {
                if charged {
                    let refunded = vec![address.attempts.counter];
                    self.forgive(&Forgiven { cleared: vec![], refunded }).await?;
                }
                refused
            }
        }
    }

    async fn admit_at_once(&self, attempt: &AttemptCharges) -> StoreResult<Admission> {
        let AttemptCharges { address, budget, waits: Waits { counter, backoff } } = attempt;
        let Backoff { free, first, longest, forget, max_tries } = backoff;
        let mut call = scripts::ADMIT.prepare_invoke();
        call.key(counter_key(counter)).arg(self.offset()).arg(free);
        call.arg(millis(*first)).arg(millis(*longest)).arg(millis(*forget)).arg(max_tries);
        add_budget(&mut call, budget.as_ref());
        add_budget(&mut call, address.as_ref().map(|address| &address.attempts));
        add_budget(&mut call, address.as_ref().map(|address| &address.failures));
        call.arg(matches!(address, Some(AddressCharges { refuses: true, .. })));
        match self.run::<(String, Option<i64>)>(&call).await? {
            (answer, charged) if answer == "admitted" => Ok(Admission::Admitted { address: charged == Some(1) }),
            (answer, failures) if answer == "address" => Ok(Admission::AddressFull { failures: failures.map(pause) }),
            (answer, _) if answer == "budget" => Ok(Admission::BudgetFull),
            (answer, Some(wait)) if answer == "wait" => Ok(Admission::Wait(pause(wait))),
            _ => Err(record::unreadable()),
        }
    }
}

/// Adds a key, and the limit and the window; two empty arguments if there is none.
fn add_budget(call: &mut scripts::Call<'_>, budget: Option<&Budget>) {
    match budget {
        Some(Budget { counter, rate }) => call.key(counter_key(counter)).arg(rate.limit).arg(millis(rate.window)),
        None => call.arg("").arg(""),
    };
}

/// Adds the keys of charges to forgive, and how many of them to forget.
pub(super) fn add_forgiven(call: &mut scripts::Call<'_>, charges: &Forgiven) {
    for counter in charges.cleared.iter().chain(&charges.refunded) {
        call.key(counter_key(counter));
    }
    call.arg(charges.cleared.len());
}
