//! What a trial works on, and what must be true afterwards.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use llmzip::store::{Installed, Store};
use llmzip::{EncoderOptions, Models, compress_all, decompress_all};

use crate::git_hash::git_hash;
use crate::loopback_hub::{Hub, REPOSITORY};
use crate::program::{Ran, run};
use crate::trials::{Random, Trials};

/// Who is not root, where root makes the trials.
pub(crate) const NOBODY: u32 = 65534;

/// What all trials use.
pub(crate) struct Kit {
    folder: tempfile::TempDir,
    /// The packed model that is added and removed, and the folder that it is packed from.
    pub(crate) fixture: PathBuf,
    fixture_folder: PathBuf,
    /// The packed model that is always in the store.
    kept: PathBuf,
    /// A third one.
    pub(crate) other: PathBuf,
    /// Offers the folder.
    pub(crate) hub: Hub,
    /// Whether root makes the trials, whom no mode of a file holds back.
    pub(crate) is_root: bool,
}

impl Kit {
    pub(crate) fn new() -> Kit {
        // Names that cannot be mistaken for temporary ones of the program.
        let folder = tempfile::Builder::new()
            .prefix("faults-")
            .tempdir()
            .unwrap();
        open_to_all(folder.path());
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = folder.path().join("llmzip");
        // Where everybody may run it: the checkout may lie in a private folder.
        fs::copy(env!("CARGO_BIN_EXE_llmzip"), program).unwrap();
        let probe = folder.path().join("probe");
        File::create(&probe).unwrap();
        fs::set_permissions(&probe, Permissions::from_mode(0o000)).unwrap();
        Kit {
            fixture: root.join("fixtures/fixture.llmzmodel"),
            fixture_folder: root.join("fixtures/fixture-hf"),
            kept: root.join("src/store/embedded/nano.llmzmodel"),
            hub: Hub::start(),
            other: root.join("src/store/embedded/micro.llmzmodel"),
            is_root: File::open(probe).is_ok(),
            folder,
        }
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.folder.path().join("llmzip")
    }

    /// An empty folder for one trial.
    pub(crate) fn new_folder(&self) -> tempfile::TempDir {
        let folder = tempfile::Builder::new()
            .prefix("trial-")
            .tempdir_in(self.folder.path())
            .unwrap();
        open_to_all(folder.path());
        folder
    }
}

fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
}

/// What the program does in a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Compress,
    CompressRemove,
    CompressReplace,
    Decompress,
    DecompressRemove,
    AddFolder,
    AddPacked,
    Pull,
    RemoveModel,
}

impl Work {
    pub(crate) const ALL: [Work; 9] = [
        Work::Compress,
        Work::CompressRemove,
        Work::CompressReplace,
        Work::Decompress,
        Work::DecompressRemove,
        Work::AddFolder,
        Work::AddPacked,
        Work::Pull,
        Work::RemoveModel,
    ];

    /// Those that read a file and write another.
    pub(crate) const ON_FILES: [Work; 5] = [
        Work::Compress,
        Work::CompressRemove,
        Work::CompressReplace,
        Work::Decompress,
        Work::DecompressRemove,
    ];

    /// Those that write.
    pub(crate) const WRITING: [Work; 6] = [
        Work::Compress,
        Work::CompressRemove,
        Work::Decompress,
        Work::AddFolder,
        Work::AddPacked,
        Work::Pull,
    ];

    fn compresses(self) -> bool {
        matches!(
            self,
            Work::Compress | Work::CompressRemove | Work::CompressReplace
        )
    }

    fn decompresses(self) -> bool {
        matches!(self, Work::Decompress | Work::DecompressRemove)
    }

    /// Whether it adds the fixture to the store.
    fn adds(self) -> bool {
        matches!(self, Work::AddFolder | Work::AddPacked | Work::Pull)
    }

    fn removes_input(self) -> bool {
        matches!(self, Work::CompressRemove | Work::DecompressRemove)
    }
}

/// What is allowed besides success and a refusal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowed {
    /// The signal that may end the program.
    pub(crate) signal: Option<i32>,
    /// A temporary file, or a packed model without a name, may be left.
    pub(crate) leftovers: bool,
    /// Lines of message besides one.
    pub(crate) more_lines: usize,
    /// It may fail without a message, because it cannot write any.
    pub(crate) silence: bool,
}

impl Allowed {
    /// Nothing.
    pub(crate) const NOTHING: Allowed = Allowed {
        signal: None,
        leftovers: false,
        more_lines: 0,
        silence: false,
    };
}

/// A folder with a file `a`, or `a.llmz`, and a model store.
pub(crate) struct World<'a> {
    kit: &'a Kit,
    /// The address of the hub.
    endpoint: String,
    /// Removed at the end, where the trial has a folder of its own.
    _folder: Option<tempfile::TempDir>,
    path: PathBuf,
    pub(crate) work: Work,
    level: &'static str,
    original: Vec<u8>,
    compressed: Vec<u8>,
    /// What an output replaces.
    old: Vec<u8>,
}

impl<'a> World<'a> {
    /// A world for `work`, of random contents.
    pub(crate) fn new(kit: &'a Kit, random: &mut Random, work: Work) -> World<'a> {
        let folder = kit.new_folder();
        let path = folder.path().to_owned();
        let original = original(random);
        let level = *random.of(&["-1", "-3"]);
        World::build(kit, Some(folder), path, work, level, original)
    }

    /// A world for a random work of these.
    pub(crate) fn random(trials: &mut Trials<'a>, works: &[Work]) -> World<'a> {
        let work = *trials.random.of(works);
        World::new(trials.kit, &mut trials.random, work)
    }

    /// A world in an empty folder that is there.
    pub(crate) fn in_folder(
        kit: &'a Kit,
        path: &Path,
        random: &mut Random,
        work: Work,
    ) -> World<'a> {
        let original = original(random);
        World::build(kit, None, path.to_owned(), work, "-1", original)
    }

    /// A world with this original, compressed at level 1.
    pub(crate) fn with(kit: &'a Kit, work: Work, original: Vec<u8>) -> World<'a> {
        let folder = kit.new_folder();
        let path = folder.path().to_owned();
        World::build(kit, Some(folder), path, work, "-1", original)
    }

    fn build(
        kit: &'a Kit,
        folder: Option<tempfile::TempDir>,
        path: PathBuf,
        work: Work,
        level: &'static str,
        original: Vec<u8>,
    ) -> World<'a> {
        let compress = |bytes: &[u8]| compress_all(bytes, &EncoderOptions::new()).unwrap();
        let world = World {
            compressed: match work.decompresses() {
                true => compress(&original),
                false => Vec::new(),
            },
            old: match work {
                Work::CompressReplace => compress(b"an older version"),
                _ => Vec::new(),
            },
            kit,
            endpoint: kit.hub.endpoint.clone(),
            _folder: folder,
            path,
            work,
            level,
            original,
        };
        world.fill();
        world
    }

    fn fill(&self) {
        if self.work.compresses() {
            fs::write(self.input(), &self.original).unwrap();
        }
        if self.work.decompresses() {
            fs::write(self.input(), &self.compressed).unwrap();
        }
        if self.work == Work::CompressReplace {
            fs::write(self.output(), &self.old).unwrap();
        }
        self.install("kept", &self.kit.kept);
        if self.work == Work::RemoveModel {
            self.install("added", &self.kit.fixture);
        }
    }

    /// Puts a model into the store as the store itself does, without its syncing.
    pub(crate) fn install(&self, name: &str, packed: &Path) {
        let bytes = fs::read(packed).unwrap();
        let identity = blake3::hash(&bytes).to_hex().to_string();
        for folder in ["models", "names"] {
            fs::create_dir_all(self.home().join(folder)).unwrap();
        }
        fs::write(self.model(&identity), bytes).unwrap();
        let name = self.home().join("names").join(name);
        fs::write(name, format!("{identity}\n")).unwrap();
    }

    fn model(&self, identity: &str) -> PathBuf {
        let name = format!("{identity}.llmzmodel");
        self.home().join("models").join(name)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.path.join("home")
    }

    /// From now on models are fetched from this hub.
    pub(crate) fn use_hub(&mut self, hub: &Hub) {
        self.endpoint.clone_from(&hub.endpoint);
    }

    /// What the hub's tools share.
    fn cache(&self) -> PathBuf {
        self.path.join("hf/hub/models--owner--tiny")
    }

    pub(crate) fn kit(&self) -> &'a Kit {
        self.kit
    }

    pub(crate) fn original(&self) -> &[u8] {
        &self.original
    }

    /// What is read; the models that are added lie elsewhere.
    pub(crate) fn input(&self) -> PathBuf {
        let name = if self.work.decompresses() {
            "a.llmz"
        } else {
            "a"
        };
        self.path.join(name)
    }

    pub(crate) fn output(&self) -> PathBuf {
        let name = if self.work.decompresses() {
            "a"
        } else {
            "a.llmz"
        };
        self.path.join(name)
    }

    /// The arguments of the program.
    pub(crate) fn args(&self) -> Vec<OsString> {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let with = |text: &str, path: &Path| {
            let mut args = words(text);
            args.push(path.into());
            args
        };
        let level = self.level;
        match self.work {
            Work::Compress => words(&format!("compress {level} a")),
            Work::CompressRemove => words(&format!("compress {level} --rm a")),
            Work::CompressReplace => words(&format!("compress {level} -f a")),
            Work::Decompress => words("decompress a.llmz"),
            Work::DecompressRemove => words("decompress --rm a.llmz"),
            Work::AddFolder => with("model add --name added", &self.kit.fixture_folder),
            Work::AddPacked => with("model add --name added", &self.kit.fixture),
            Work::Pull => words(&format!("model pull {REPOSITORY} --name added")),
            Work::RemoveModel => words("model remove added"),
        }
    }

    /// What the trial does, in words.
    pub(crate) fn shown(&self) -> String {
        let args = self.args();
        let args: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
        format!("{} ({} bytes)", args.join(" "), self.original.len())
    }

    /// A command in this world that starts `program`.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .current_dir(&self.path)
            .env("LLMZIP_HOME", self.home())
            .env("HF_HOME", self.path.join("hf"))
            .env("HF_ENDPOINT", &self.endpoint)
            .env_remove("HF_TOKEN")
            .env_remove("HF_HUB_OFFLINE")
            .env_remove("LLMZIP_KERNELS")
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null());
        command
    }

    /// The program with the arguments of this world.
    pub(crate) fn llmzip(&self) -> Command {
        let mut command = self.command(self.kit.program());
        command.args(self.args());
        command
    }

    /// The shell, which runs `before` and becomes the program.
    pub(crate) fn shell(&self, before: &str) -> Command {
        let mut command = self.command("sh");
        command
            .args(["-c", &format!("{before}; exec \"$0\" \"$@\"")])
            .arg(self.kit.program())
            .args(self.args());
        command
    }

    /// Whether all is as it must be after a run.
    pub(crate) fn check(&self, ran: &Ran, allowed: Allowed) -> Result<(), String> {
        check_end(ran, allowed)?;
        self.check_files(ran, allowed)?;
        self.check_store(ran, allowed)?;
        self.check_cache()
    }

    /// Every content in the hub's cache must be whole. What is still to come has another name.
    fn check_cache(&self) -> Result<(), String> {
        let blobs = self.cache().join("blobs");
        for name in names(&blobs) {
            let bytes = fs::read(blobs.join(&name)).unwrap();
            if !name.ends_with(".llmzip-part") && name != git_hash(&bytes) {
                return Err(format!("{name} in the cache holds something else"));
            }
        }
        Ok(())
    }

    /// Nothing in the hub's cache may wait for a run that is not to come.
    fn check_leftovers_in_cache(&self) -> Result<(), String> {
        for folder in [
            "blobs",
            "refs",
            "snapshots/0123456789abcdef0123456789abcdef01234567",
        ] {
            let names = names(&self.cache().join(folder));
            if let Some(left) = names.iter().find(|name| name.contains(".llmzip-")) {
                return Err(format!("{left} is left in the cache"));
            }
        }
        Ok(())
    }

    fn check_files(&self, ran: &Ran, allowed: Allowed) -> Result<(), String> {
        for name in names(&self.path) {
            match name.as_str() {
                "a" | "a.llmz" | "home" | "hf" => {}
                name if allowed.leftovers && is_temporary(name) => {}
                name => return Err(format!("{name} is left")),
            }
        }
        if !self.work.compresses() && !self.work.decompresses() {
            return Ok(());
        }
        let input = self.input_is_there()?;
        let output = self.output_is_complete()?;
        match (input, output, ran.code) {
            (false, false, _) => Err("the original is lost".to_owned()),
            (_, false, Some(0)) => Err("exit 0 without the output".to_owned()),
            (true, _, Some(0)) if self.work.removes_input() => {
                Err("exit 0, and the input is not deleted".to_owned())
            }
            (false, ..) if !self.work.removes_input() => Err("the input is deleted".to_owned()),
            _ => Ok(()),
        }
    }

    /// Whether the input is there; it must be unchanged.
    fn input_is_there(&self) -> Result<bool, String> {
        let expected = match self.work.decompresses() {
            true => &self.compressed,
            false => &self.original,
        };
        match read(&self.input()) {
            Some(bytes) if bytes == *expected => Ok(true),
            Some(_) => Err("the input has changed".to_owned()),
            None => Ok(false),
        }
    }

    /// Whether the output is there, or only what it replaces; either must be complete.
    fn output_is_complete(&self) -> Result<bool, String> {
        let Some(bytes) = read(&self.output()) else {
            return match self.work {
                Work::CompressReplace => Err("the old output is lost".to_owned()),
                _ => Ok(false),
            };
        };
        if self.work == Work::CompressReplace && bytes == self.old {
            return Ok(false);
        }
        let original = match self.work.decompresses() {
            true => bytes,
            false => decompressed(&bytes)?,
        };
        match original == self.original {
            true => Ok(true),
            false => Err("the output holds something else".to_owned()),
        }
    }

    fn check_store(&self, ran: &Ran, allowed: Allowed) -> Result<(), String> {
        let listed = self.models()?;
        let is_there = |name: &str| listed.iter().any(|model| model.name == name);
        if !is_there("kept") {
            return Err("a model is lost".to_owned());
        }
        match (self.work, ran.code) {
            (work, Some(0)) if work.adds() && !is_there("added") => {
                return Err("exit 0, and the model is not added".to_owned());
            }
            (Work::RemoveModel, Some(0)) if is_there("added") => {
                return Err("exit 0, and the model is not removed".to_owned());
            }
            _ => {}
        }
        match allowed.leftovers {
            true => Ok(()),
            false => self.check_leftovers_in_store(&listed),
        }
    }

    /// The models in the store, each of which must be whole.
    pub(crate) fn models(&self) -> Result<Vec<Installed>, String> {
        let store = Store::at(self.home());
        let mut stored = Vec::new();
        for name in store.names().map_err(|error| error.to_string())? {
            let model = store.installed(&name);
            let model = model.map_err(|error| format!("{name}: {error}"))?;
            if !model.built_in {
                let whole = store.verify(&model);
                whole.map_err(|error| format!("{name}: {error}"))?;
                stored.push(model);
            }
        }
        Ok(stored)
    }

    /// Every file in the store must be a name, or a model that has one.
    pub(crate) fn check_leftovers_in_store(&self, listed: &[Installed]) -> Result<(), String> {
        let store = Store::at(self.home());
        let paths = listed.iter().map(|m| store.path_of(&m.identity));
        let wanted: Vec<PathBuf> = paths.map(Result::unwrap).collect();
        for name in names(&self.home().join("models")) {
            if !wanted.contains(&self.home().join("models").join(&name)) {
                return Err(format!("home/models/{name} is left"));
            }
        }
        for name in names(&self.home().join("names")) {
            if !listed.iter().any(|model| model.name == name) {
                return Err(format!("home/names/{name} is left"));
            }
        }
        Ok(())
    }

    /// After a run that was killed: another run, much later, does the whole work, and nothing is
    /// left of the first.
    pub(crate) fn check_second_run(&self) -> Result<(), String> {
        let old = SystemTime::now() - Duration::from_secs(3 * 24 * 60 * 60);
        for folder in [self.path(), &self.home().join("models")] {
            for name in names(folder) {
                if !name.starts_with("a") && name != "home" && name != "hf" {
                    let file = File::open(folder.join(&name)).unwrap();
                    file.set_modified(old).unwrap();
                }
            }
        }
        let is_there = |path: PathBuf| path.exists();
        let done = match self.work {
            Work::RemoveModel => !is_there(self.home().join("names/added")),
            _ => self.work.removes_input() && !is_there(self.input()),
        };
        let mut command = self.llmzip();
        if is_there(self.output()) && self.work != Work::CompressReplace {
            command.arg("-f");
        }
        // What was removed completely cannot be removed again.
        if !done {
            let ran = run(&mut command);
            if ran.code != Some(0) {
                return Err(format!("a second run fails: {ran}"));
            }
            self.check_files(&ran, Allowed::NOTHING)?;
        }
        if self.work.adds() {
            self.check_leftovers_in_store(&self.models()?)?;
            self.check_leftovers_in_cache()?;
        }
        Ok(())
    }
}

/// How a run may end and what it may say.
pub(crate) fn check_end(ran: &Ran, allowed: Allowed) -> Result<(), String> {
    if ran.hung() {
        return Err("it hangs".to_owned());
    }
    match (ran.code, ran.signal) {
        (Some(0 | 1), _) => {}
        (None, signal) if signal.is_some() && signal == allowed.signal => {}
        _ if ran.never_started() => return Ok(()),
        _ => return Err("it ends in a wrong way".to_owned()),
    }
    for hidden in [".tmp", ".new-", "/proc/"] {
        if ran.stderr.contains(hidden) {
            return Err(format!("its message tells {hidden}"));
        }
    }
    let lines = ran
        .stderr
        .lines()
        .filter(|line| line.starts_with("llmzip: "));
    let lines = lines.count();
    if lines > 1 + allowed.more_lines {
        return Err(format!("it says {lines} lines"));
    }
    match (ran.code, lines) {
        (Some(1), 0) if !allowed.silence => Err("it fails and says nothing".to_owned()),
        _ => Ok(()),
    }
}

/// The original of compressed bytes.
pub(crate) fn decompressed(bytes: &[u8]) -> Result<Vec<u8>, String> {
    decompress_all(bytes, Models::builtin()).map_err(|error| format!("the output: {error}"))
}

/// The bytes of a file; `None` if there is none.
pub(crate) fn read(path: &Path) -> Option<Vec<u8>> {
    match fs::read(path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

/// The names in a folder, sorted; none if there is no folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn is_temporary(name: &str) -> bool {
    name.starts_with(".llmzip-") && (name.ends_with(".tmp") || name.ends_with(".input"))
}

/// Bytes to be compressed: nothing, text, noise, or text before noise.
fn original(random: &mut Random) -> Vec<u8> {
    const TEXT: &str = include_str!("../../docs/FORMAT.md");
    let start = random.below(TEXT.len() / 2);
    let len = *random.of(&[1, 100, 2_000, 6_000]);
    let text = &TEXT.as_bytes()[start..start + len];
    match random.below(6) {
        0 => Vec::new(),
        1 => random.bytes(50_000),
        2 => [text, &random.bytes(20_000)].concat(),
        _ => text.to_owned(),
    }
}
