//! Accounts and devices: what an account is, apart from its sessions.
//!
//! `messages.rs` says what can be asked; `policy.rs` judges new passwords without I/O; `password.rs` and `devices.rs` are the flows; `revocations.rs` carries what SQL
//! has decided over to the token store. May call `session` (who is asking), `stores`, `hashing` and `notifier`'s messages.

mod devices;
mod messages;
mod password;
mod policy;
mod revocations;

pub use messages::{
    AccountSnapshot, ChangePassword, DropDevice, ListDevices, ListedDevice, Observe, RegisterDevice, UserDevices,
};
pub use password::NOTICE_LIFE;
pub use policy::PasswordPolicy;
pub use revocations::Revoker;

use crate::flows::{Count, Flows, answers};
use crate::hashing::HashingPool;
use crate::notifier::Wake;
use crate::session::{Authenticator, PasswordGuard};
use crate::stores::DeviceStore;
use actix::{Actor, Context, Handler, Recipient};
use std::sync::Arc;

/// What the account actor works with.
pub struct AccountPorts {
    /// Credentials, accounts, keys.
    pub auth: Authenticator,
    /// The guard before a password.
    pub guard: PasswordGuard,
    /// Ends the other sessions after a change.
    pub revoker: Revoker,
    /// Devices.
    pub devices: Arc<dyn DeviceStore>,
    /// Who delivers the notice.
    pub notifier: Recipient<Wake>,
    /// Password hashing.
    pub hashing: HashingPool,
    /// The rules for new passwords.
    pub passwords: Arc<PasswordPolicy>,
    /// What has been done; start with the default.
    pub counters: AccountCounters,
}

/// What one account actor counts.
#[derive(Debug, Default)]
pub struct AccountCounters {
    passwords_changed: Count,
    devices_registered: Count,
}

/// One of these lives on each HTTP worker's arbiter.
pub struct AccountActor {
    work: Flows<AccountPorts>,
}

impl AccountActor {
    /// An actor over these ports; `start` it on the arbiter it shall live on.
    pub fn new(ports: AccountPorts) -> Self {
        let tracker = ports.auth.tracker.clone();
        Self { work: Flows::new(ports, tracker) }
    }
}

impl Actor for AccountActor {
    type Context = Context<Self>;
}

answers!(AccountActor:
    ChangePassword => password::change,
    RegisterDevice => devices::register,
    ListDevices => devices::list,
    DropDevice => devices::drop_one,
    UserDevices => devices::of_user,
);

impl Handler<Observe> for AccountActor {
    type Result = AccountSnapshot;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> AccountSnapshot {
        let counters = &self.work.ports().counters;
        AccountSnapshot {
            passwords_changed: counters.passwords_changed.get(),
            devices_registered: counters.devices_registered.get(),
            running: self.work.running(),
        }
    }
}
