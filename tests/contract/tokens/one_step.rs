//! Promises of a store that charges an attempt to all of its counters in one step.

use super::races::attempts;
use super::*;
use portcullis_actors::stores::Admission;

/// The address has room for three of them. Of those that it does not hold, the account has room for four in all.
pub async fn of_a_thousand_attempts_the_budgets_pass(store: Ports) {
    let answers = attempts(Arc::new(store)).await;
    let count = |which: &dyn Fn(&(bool, Admission)) -> bool| answers.iter().filter(|answer| which(answer)).count();
    let admitted = |address| count(&|(_, answer)| *answer == Admission::Admitted { address });
    assert_eq!((admitted(true), admitted(false)), (3, 1));
    assert_eq!(count(&|(held, answer)| *held && *answer == Admission::Admitted { address: false }), 0);
}
