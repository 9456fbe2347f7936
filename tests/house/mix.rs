//! The mix of requests of a morning is written down once for each load generator: the numbers are the same.

use super::tree;
use std::collections::BTreeMap;

/// For k6 and for Locust. The kit's own is found by its constant.
const SCRIPTS: [&str; 2] = ["tests/load/morning.js", "tests/load/locustfile.py"];

#[test]
fn every_load_generator_has_the_same_morning() {
    let files = tree::all();
    let holds = |path: &str| SCRIPTS.contains(&path) || path.starts_with("tests/load/src/");
    let mixes: BTreeMap<&str, BTreeMap<String, u32>> = files
        .iter()
        .filter(|file| holds(&file.path))
        .filter_map(|file| Some((file.path.as_str(), mix(&file.text)?)))
        .collect();
    for script in SCRIPTS {
        assert!(mixes.contains_key(script), "{script} has no MIX");
    }
    for (path, mix) in &mixes {
        assert_eq!(mix, &mixes[SCRIPTS[0]], "{path} (left) differs from {} (right)", SCRIPTS[0]);
        assert_eq!((mix.len(), mix.values().sum::<u32>()), (5, 1_000), "{path} has five parts of a thousand");
    }
}

/// Of `MIX = { "check": 850, …` or `const MIX: … = [("check", 850), …` the names with their numbers.
fn mix(text: &str) -> Option<BTreeMap<String, u32>> {
    let begins = |line: &&str| {
        let name = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ").trim_start_matches("const ");
        name.starts_with("MIX =") || name.starts_with("MIX:")
    };
    let first = text.lines().position(|line| begins(&line))?;
    let mut rest = text.lines().skip(first);
    let mut block = String::new();
    for line in rest.by_ref() {
        block.push_str(line);
        if line == "}" || line == "};" || line.ends_with("];") {
            break;
        }
    }
    let block = block.replace('\'', "\"");
    let mut parts = block.split('"').skip(1);
    let mut mix = BTreeMap::new();
    while let (Some(name), Some(number)) = (parts.next(), parts.next()) {
        let digits: String =
            number.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        mix.insert(name.to_owned(), digits.parse().ok()?);
    }
    Some(mix)
}

#[test]
fn a_mix_is_read_in_each_language() {
    let expected = [("a-b".to_owned(), 850), ("c".to_owned(), 2)].into();
    let sources = [
        "const MIX = {\n  'a-b': 850,\n  'c': 2,\n};\nconst X = 3;",
        "MIX = {\n    \"a-b\": 850,\n    \"c\": 2,\n}\n",
        "x\npub const MIX: [(&str, u32); 2] = [(\"a-b\", 850), (\"c\", 2)];\n\"d\"",
        "const MIX: [(&str, Kind, u32); 2] = [\n    (\"a-b\", Kind::A, 850),\n    (\"c\", Kind::C, 2),\n];\n",
    ];
    for source in sources {
        assert_eq!(mix(source).as_ref(), Some(&expected), "{source}");
    }
    assert_eq!(mix("no MIX = here"), None);
}
