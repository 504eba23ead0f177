//! The programs of the engine for devices are what the compiler makes of their sources.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The compiler whose results are kept: another version may write other programs.
const COMPILER: &str = "Glslang Version: 11:12.0.0";

#[test]
fn compiled_shaders_are_those_of_the_sources() {
    let version = Command::new("glslangValidator").arg("--version").output();
    let version = version.expect("glslangValidator; Debian 12 has it in glslang-tools");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    assert!(
        version.starts_with(COMPILER),
        "{COMPILER} is needed: {version}"
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/vulkan/shaders");
    let compiled = tempfile::tempdir().unwrap();
    let mut script = Command::new(folder.join("compile.sh"));
    assert!(script.arg(compiled.path()).status().unwrap().success());
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let kept = folder.join("compiled");
    assert_eq!(names(&kept), names(compiled.path()));
    for name in names(&kept) {
        let same =
            fs::read(kept.join(&name)).unwrap() == fs::read(compiled.path().join(&name)).unwrap();
        assert!(same, "{}: run compile.sh", name.display());
    }
}

/// Sums and products may be joined by a driver's compiler unless they say no. Only the estimates of
/// quotients and roots, which are corrected, do not say it.
#[test]
fn no_sum_or_product_may_be_contracted() {
    const EXTENDED: u32 = 12;
    const DECORATE: u32 = 71;
    const NO_CONTRACTION: u32 = 42;
    const SUM: u32 = 129;
    const DIFFERENCE: u32 = 131;
    const PRODUCT: u32 = 133;
    const QUOTIENT: u32 = 136;
    let compiled = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/vulkan/shaders/compiled");
    let mut checked = 0;
    for entry in fs::read_dir(compiled).unwrap() {
        let path = entry.unwrap().path();
        let program = fs::read(&path).unwrap();
        let words: Vec<u32> = (program.chunks_exact(4))
            .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
            .collect();
        // Behind a header of five words, each instruction begins with its length and its code.
        let (mut instructions, mut rest) = (Vec::new(), &words[5..]);
        while let Some(first) = rest.first() {
            let (instruction, after) = rest.split_at((first >> 16) as usize);
            instructions.push((first & 0xffff, &instruction[1..]));
            rest = after;
        }
        let results = |codes: &[u32]| -> Vec<u32> {
            let of_codes = instructions.iter().filter(|(code, _)| codes.contains(code));
            of_codes.map(|(_, operands)| operands[1]).collect()
        };
        let kept: Vec<u32> = (instructions.iter())
            .filter(|(code, operands)| *code == DECORATE && operands[1] == NO_CONTRACTION)
            .map(|(_, operands)| operands[0])
            .collect();
        let estimates = results(&[QUOTIENT, EXTENDED]);
        for (code, operands) in &instructions {
            let is_kept = || kept.contains(&operands[1]);
            let is_estimate = || operands[2..].iter().any(|it| estimates.contains(it));
            let right = match *code {
                SUM | DIFFERENCE => is_kept(),
                PRODUCT => is_kept() || is_estimate(),
                _ => continue,
            };
            assert!(right, "{}: %{}", path.display(), operands[1]);
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked}");
}
