//! `--device` and `devices`, on a machine whose Vulkan has no device. `tests/devices.rs` has one.

use crate::harness::{Dir, TEXT, TestCommand, text};

/// The same command where Vulkan finds no driver.
fn without_drivers(command: TestCommand) -> TestCommand {
    let variables = ["VK_ICD_FILENAMES", "VK_DRIVER_FILES", "VK_ADD_DRIVER_FILES"];
    variables.iter().fold(command, |command, variable| {
        command.with(variable, "/nonexistent")
    })
}

/// What is wrong with a device that was asked for.
fn refuses(error: &str) -> bool {
    match cfg!(feature = "gpu") {
        true => ["Vulkan", "there is no "]
            .iter()
            .any(|part| error.contains(part)),
        false => error.ends_with("this build of llmzip has no support for GPUs"),
    }
}

#[test]
fn every_command_that_uses_a_model_takes_a_device() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.compressed("a.llmz", TEXT, "-m nano");
    for device in ["cpu", "auto", "AUTO"] {
        for args in [
            "-f -m nano a",
            "compress -f -m nano a",
            "-d -c a.llmz",
            "decompress -c a.llmz",
            "cat --range 3:5 a.llmz",
            "test a.llmz",
            "-t a.llmz",
            "scaling -m nano a",
            #[cfg(feature = "encode")]
            "explain -m nano a",
            #[cfg(feature = "compare")]
            "compare -m nano a",
        ] {
            without_drivers(dir.llmzip(&format!("{args} --device {device}"))).succeeds();
        }
    }
    assert_eq!(dir.llmzip("cat a.llmz").succeeds(), TEXT);
}

#[test]
fn a_device_that_is_not_there_is_refused_in_one_sentence() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.compressed("a.llmz", TEXT, "-m nano");
    for args in [
        "compress -c -m nano a",
        "decompress -c a.llmz",
        "test a.llmz",
    ] {
        for device in ["gpu", "7", "no-such-device"] {
            let command = dir.llmzip(&format!("{args} --device {device}"));
            let error = without_drivers(command).fails(1);
            assert!(refuses(&error), "{error}");
        }
    }
    // Nobody needs it where there is no model.
    without_drivers(dir.llmzip("compress -c -m none --device gpu a")).succeeds();
    for wrong in ["--device=", "--device"] {
        let error = dir.llmzip(&format!("compress -c a {wrong}")).fails(2);
        assert!(error.contains("--device"), "{error}");
    }
}

#[test]
fn a_variable_names_another_default() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    let with = |value: &str, args: &str| {
        let command = dir.llmzip(&format!("compress -c -m nano {args} a"));
        without_drivers(command.with("LLMZIP_DEVICE", value))
    };
    assert!(refuses(&with("gpu", "").fails(1)));
    for (value, args) in [("", ""), ("cpu", ""), ("auto", ""), ("gpu", "--device cpu")] {
        with(value, args).succeeds();
    }
}

#[test]
fn where_there_is_no_device_none_is_listed() {
    let dir = Dir::new();
    let listed = text(&without_drivers(dir.llmzip("devices")).succeeds());
    assert!(listed.ends_with("models run on the CPU.\n"), "{listed}");
    let json = without_drivers(dir.llmzip("devices --test --json")).succeeds();
    assert_eq!(text(&json).trim(), "[]");
    assert!(dir.list().is_empty());
}
