//! `Models`: what is found by name and by identity, and what is shared.

use std::path::Path;
use std::sync::Arc;

use llmzip::store::Store;
use llmzip::{EncoderOptions, Error, Model, Models, compress_all, decompress_all};

fn fixture() -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    Model::open(folder.join("fixture.llmzmodel")).unwrap()
}

#[test]
fn a_file_is_opened_and_named_after_itself() {
    let model = fixture();
    assert_eq!(model.name(), Some("fixture"));
    assert_eq!(model.size(), 107_100);
    assert!(model.parameters() > 0);
    assert!(format!("{model:?}").contains("9b477d67e4d52001"));
    let error = Model::open("Cargo.toml").unwrap_err();
    assert!(matches!(error, Error::Model(_)), "{error}");
}

#[test]
fn an_added_model_is_found_by_name_and_identity() {
    let model = Arc::new(fixture());
    let models = Models::none().with(Arc::clone(&model));
    assert_eq!(models.names().unwrap(), ["fixture"]);
    assert!(Arc::ptr_eq(&models.get("fixture").unwrap(), &model));
    let identity = model.identity().first_chunk().copied().unwrap();
    let found = models.find(&identity).unwrap();
    assert!(found.is_some_and(|found| Arc::ptr_eq(&found, &model)));
    assert!(models.find(&[0; 8]).unwrap().is_none());
    assert!(matches!(models.get("other"), Err(Error::Store(_))));
}

#[test]
fn stored_models_are_found_and_opened_once() {
    let home = tempfile::tempdir().unwrap();
    let packed = std::fs::read("fixtures/fixture.llmzmodel").unwrap();
    Store::at(home.path()).add_bytes(&packed, "stored").unwrap();

    let models = Models::installed_in(home.path()).threads(1);
    assert!(models.names().unwrap().contains(&"stored".to_owned()));
    let model = models.get("stored").unwrap();
    assert_eq!(model.name(), Some("stored"));
    assert!(Arc::ptr_eq(&model, &models.clone().get("stored").unwrap()));
    let identity = model.identity().first_chunk().copied().unwrap();
    let found = models.find(&identity).unwrap();
    assert!(found.is_some_and(|found| Arc::ptr_eq(&found, &model)));
    assert!(matches!(models.get("missing"), Err(Error::Store(_))));
}

#[cfg(feature = "encode")]
#[test]
fn a_frame_names_the_model_that_it_needs() {
    let options = EncoderOptions::new().model(Arc::new(fixture()));
    let original = b"whatever is coded with a model is read with the same model";
    let compressed = compress_all(original, &options).unwrap();
    let with_model = Models::none().with(Arc::new(fixture()));
    assert_eq!(decompress_all(&compressed, &with_model).unwrap(), original);
    let missing = decompress_all(&compressed, Models::none()).unwrap_err();
    let Error::MissingModel { identity, name } = missing else {
        panic!("{missing}");
    };
    assert_eq!(name.as_deref(), Some("fixture"));
    assert!(fixture().identity().starts_with(&identity));
}

#[cfg(not(feature = "encode"))]
#[test]
fn a_build_without_tokenizers_compresses_without_models() {
    let options = EncoderOptions::new().model(Arc::new(fixture()));
    let refused = compress_all(b"text", &options);
    assert!(matches!(refused, Err(Error::Unsupported(_))), "{refused:?}");
    let compressed = compress_all(b"text", &EncoderOptions::new()).unwrap();
    let restored = decompress_all(&compressed, Models::none()).unwrap();
    assert_eq!(restored, b"text");
}

#[cfg(all(feature = "builtin", feature = "encode"))]
#[test]
fn built_in_models_need_no_folder_and_no_name_in_the_frame() {
    let models = Models::builtin();
    let nano = models.get("nano").unwrap();
    assert!(Arc::ptr_eq(&nano, &models.get("nano").unwrap()));
    let options = EncoderOptions::new().model(nano);
    let original = b"It was the best of times, it was the worst of times.";
    let compressed = compress_all(original, &options).unwrap();
    assert!(!compressed.windows(4).any(|bytes| bytes == b"nano"));
    for models in [models, Models::builtin(), Models::installed()] {
        assert_eq!(decompress_all(&compressed, &models).unwrap(), original);
    }
    let missing = decompress_all(&compressed, Models::none()).unwrap_err();
    let message = missing.to_string();
    assert!(
        message.starts_with("needs model nano (blake3 "),
        "{message}"
    );
}

/// A log of 300 lines, three of which are no routine.
#[cfg(all(feature = "builtin", feature = "encode"))]
fn log() -> String {
    const REMARKS: [&str; 3] = [
        "the connection to the server was lost",
        "a request took longer than expected",
        "no space is left on the device",
    ];
    let mut state = 1u32;
    let mut random = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % below
    };
    let mut seconds = 0;
    let line = |number: usize| {
        seconds += random(5);
        let (minute, second) = (seconds / 60, seconds % 60);
        let remark = match number % 100 {
            50 => REMARKS[number / 100],
            _ => "request served",
        };
        let (worker, time) = (random(8), random(900));
        format!("10:{minute:02}:{second:02} worker {worker}: {remark} in {time} ms\n")
    };
    (0..300).map(line).collect()
}

#[cfg(all(feature = "builtin", feature = "encode"))]
#[test]
fn a_log_that_the_model_makes_a_little_shorter_goes_to_the_experts_by_default() {
    let log = log();
    let options = EncoderOptions::new().model(Models::builtin().get("nano").unwrap());
    let compressed = |options: &EncoderOptions| compress_all(log.as_bytes(), options).unwrap();
    let by_default = compressed(&options);
    assert!(by_default == compressed(&EncoderOptions::new()));
    // The model gains less than 3 %, but it gains.
    let smallest = compressed(&options.wanted_gain(0));
    assert!(smallest.len() < by_default.len() && smallest.len() * 100 > by_default.len() * 97);
    assert!(decompress_all(&smallest, Models::none()).is_err());
    assert!(decompress_all(&by_default, Models::none()).unwrap() == log.as_bytes());
}

#[test]
fn a_wanted_gain_has_at_most_1000_thousandths() {
    let compressed = |gain| compress_all(b"text", &EncoderOptions::new().wanted_gain(gain));
    assert!(compressed(1000).is_ok());
    assert!(matches!(compressed(1001), Err(Error::Unsupported(_))));
}
