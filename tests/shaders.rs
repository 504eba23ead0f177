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
