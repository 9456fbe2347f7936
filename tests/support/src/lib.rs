//! Real parts for the tests, each started on a free port with a temporary folder, and ended when dropped.

pub mod gate;
pub mod postgres;
pub mod redis;
pub mod server;
pub mod sms;
pub mod smtp;
