//! The program with a device. These tests need one: Mesa's lavapipe, which every machine can have,
//! or a GPU. The layer that checks calls of Vulkan is needed, too, and Mesa's that selects devices.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

/// A folder with a text, in which commands use the first device.
struct World(tempfile::TempDir);

/// The folder of models in which the test of the device is noted for all tests of this run.
static HOME: LazyLock<PathBuf> = LazyLock::new(|| {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("home of devices");
    let _ = fs::remove_dir_all(&home);
    home
});

impl World {
    fn new() -> World {
        let world = World(tempfile::tempdir().unwrap());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/runtime.rs");
        let source = fs::read(source).unwrap();
        fs::write(world.path("a"), &source[..500]).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn llmzip(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llmzip"));
        command
            .current_dir(self.0.path())
            .args(args.split_ascii_whitespace())
            .env("LLMZIP_HOME", &*HOME)
            .env("LLMZIP_DEVICE", "1")
            .env_remove("LLMZIP_KERNELS");
        command
    }

    /// Standard output of a command that exits with 0.
    fn gives(&self, args: &str) -> Vec<u8> {
        gives(&mut self.llmzip(args))
    }

    /// Standard error of a command that exits with 1.
    fn fails(&self, args: &str) -> String {
        let output = self.llmzip(args).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        said(&output)
    }

    /// The note of the only device in a folder of models.
    fn note(&self, home: &str) -> PathBuf {
        let mut notes = fs::read_dir(self.path(home).join("devices")).unwrap();
        let note = notes.next().expect("a note").unwrap().path();
        assert!(notes.next().is_none());
        note
    }
}

fn gives(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    output.stdout
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn files_are_those_of_the_cpu_and_open_there_and_the_other_way_round() {
    let world = World::new();
    let original = fs::read(world.path("a")).unwrap();
    for args in ["-m nano", "-m nano --streams 4", "-m micro --experts off"] {
        let on_device = world.gives(&format!("compress -c {args} a"));
        let on_cpu = world.gives(&format!("compress -c {args} --device cpu a"));
        assert!(on_device == on_cpu, "{args}");
        fs::write(world.path("a.llmz"), &on_cpu).unwrap();
        for device in ["1", "cpu"] {
            let back = world.gives(&format!("cat --device {device} a.llmz"));
            assert!(back == original, "{args} {device}");
        }
    }
}

#[test]
fn the_device_is_named_and_nothing_but_compressed_bytes_goes_to_standard_output() {
    let world = World::new();
    let mut command = world.llmzip("compress -v -c -m nano a");
    let output = command
        .env("VK_INSTANCE_LAYERS", "VK_LAYER_KHRONOS_validation")
        .env("VK_LOADER_DEBUG", "layer")
        .output()
        .unwrap();
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("the model runs on "), "{said}");
    let is_loaded = |line: &str| {
        line.contains("VK_LAYER_KHRONOS_validation") && line.to_lowercase().contains("insert")
    };
    assert!(said.lines().any(is_loaded), "{said}");
    for wrong in ["VUID", "Validation Error", "UNASSIGNED"] {
        assert!(!said.contains(wrong), "{said}");
    }
    assert!(output.stdout == world.gives("compress -c -m nano --device cpu a"));
}

#[test]
fn a_device_is_tested_once_and_a_note_that_is_bent_is_none() {
    let world = World::new();
    let run = |args: &str| {
        let mut command = world.llmzip(args);
        let output = command.env("LLMZIP_HOME", world.path("home")).output();
        let output = output.unwrap();
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), shown, said(&output))
    };
    let compress = "compress -q -m nano -f -o b a";
    assert_eq!(run(compress).0, Some(0));
    let good = fs::read_to_string(world.note("home")).unwrap();
    let bad = good.replace("true", "false");
    fs::write(world.note("home"), &bad).unwrap();
    let (code, _, error) = run(compress);
    assert_eq!(code, Some(1));
    assert!(
        error.contains("computes other bits than the CPU"),
        "{error}"
    );
    assert_eq!(
        run("compress -q -m nano -f -o b --device auto a").0,
        Some(0)
    );
    let listed = run("devices").1;
    assert!(
        listed.contains("no: it computes other bits than the CPU"),
        "{listed}"
    );
    // It could stand in the way, but not pass for a note.
    fs::write(world.note("home"), &bad[..bad.len() / 2]).unwrap();
    let listed = run("devices").1;
    assert!(listed.contains("not known"), "{listed}");
    let listed = run("devices --test").1;
    assert!(
        listed.contains("yes: it computes the same bits"),
        "{listed}"
    );
    assert_eq!(fs::read_to_string(world.note("home")).unwrap(), good);
}

#[test]
fn a_folder_that_cannot_be_written_is_no_error() {
    let world = World::new();
    fs::write(world.path("file"), "").unwrap();
    let mut command = world.llmzip("compress -c -m nano a");
    let home = world.path("file").join("home");
    let on_cpu = world.gives("compress -c -m nano --device cpu a");
    assert!(gives(command.env("LLMZIP_HOME", home)) == on_cpu);
}

#[test]
fn a_library_that_ends_the_program_is_an_error() {
    let world = World::new();
    for args in ["--rm -m nano a", "devices", "model check nano a --device 1"] {
        // With this a layer of Mesa prints the devices and calls exit(0).
        let mut command = world.llmzip(args);
        let output = command.env("MESA_VK_DEVICE_SELECT", "list").output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(1), "{args}");
        let said = said(&output);
        assert!(said.ends_with("the device cpu does without it\n"), "{said}");
    }
    let left = fs::read_dir(world.0.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["a"]);
}

#[test]
fn two_processes_use_a_device_at_once() {
    let world = World::new();
    let want = world.gives("compress -c -m nano --device cpu a");
    std::thread::scope(|scope| {
        let run = || assert!(world.gives("compress -c -m nano a") == want);
        scope.spawn(run);
        scope.spawn(run);
    });
}

#[test]
fn a_model_can_be_checked_on_a_device() {
    let world = World::new();
    let shown = world.gives("model check nano a --bytes 300 --no-candle --device 1");
    let shown = String::from_utf8(shown).unwrap();
    for how in ["many tokens at a time", "one token at a time"] {
        let line = shown.lines().find(|line| line.contains(how)).expect(how);
        assert!(line.contains("the same bits"), "{shown}");
    }
}

#[test]
fn devices_are_listed() {
    let world = World::new();
    let listed = world.gives("devices --json");
    let listed: serde_json::Value = serde_json::from_slice(&listed).unwrap();
    let first = &listed[0];
    assert!(first["usable"].as_bool().unwrap());
    let name = first["name"].as_str().unwrap();
    assert!(
        String::from_utf8(world.gives("devices"))
            .unwrap()
            .contains(name)
    );
    // A part of the name is enough, in upper case or lower.
    let part: String = name
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    for part in [part.to_uppercase(), part.to_lowercase()] {
        world.gives(&format!("compress -c -m nano --device {part} a"));
    }
    let error = world.fails("compress -c -m nano --device nonesuch a");
    assert!(
        error.ends_with("there is no device nonesuch here; llmzip devices lists what there is\n")
    );
}
