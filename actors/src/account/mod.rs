//! Accounts, applications, keys and devices: what an account is, apart from its sessions.

mod messages;

pub use messages::{
    AccountSnapshot, ChangePassword, DropDevice, ListDevices, ListedDevice, Observe, RegisterDevice, UserDevices,
};
