//! Deliveries, over real databases and with real servers at the other end: what leaves, how often, and what happens
//! when the other end misbehaves.

mod answers;
mod bounds;
mod breakers;
mod crash;
mod crowd;
mod faults;
mod lifecycle;
mod mail;
mod outbox;
mod reach;
mod reports;
mod sms;
mod world;
