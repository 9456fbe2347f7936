//! Deliveries over real databases to real servers: which messages leave, how often, and how faults of the servers are
//! handled.

mod answers;
mod bounds;
mod breakers;
mod clocks;
mod crash;
mod crowd;
mod faults;
mod lifecycle;
mod mail;
mod outbox;
mod reach;
mod reports;
mod scale;
mod sms;
mod world;
