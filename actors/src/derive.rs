//! Secrets that are computed and never stored: phone codes, reset tokens, and the authentication codes of user tokens.
//!
//! Each is HMAC-SHA-256 under a key for its purpose, which HKDF (RFC 5869) derives from a secret of the configuration.
//! A copy of a store therefore contains no usable secret, and a retry or a resend computes the same text again. To rotate
//! secrets, put a new one first: the first signs, and all verify.

use crate::domain::{
    Digest, Email, PagePlace, PageToken, PageTokenBody, Phone, ResetToken, ServerKey, UserId, UserToken, UserTokenBody,
    redacted_debug,
};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::Rng as _;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use sha2::Sha256;
use std::collections::HashMap;
use std::sync::Arc;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

type HmacSha256 = Hmac<Sha256>;

/// Names the secret that a challenge was issued under, without telling anything about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(pub i64);

/// The random name of a challenge, which is stored with it.
pub type ChallengeId = [u8; 16];

/// A phone code: decimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

impl Code {
    /// The digits that a user typed, or a fixed code of the configuration.
    pub fn typed(digits: &str) -> Self {
        Self(digits.to_owned())
    }

    /// The digits, for the message that carries them.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

redacted_debug!(Code, Keyring, PurposeKeys, Subjects);

/// All secrets of the configuration, newest first.
pub struct Keyring(Vec<PurposeKeys>);

struct PurposeKeys {
    id: KeyId,
    token: HmacSha256,
    page: HmacSha256,
    server_key: HmacSha256,
    code: HmacSha256,
    proof: HmacSha256,
    reset: HmacSha256,
}

/// Why the secrets are not usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    #[error("there is no secret key")]
    Empty,
    #[error("a secret key is listed twice")]
    Twice,
}

impl Keyring {
    /// From secrets of 32 random bytes each, newest first.
    ///
    /// # Errors
    /// There is none, or one is listed twice.
    pub fn new(secrets: &[Zeroizing<[u8; 32]>]) -> Result<Self, KeyringError> {
        let keys: Vec<_> = secrets.iter().map(|secret| PurposeKeys::derive(secret)).collect();
        if keys.is_empty() {
            return Err(KeyringError::Empty);
        }
        if keys.iter().enumerate().any(|(i, key)| keys[..i].iter().any(|other| other.id == key.id)) {
            return Err(KeyringError::Twice);
        }
        Ok(Self(keys))
    }

    fn newest(&self) -> &PurposeKeys {
        &self.0[0]
    }

    fn find(&self, id: KeyId) -> Option<&PurposeKeys> {
        self.0.iter().find(|key| key.id == id)
    }

    /// The secret that issues now: the newest.
    pub fn current(&self) -> KeyId {
        self.newest().id
    }

    /// A token for `user`.
    pub fn issue_token(&self, user: UserId, random: [u8; 16]) -> UserToken {
        let mut body: UserTokenBody = [0; 24];
        body[..8].copy_from_slice(&user.0.to_be_bytes());
        body[8..].copy_from_slice(&random);
        UserToken::assemble(body, first(&mac(&self.newest().token, &[&body])))
    }

    /// Whether this server issued the token, expired or not. Constant time for each secret.
    pub fn vouches_for(&self, token: &UserToken) -> bool {
        self.0.iter().any(|key| authenticates(&key.token, token.body(), token.code()))
    }

    /// What the cookie of a page holds.
    pub fn issue_page_token(&self, place: PagePlace, user: UserId, random: [u8; 16]) -> PageToken {
        let mut body: PageTokenBody = [0; 25];
        body[0] = place as u8;
        body[1..9].copy_from_slice(&user.0.to_be_bytes());
        body[9..].copy_from_slice(&random);
        PageToken::assemble(body, first(&mac(&self.newest().page, &[&body])))
    }

    /// As [`vouches_for`](Self::vouches_for).
    pub fn vouches_for_page(&self, token: &PageToken) -> bool {
        self.0.iter().any(|key| authenticates(&key.page, token.body(), token.code()))
    }

    /// The server key that this form of a page makes for its user: the same one if it is sent again.
    pub fn server_key(&self, user: UserId, form: &[u8; 16]) -> ServerKey {
        ServerKey::new(first(&mac(&self.newest().server_key, &[&user.0.to_be_bytes(), form])))
    }

    /// The code of a phone challenge, truncated as in RFC 4226 §5.3. `None` if the keyring lacks the secret.
    /// [`PhoneCodes`] also knows the fixed codes.
    pub fn phone_code(
        &self,
        key: KeyId,
        challenge: &ChallengeId,
        user: UserId,
        phone: &Phone,
        digits: u32,
    ) -> Option<Code> {
        let code = mac(&self.find(key)?.code, &[challenge, &user.0.to_be_bytes(), phone.as_str().as_bytes()]);
        let offset = usize::from(code[31] & 0xf);
        let bits = u32::from_be_bytes(first(&code[offset..])) & 0x7fff_ffff;
        let width = digits.clamp(4, 9);
        Some(Code(format!("{:0width$}", bits % 10_u32.pow(width), width = width as usize)))
    }

    /// The digest of a new code that is stored. It is keyed: a million codes are quickly tried.
    pub fn phone_proof(&self, user: UserId, code: &Code) -> Digest {
        self.newest().proof(user, code)
    }

    /// The digests that may be stored of a typed code: one for each secret.
    pub fn phone_proofs(&self, user: UserId, code: &Code) -> Vec<Digest> {
        self.0.iter().map(|key| key.proof(user, code)).collect()
    }

    /// The token of a reset challenge. `None` if the keyring lacks the secret.
    pub fn reset_token(&self, key: KeyId, challenge: &ChallengeId, user: UserId, email: &Email) -> Option<ResetToken> {
        let code = mac(&self.find(key)?.reset, &[challenge, &user.0.to_be_bytes(), email.as_str().as_bytes()]);
        Some(ResetToken::assemble(user, first(&code)))
    }
}

/// The codes of phone challenges. Both the sender and the verifier of codes use it.
pub struct PhoneCodes {
    pub keyring: Arc<Keyring>,
    pub digits: u32,
    /// Numbers (E.164) that always get the same code. Empty outside the development profile.
    pub fixed: HashMap<String, Code>,
}

impl PhoneCodes {
    /// The code of a challenge. `None` if the keyring lacks the secret.
    pub fn code(&self, key: KeyId, challenge: &ChallengeId, user: UserId, phone: &Phone) -> Option<Code> {
        let fixed = self.fixed.get(phone.as_str()).cloned();
        fixed.or_else(|| self.keyring.phone_code(key, challenge, user, phone, self.digits))
    }
}

impl PurposeKeys {
    fn derive(secret: &[u8; 32]) -> Self {
        let purpose = |name: &str| derived(secret, name);
        Self {
            // 32 bits are enough to tell a few secrets apart. Positive numbers are easier to read in a table.
            id: KeyId(i64::from(u32::from_be_bytes(first(purpose("id").as_slice())))),
            token: keyed(&purpose("user-token")),
            page: keyed(&purpose("page-token")),
            server_key: keyed(&purpose("server-key")),
            code: keyed(&purpose("phone-code")),
            proof: keyed(&purpose("phone-proof")),
            reset: keyed(&purpose("reset-token")),
        }
    }

    fn proof(&self, user: UserId, code: &Code) -> Digest {
        Digest::truncate(&mac(&self.proof, &[&user.0.to_be_bytes(), code.0.as_bytes()]))
    }
}

/// Names the subjects of counters, so that a copy of the counters names nobody. All nodes of an installation use the
/// same secret, which is never rotated: a new one would start all budgets afresh.
#[derive(Clone)]
pub struct Subjects(HmacSha256);

impl Subjects {
    /// From the installation's secret of 32 random bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(keyed(&derived(secret, "subject")))
    }

    /// The name of `text` in counters.
    pub fn of(&self, text: &str) -> Digest {
        Digest::truncate(&mac(&self.0, &[text.as_bytes()]))
    }

    /// A user number for an address without an account: negative, and always the same for one address. With it, a
    /// request for an unknown address takes the same path through the stores as one for a known address.
    pub fn decoy(&self, email: &Email) -> UserId {
        let bits = i64::from_be_bytes(first(&mac(&self.0, &[b"decoy:", email.as_str().as_bytes()])));
        UserId(bits | i64::MIN)
    }
}

/// Random bytes of the operating system's generator, for secrets, salts and identifiers of challenges.
///
/// # Panics
/// When the system has no randomness: nothing can be done safely then.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // One call of the system; `random` would make one for each byte.
    UnwrapErr(SysRng).fill_bytes(&mut bytes);
    bytes
}

/// The key for one purpose (RFC 5869).
fn derived(secret: &[u8; 32], purpose: &str) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    #[expect(clippy::expect_used, reason = "32 bytes are far below HKDF's limit of 255 blocks")]
    Hkdf::<Sha256>::new(Some(b"portcullis/1"), secret)
        .expand(purpose.as_bytes(), key.as_mut_slice())
        .expect("a possible length");
    key
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn keyed(key: &[u8; 32]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("any key length")
}

/// All parts but the last have a fixed length, so that different parts never give the same input.
fn mac(key: &HmacSha256, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = key.clone();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Whether `code` is the truncated code of `body`.
fn authenticates(key: &HmacSha256, body: &[u8], code: &[u8]) -> bool {
    first::<8>(&mac(key, &[body])).ct_eq(code).into()
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[..N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Credential;

    fn keyring(secrets: &[u8]) -> Keyring {
        let secrets: Vec<_> = secrets.iter().map(|byte| Zeroizing::new([*byte; 32])).collect();
        Keyring::new(&secrets).expect("different secrets")
    }

    fn phone() -> Phone {
        Phone::parse("(123)456-7890", "US").expect("possible")
    }

    #[test]
    fn a_token_is_vouched_for_by_every_secret_that_is_left() {
        let token = keyring(&[1]).issue_token(UserId(42), [5; 16]);
        assert_eq!(token.user(), UserId(42));
        assert!(keyring(&[2, 1]).vouches_for(&token));
        assert!(!keyring(&[2]).vouches_for(&token));
    }

    #[test]
    fn a_token_with_any_bit_changed_is_not_ours() {
        let ring = keyring(&[1]);
        let token = ring.issue_token(UserId(42), [5; 16]);
        let text = token.expose();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).expect("ASCII").parse::<UserToken>();
            assert!(!forged.is_ok_and(|forged| forged != token && ring.vouches_for(&forged)));
        }
    }

    #[test]
    fn a_page_token_is_for_its_pages_and_no_other_use() {
        let ring = keyring(&[1]);
        let token = ring.issue_page_token(PagePlace::Console, UserId(42), [5; 16]);
        assert_eq!((token.user(), token.expose().len()), (UserId(42), 44));
        assert!(token.is_for(PagePlace::Console) && !token.is_for(PagePlace::Settings));
        assert!(keyring(&[2, 1]).vouches_for_page(&token) && !keyring(&[2]).vouches_for_page(&token));
        assert!(token.expose().parse::<Credential>().is_err(), "the API cannot read it");
        let mut forged = [0; 25];
        forged.copy_from_slice(token.body());
        forged[0] = PagePlace::Settings as u8;
        let code = first(token.code());
        assert!(!ring.vouches_for_page(&PageToken::assemble(forged, code)), "the code covers the place");
    }

    #[test]
    fn codes_repeat_for_a_challenge_and_differ_between_them() {
        let ring = keyring(&[1]);
        let code = |challenge: u8, user| {
            ring.phone_code(ring.current(), &[challenge; 16], UserId(user), &phone(), 6).expect("the secret is here")
        };
        assert_eq!(code(1, 1), code(1, 1));
        assert_eq!(code(1, 1).expose().len(), 6);
        assert_ne!(code(1, 1), code(2, 1));
        assert_ne!(code(1, 1), code(1, 2));
        assert_eq!(ring.phone_code(KeyId(-1), &[1; 16], UserId(1), &phone(), 6), None);
    }

    #[test]
    fn codes_are_spread_evenly() {
        let (ring, phone) = (keyring(&[1]), phone());
        let mut first_digits = [0_u32; 10];
        for n in 0..20_000_u32 {
            let mut challenge = [0; 16];
            challenge[..4].copy_from_slice(&n.to_be_bytes());
            let code = ring.phone_code(ring.current(), &challenge, UserId(1), &phone, 6).expect("the secret is here");
            first_digits[usize::from(code.expose().as_bytes()[0] - b'0')] += 1;
        }
        assert!(first_digits.iter().all(|count| (1_800..2_200).contains(count)), "{first_digits:?}");
    }

    #[test]
    fn a_code_of_the_old_secret_still_proves_itself_after_a_rotation() {
        let old = keyring(&[1]).phone_proof(UserId(1), &Code::typed("1988"));
        assert!(keyring(&[2, 1]).phone_proofs(UserId(1), &Code::typed("1988")).contains(&old));
        assert!(!keyring(&[2, 1]).phone_proofs(UserId(1), &Code::typed("1989")).contains(&old));
    }

    #[test]
    fn a_decoy_is_never_a_user() {
        let email: Email = "nobody@example.com".parse().expect("well formed");
        let (subjects, again) = (Subjects::new(&[1; 32]), Subjects::new(&[1; 32]));
        assert!(subjects.decoy(&email).0 < 0);
        assert_eq!(subjects.decoy(&email), again.decoy(&email));
        assert_ne!(subjects.decoy(&email), Subjects::new(&[2; 32]).decoy(&email));
    }

    #[test]
    fn a_keyring_wants_different_secrets() {
        let one = || Zeroizing::new([1; 32]);
        assert_eq!(Keyring::new(&[]).err(), Some(KeyringError::Empty));
        assert_eq!(Keyring::new(&[one(), one()]).err(), Some(KeyringError::Twice));
    }
}
