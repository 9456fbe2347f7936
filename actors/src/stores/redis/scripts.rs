//! The scripts. Each file begins with its keys, their types and when they expire. Shared parts are put in front.

use super::slot::Slot;
use redis::{Script, ScriptInvocation};
use std::ops::{Deref, DerefMut};
use std::sync::LazyLock;

/// A script with its name, for traces.
pub(super) struct NamedScript {
    name: &'static str,
    script: LazyLock<Script>,
}

impl NamedScript {
    pub(super) fn prepare_invoke(&self) -> Call<'_> {
        Call { name: self.name, slot: None, invocation: self.script.prepare_invoke() }
    }
}

/// A script with its keys and arguments.
pub(super) struct Call<'a> {
    pub(super) name: &'static str,
    /// That of the first key.
    slot: Option<Slot>,
    invocation: ScriptInvocation<'a>,
}

impl Call<'_> {
    /// Adds a key. All keys of a call have one slot.
    pub(super) fn key(&mut self, key: String) -> &mut Self {
        self.slot.get_or_insert_with(|| Slot::of(&key));
        self.invocation.key(key);
        self
    }

    /// Where it runs.
    #[expect(clippy::expect_used, reason = "every script has a key")]
    pub(super) fn slot(&self) -> Slot {
        self.slot.expect("a key")
    }
}

impl<'a> Deref for Call<'a> {
    type Target = ScriptInvocation<'a>;

    fn deref(&self) -> &ScriptInvocation<'a> {
        &self.invocation
    }
}

impl<'a> DerefMut for Call<'a> {
    fn deref_mut(&mut self) -> &mut ScriptInvocation<'a> {
        &mut self.invocation
    }
}

macro_rules! scripts {
    ($($name:ident = $($file:literal)+;)+) => {
        $(pub(super) static $name: NamedScript = NamedScript {
            name: stringify!($name),
            script: LazyLock::new(|| Script::new(concat!(include_str!("time.lua"), $("\n", include_str!($file)),+))),
        };)+

        #[cfg(test)]
        const FILES: &[&str] = &[include_str!("time.lua"), $($(include_str!($file)),+),+];
    };
}

scripts! {
    OPEN = "sessions.lua" "closed.lua" "counter.lua" "open.lua";
    TOUCH = "sessions.lua" "touch.lua";
    LIST = "sessions.lua" "list.lua";
    CLOSE = "sessions.lua" "closed.lua" "close.lua";
    FORGET = "sessions.lua" "forget.lua";
    REVOKE = "sessions.lua" "revoke.lua";
    PHONE_ISSUE = "phone_issue.lua";
    PHONE_RETRACT = "phone_retract.lua";
    PHONE_ANSWER = "phone_answer.lua";
    PHONE_RESTORE = "phone_restore.lua";
    RESET_ISSUE = "reset_issue.lua";
    RESET_TAKE = "reset_take.lua";
    RESET_RESTORE = "reset_restore.lua";
    RATE = "counter.lua" "rate.lua";
    WAIT = "counter.lua" "wait.lua";
    ADMIT = "counter.lua" "admit.lua";
    FORGIVE = "counter.lua" "forgive.lua";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_a_script_touches_is_declared() {
        for call in FILES.iter().flat_map(|file| file.split("call(").skip(1)) {
            let declared = call.starts_with("'TIME'")
                || call.split_once(", ").is_some_and(|(_, arguments)| arguments.starts_with("KEYS["));
            assert!(declared, "call({}", call.lines().next().unwrap_or_default());
        }
    }

    #[test]
    fn every_file_begins_with_what_it_is_and_names_its_keys() {
        for file in FILES {
            assert!(file.starts_with("-- "), "{file}");
            assert!(file.contains("-- KEYS[") || file.contains("by the clock of Redis"), "{file}");
        }
    }
}
