//! The series of a plot: one for each class and family of models.

use super::{Curve, Fit, Point, Scaling};
use crate::report::numbers::one_line;

/// Most characters of a series' name.
const NAME_LEN: usize = 56;
/// Most files that the name lists.
const NAMED_FILES: usize = 2;

/// Points that a plot marks alike, and the law through those that have a model.
pub(super) struct Series<'a> {
    /// Class, files and, if there are several families, the models.
    pub(super) name: String,
    /// The point without a model belongs to the first series of its class.
    pub(super) points: Vec<&'a Point>,
    pub(super) fit: Option<&'a Fit>,
    /// The law in a few words, or why there is none.
    pub(super) law: String,
}

/// The series of all classes that have a file which is not empty.
pub(super) fn all(scaling: &Scaling) -> Vec<Series<'_>> {
    let of_curve = |curve| of_curve(curve, &scaling.families);
    let all = scaling.curves.iter().flat_map(of_curve);
    all.filter(|series| !series.points.is_empty()).collect()
}

fn of_curve<'a>(curve: &'a Curve, families: &[Vec<String>]) -> Vec<Series<'a>> {
    let baseline = curve.baseline().filter(|point| point.original > 0);
    let mut all: Vec<Series> = (0..families.len())
        .map(|family| Series {
            name: match families.len() {
                1 => name(curve),
                _ => shortened(format!("{}, {}", name(curve), models(&families[family]))),
            },
            points: curve.of_family(family).collect(),
            fit: curve.fits[family].as_ref().ok(),
            law: match &curve.fits[family] {
                Ok(fit) => law(fit),
                Err(reason) => reason.to_string(),
            },
        })
        .collect();
    if all.is_empty() {
        all.push(Series {
            name: name(curve),
            points: Vec::new(),
            fit: None,
            law: "no law fitted: no model".to_owned(),
        });
    }
    all[0].points.extend(baseline);
    all
}

/// The models of a family by the names of the smallest and the largest.
pub(super) fn models(family: &[String]) -> String {
    match family {
        [] => String::new(),
        [only] => one_line(only),
        [first, .., last] => one_line(&format!("{first} to {last}")),
    }
}

fn law(fit: &Fit) -> String {
    let few = match fit.has_few_points() {
        true => format!("only {} points", fit.residuals.len()),
        false => format!("{} points", fit.residuals.len()),
    };
    format!("{:.3} + {:.4} N^-{:.3}, {few}", fit.c, fit.a, fit.b)
}

/// The class and its files, without their folders.
fn name(curve: &Curve) -> String {
    let short = |file: &String| {
        let last = file.rsplit(['/', '\\']).next();
        last.unwrap_or(file).to_owned()
    };
    let files = match curve.files.len() {
        0..=NAMED_FILES => {
            let files: Vec<String> = curve.files.iter().map(short).collect();
            files.join(", ")
        }
        count => format!("{count} files"),
    };
    shortened(format!("{files} ({})", curve.class))
}

fn shortened(name: String) -> String {
    let name = one_line(&name);
    match name.char_indices().nth(NAME_LEN) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::scaling::curve::tests::scaling;

    #[test]
    fn series_are_named_by_files_and_class_and_each_family_is_one() {
        let mut scaling = scaling();
        let found = all(&scaling);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].name.as_str(), found[0].points.len()),
            ("a, <b>& (prose)", 5)
        );
        assert!(found[0].law.ends_with("only 4 points"), "{}", found[0].law);
        scaling.families.push(vec!["other".to_owned()]);
        let curve = &mut scaling.curves[0];
        curve.points[4].family = Some(1);
        curve.files = ["x/one", "two", "three"].map(str::to_owned).to_vec();
        curve.fits.push(Fit::new(&[]));
        let found = all(&scaling);
        assert_eq!(found[0].points.len(), 4);
        assert_eq!(found[1].name, "3 files (prose), other");
        assert!(found[1].fit.is_none() && found[1].law.contains("no law"));
    }
}
