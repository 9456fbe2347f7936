//! A sign-in storm: many more sign-ins than can be hashed, and its effect on the checks of other users.

use crate::Arguments;
use crate::http::{Calls, load};
use crate::measure::Outcome;
use crate::sides::Portcullis;
use std::time::Duration;

/// Connections that sign in again and again, and a second after a refusal: more than the queue before the hashing threads takes in half a second.
const STORM: usize = 200;
/// Connections that check, and how often each does: 400 checks a second in all, an ordinary load.
const CHECKS: usize = 8;
const PAUSE: Duration = Duration::from_millis(20);

/// Runs one quiet and one stormy stretch and prints both.
///
/// # Errors
/// When the server does not start, or a check is answered anything but 200.
pub async fn run(arguments: &Arguments) -> Outcome<()> {
    let server = Portcullis::start(arguments, STORM + CHECKS, &[])?;
    let address = server.server.address();
    let mut checks = Vec::new();
    for user in STORM..STORM + CHECKS {
        checks.push(vec![server.check(user).await?]);
    }
    let length = Duration::from_secs_f64(arguments.seconds * arguments.rounds as f64);
    let calm = load(address, checks.clone(), length, PAUSE).await?;
    let sign_ins = (0..STORM).map(|user| vec![server.sign_in(user)]).collect();
    let (stormy, sign_ins) =
        tokio::join!(load(address, checks, length, PAUSE), load(address, sign_ins, length, Duration::ZERO));
    let (stormy, sign_ins) = (stormy?, sign_ins?);
    for (name, calls) in
        [("checks, calm", &calm), ("checks, in the storm", &stormy), ("sign-ins in the storm", &sign_ins)]
    {
        println!("{name:<22} {}", line(calls, length));
    }
    println!("p99 of a check, storm to calm: {:.2}", stormy.percentile_ms(0.99) / calm.percentile_ms(0.99));
    Ok(())
}

fn line(calls: &Calls, length: Duration) -> String {
    let statuses: Vec<_> = calls.statuses.iter().map(|(status, count)| format!("{count} × {status}")).collect();
    format!(
        "{:>8.1} a second answered 200, p50 {:>7.2} ms, p99 {:>7.2} ms ({})",
        calls.with(200) as f64 / length.as_secs_f64(),
        calls.percentile_ms(0.5),
        calls.percentile_ms(0.99),
        statuses.join(", ")
    )
}
