//! The rules for new passwords. Pure.

use crate::domain::{Email, Password};
use crate::error::PasswordRule;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// The 10,000 most common passwords in lower case, sorted. They are the first ones of Django's list (5.2,
/// `common-passwords.txt`), which was counted in the breaches that Have I Been Pwned has collected.
static COMMON: LazyLock<Vec<&str>> = LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

/// `passwords.*` of the configuration (NIST SP 800-63B §3.1.1.2, ASVS 6.2). There are no rules about composition: only
/// length and not being common count.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PasswordPolicy {
    /// The minimum number of code points after NFKC.
    pub shortest: usize,
    /// Refuse the 10,000 most common passwords (ASVS 6.2.4).
    pub refuse_common: bool,
}

impl PasswordPolicy {
    /// Checks a new password. Takes microseconds for any password.
    ///
    /// # Errors
    /// The rule that the password breaks.
    pub fn accept(&self, password: &Password, email: &Email) -> Result<(), PasswordRule> {
        let text = password.normalized();
        if text.chars().count() < self.shortest {
            return Err(PasswordRule::TooShort);
        }
        let lower = text.to_lowercase();
        if lower == email.as_str() {
            return Err(PasswordRule::IsEmail);
        }
        if self.refuse_common && COMMON.binary_search(&lower.as_str()).is_ok() {
            return Err(PasswordRule::TooCommon);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(password: &str) -> Result<(), PasswordRule> {
        let policy = PasswordPolicy { shortest: 8, refuse_common: true };
        let email: Email = "ada.admin@example.com".parse().expect("well formed");
        policy.accept(&password.parse().expect("short enough"), &email)
    }

    #[test]
    fn the_list_is_sorted_and_whole() {
        assert!(COMMON.is_sorted(), "it is searched by halves");
        assert_eq!(COMMON.len(), 10_000);
        assert!(COMMON.iter().all(|password| !password.is_empty() && password.to_lowercase() == *password));
    }

    #[test]
    fn length_and_being_common_are_all_that_counts() {
        assert_eq!(accept("lowercase words only are fine"), Ok(()));
        assert_eq!(accept("zq8-vbne"), Ok(()));
        assert_eq!(accept("zq8-vbn"), Err(PasswordRule::TooShort), "seven code points");
        for common in ["password", "12345678", "iloveyou", "Password", "qwertyuiop", "sunshine1", "ＰＡＳＳＷＯＲＤ"]
        {
            assert_eq!(accept(common), Err(PasswordRule::TooCommon), "{common}");
        }
        assert_eq!(accept("Ada.Admin@example.com"), Err(PasswordRule::IsEmail));
    }

    #[test]
    fn length_is_counted_after_normalisation() {
        // Eight code points as typed, four after NFKC has composed them.
        assert!(accept("e\u{301}a\u{301}o\u{301}u\u{301}").is_err());
    }
}
