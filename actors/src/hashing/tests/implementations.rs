//! Tests of the two implementations: published vectors, thousands of random inputs, and a wrong implementation that is
//! detected.

use crate::hashing::argon::{Argon2id, Parameters, Version, agree, prepared};
use crate::hashing::{Cost, DISAGREE, HashingBackend, HashingError, cannot_start};

fn cost(memory_kib: u32, iterations: u32, lanes: u32) -> Cost {
    Cost::new(memory_kib, iterations, lanes).expect("within bounds")
}

fn both() -> [Box<dyn Argon2id>; 2] {
    [HashingBackend::Simd, HashingBackend::Reference]
        .map(|backend| prepared(backend, &cost(64, 1, 1)).expect("there is memory for 64 KiB"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 9106 §5.3.
#[test]
fn both_libraries_give_the_tag_of_the_standard() {
    let (password, salt, secret, data) = ([1; 32], [2; 16], [3; 8], [4; 12]);
    let standard = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659";
    let mut tag = [0; 32];

    let params = argon2_rust::Params::builder()
        .memory(argon2_rust::params::Memory::kib(32))
        .passes(3)
        .lanes(4)
        .build()
        .expect("within bounds");
    argon2_rust::Argon2::new(argon2_rust::Algorithm::Argon2id, argon2_rust::Version::V0x13, params)
        .hash_into_with_ad(&password, &salt, &secret, &data, &mut tag)
        .expect("hashed");
    assert_eq!(hex(&tag), standard);

    let mut params = argon2::ParamsBuilder::new();
    params.m_cost(32).t_cost(3).p_cost(4).data(argon2::AssociatedData::new(&data).expect("short enough"));
    let params = params.build().expect("within bounds");
    argon2::Argon2::new_with_secret(&secret, argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
        .expect("short enough")
        .hash_password_into(&password, &salt, &mut tag)
        .expect("hashed");
    assert_eq!(hex(&tag), standard);
}

/// The tags that the authors of argon2 test their own implementation with.
#[test]
fn both_adapters_give_the_tags_of_the_authors() {
    for (cost, tag) in [
        (cost(65_536, 2, 1), "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"),
        (cost(256, 2, 1), "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"),
        (cost(256, 2, 2), "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037"),
    ] {
        let parameters = Parameters { cost, version: Version::V19, salt: b"somesalt".to_vec() };
        for mut hasher in both() {
            let mut made = [0; 32];
            hasher.derive(&parameters, b"password", &mut made).expect("hashed");
            assert_eq!(hex(&made), tag, "{cost:?}");
        }
    }
}

#[test]
fn both_agree_on_thousands_of_random_inputs() {
    fn random(below: usize) -> usize {
        rand::random_range(0..below)
    }
    fn bytes(shortest: usize, longest: usize) -> Vec<u8> {
        let mut bytes = vec![0; shortest + random(longest - shortest + 1)];
        rand::fill(&mut bytes);
        bytes
    }
    let [mut simd, mut reference] = both();
    for _ in 0..3_000 {
        let lanes = 1 + random(6) as u32;
        // Half of them larger than the threads' own memory, which is 64 KiB here.
        let cost = cost(8 * lanes + random(120) as u32, 1 + random(4) as u32, lanes);
        let version = [Version::V16, Version::V19][random(2)];
        let (parameters, password) = (Parameters { cost, version, salt: bytes(8, 64) }, bytes(0, 200));
        let mut one = bytes(16, 64);
        let mut other = vec![0; one.len()];
        simd.derive(&parameters, &password, &mut one).expect("hashed");
        reference.derive(&parameters, &password, &mut other).expect("hashed");
        assert_eq!(hex(&one), hex(&other), "{parameters:?}, password {}", hex(&password));
    }
}

#[test]
fn one_that_computes_something_else_is_found_out() {
    struct Liar(Box<dyn Argon2id>);
    impl Argon2id for Liar {
        fn derive(&mut self, parameters: &Parameters, password: &[u8], tag: &mut [u8]) -> Result<(), HashingError> {
            self.0.derive(parameters, password, tag)?;
            tag[31] ^= 1;
            Ok(())
        }
    }
    let parameters = Parameters { cost: cost(64, 1, 1), version: Version::V19, salt: vec![7; 16] };
    let [mut simd, mut reference] = both();
    assert!(agree(&mut *simd, &mut *reference, &parameters).is_ok());
    let mut liar = Liar(simd);
    assert_eq!(agree(&mut liar, &mut *reference, &parameters), Err(cannot_start(DISAGREE)));
    assert_eq!(agree(&mut *reference, &mut liar, &parameters), Err(cannot_start(DISAGREE)));
}
