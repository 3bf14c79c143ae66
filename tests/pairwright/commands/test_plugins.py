"""Parts of other packages: real distributions in a folder, found by their entry points."""

import pytest

from pairwright.commands.plugins import load_plugins
from pairwright.errors import PluginError

GROUP = "pairwright.toys"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Write a distribution: its name, its entry points, its module's text."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(package, entries, module=""):
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entries}\n")
        (tmp_path / f"{package}.py").write_text(module)

    return write


def test_objects_come_sorted_by_name(install):
    install("dist_loaded", "b = dist_loaded:B\na = dist_loaded:A", "A, B = 'A', 'B'")
    assert load_plugins(GROUP, str, taken=["own"]) == ["A", "B"]
    assert load_plugins("pairwright.nothing") == []


@pytest.mark.parametrize(
    ("name", "entry", "module", "kind", "match"),
    [
        ("dist_raises", "x = dist_raises:X", "1 / 0", None, "'x' .* fails to load: ZeroDiv"),
        ("dist_lacks", "x = dist_lacks:X", "", None, "fails to load: AttributeError"),
        ("dist_kind", "x = dist_kind:X", "X = 3", str, "is int, not str"),
        ("dist_taken", "own = dist_taken:X", "X = 3", None, "pairwright has a 'own' already"),
        ("dist_named", "x = dist_named:X", "class X: name = 'y'", None, "called 'x', its object"),
    ],
)
def test_what_cannot_be_used_is_one_line_that_names_the_package(
    install, name, entry, module, kind, match
):
    install(name, entry, module)
    with pytest.raises(PluginError, match=match) as caught:
        load_plugins(GROUP, kind, taken=["own"])
    assert str(caught.value).startswith(f"the package {name} adds to {GROUP}, but ")
    assert f"uv pip uninstall {name}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_packages_with_one_name(install):
    install("dist_one", "x = dist_one:X", "X = 1")
    install("dist_two", "x = dist_two:X", "X = 2")
    with pytest.raises(PluginError, match=r"package dist_two .* the package dist_one has a 'x'"):
        load_plugins(GROUP)
