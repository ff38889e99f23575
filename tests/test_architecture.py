"""The folder table of ARCHITECTURE.md and the includes under src/ say the same."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
LONGEST = 600


def document():
    for path in (ROOT / "ARCHITECTURE.md", ROOT / "docs" / "ARCHITECTURE.md"):
        if path.exists():
            return path.read_text()
    pytest.fail("there is no ARCHITECTURE.md")


def source_files():
    return sorted(p for p in SOURCE.rglob("*") if p.suffix in (".h", ".cc", ".cpp", ".hpp", ".inc"))


def includes():
    """Every quoted include: file, line, what it names."""
    for path in source_files():
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if found:
                yield path.relative_to(SOURCE), number, found.group(1)


def table(text):
    """Folder -> folders it may include; None means everything."""
    rows = {}
    for line in text.splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        found = re.fullmatch(r"`([a-z_]+)/(?:<name>/?)?`", cells[0]) if len(cells) == 3 else None
        if found:
            rows[found.group(1)] = cells[2]
    known = set(rows)

    def folders(name, seen=()):
        said = rows[name]
        if said == "everything":
            return None
        allowed = {"base", name} if name != "plugins" else {"base"}
        for word in re.findall(r"[a-z_]+", said.replace("`", "")):
            if word in known:
                allowed.add(word)
        # "... and what X may include", "as X, plus ..."
        for other in re.findall(r"what ([a-z_]+) may include", said) + re.findall(r"as ([a-z_]+)", said):
            if other in known and other not in seen:
                more = folders(other, seen + (name,))
                allowed |= more or set()
                if f"as {other}" in said and other != name:
                    allowed.discard(other)
        return allowed

    return {name: folders(name) for name in rows}


def test_the_folder_table_names_every_folder_under_src():
    named = set(table(document()))
    there = {p.name for p in SOURCE.iterdir() if p.is_dir() and any(f.is_file() for f in p.rglob("*"))}
    assert there <= named, f"not in the table: {sorted(there - named)}"


def test_files_include_only_what_the_folder_table_allows():
    allowed = table(document())
    wrong = []
    for path, number, target in includes():
        if "/" not in target:
            continue
        top, other = path.parts[0], target.split("/")[0]
        if len(path.parts) == 1 or other not in allowed:
            continue
        may = allowed.get(top)
        if top == other or may is None:
            continue
        if other not in may:
            wrong.append(f"src/{path}:{number} includes {target}; {top}/ may include {', '.join(sorted(may))}")
    assert not wrong, "\n" + "\n".join(wrong)


def test_rooms_under_plugins_do_not_include_each_other():
    wrong = []
    for path, number, target in includes():
        parts = target.split("/")
        if path.parts[0] == "plugins" and parts[0] == "plugins" and len(parts) > 2 and len(path.parts) > 2:
            if path.parts[1] != parts[1]:
                wrong.append(f"src/{path}:{number} includes {target}")
    assert not wrong, "\n" + "\n".join(wrong)


def test_includes_are_written_from_src():
    wrong = [f"src/{path}:{number} includes {target}" for path, number, target in includes()
             if not (SOURCE / target).exists() and not target.endswith((".inc", "version.h", "config.h"))]
    assert not wrong, "\n" + "\n".join(wrong)


def test_no_file_under_src_is_longer_than_600_lines():
    long = {str(p.relative_to(ROOT)): n for p in source_files()
            if (n := len(p.read_text(errors="replace").splitlines())) > LONGEST}
    assert not long, long
