"""Renders recipe.yaml as conda-forge does, and compares it with the files that it speaks of:

    python3 packaging/conda/check.py

Needs the package py-rattler-build.
"""

import pathlib
import re
import tomllib

from rattler_build import PlatformConfig, RenderConfig, Stage0Recipe, VariantConfig

ROOT = pathlib.Path(__file__).parent.parent.parent
PLATFORMS = ("linux-64", "linux-aarch64", "osx-64", "osx-arm64")
FILLED_IN = {
    "@REPOSITORY@": "https://example.invalid/llmzip",
    "@SHA256@": "0" * 64,
    "@MAINTAINER@": "somebody",
}
# What conda-forge sets for a package of the stable interface.
VARIANT = {
    "c_compiler": ["gcc"],
    "c_stdlib": ["sysroot"],
    "rust_compiler": ["rust"],
    "is_abi3": [True],
    "is_python_min": [True],
    "python": ["3.11.* *_cpython"],
    "python_min": ["3.11"],
}


def render(text, platform):
    """The recipe of the one package that is made on ``platform``."""
    config = RenderConfig(platform=PlatformConfig(target_platform=platform))
    (rendered,) = Stage0Recipe.from_yaml(text).render(VariantConfig(VARIANT), config)
    return rendered.recipe


def filled_in():
    """The recipe as it is handed in."""
    text = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text()
    for placeholder, value in FILLED_IN.items():
        assert placeholder in text, placeholder
        text = text.replace(placeholder, value)
    assert not re.search("@[A-Z0-9]+@", text)
    return text


def check(recipe, project, cargo):
    """Assert that a rendered recipe says what the package says of itself."""
    rendered = recipe.to_dict()
    package, build, about = (rendered[name] for name in ("package", "build", "about"))
    assert package["name"] == project["name"]
    assert package["version"] == cargo["package"]["version"]
    assert build["python"]["version_independent"]
    assert about["license"] == project["license"] == cargo["package"]["license"]
    for name in about["license_file"]:
        assert name == "THIRDPARTY.yml" or (ROOT / name).is_file(), name
    assert project["requires-python"] == f">={VARIANT['python_min'][0]}"


def main():
    text = filled_in()
    with open(ROOT / "bindings" / "python" / "pyproject.toml", "rb") as file:
        pyproject = tomllib.load(file)
    with open(ROOT / "Cargo.toml", "rb") as file:
        cargo = tomllib.load(file)
    (maturin,) = pyproject["build-system"]["requires"]
    assert text.count(maturin.replace("maturin", "maturin ")) == 2, maturin
    for platform in PLATFORMS:
        check(render(text, platform), pyproject["project"], cargo)


if __name__ == "__main__":
    main()
