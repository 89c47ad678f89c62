"""Records what applications send to SQLite, for tests/policy/corpora.rs: `python3 record.py FOLDER` installs the packages in
that folder, runs the tests of Django and SQLAlchemy and the scripts beside this one, and writes tests/data/corpora. Takes
about half an hour. Statements of one shape (names, literals and lengths of lists apart) are kept once."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = HERE.parent.parent / "data" / "corpora"
DJANGO, SQLALCHEMY = "5.2.19", "2.1.9"
PRISMA, SCHEMA_ENGINE = "7.10.1", "7.8.0-6.3c6e192761c0362d496ed980de936e2f3cebcd3a"
LONGEST = 1500

DJANGO_TESTS = """queries aggregation aggregation_regress annotations expressions expressions_case expressions_window
    migrations schema introspection backends db_functions lookup custom_lookups ordering many_to_many many_to_one one_to_one
    model_fields transactions constraints indexes bulk_create update delete delete_regress select_related
    select_related_regress prefetch_related raw_query inspectdb db_utils basic get_or_create m2m_through m2m_recursive
    model_inheritance model_inheritance_regress generic_relations proxy_models reserved_names datetimes dates
    distinct_on_fields extra_regress defer defer_regress from_db_value filtered_relation foreign_object composite_pk fixtures
    fixtures_regress sessions_tests auth_tests contenttypes_tests db_typecasts null_queries or_lookups empty validation
    unmanaged_models swappable_models timezones string_lookup save_delete_hooks known_related_objects update_only_fields
    order_with_respect_to nested_foreign_keys multiple_database cache flatpages_tests sites_tests admin_views""".split()
SQLALCHEMY_TESTS = """test/dialect/sqlite test/dialect/test_suite.py test/sql test/engine test/orm/test_query.py
    test/orm/test_eager_relations.py test/orm/test_subquery_relations.py test/orm/test_selectin_relations.py
    test/orm/inheritance test/orm/test_unitofwork.py test/orm/dml""".split()


def shape(sql):
    sql = re.sub(r"'(?:[^']|'')*'", "'s'", sql)
    sql = re.sub(r'"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]', "n", sql)
    sql = re.sub(r"\b\d+(\.\d+)?\b", "0", sql)
    sql = re.sub(r"[:@$]\w+|\?\d*", "?", sql)
    sql = re.sub(r"\s+", " ", sql)
    sql = re.sub(r"\b\w+_\w+\b|\b[tac]\d\b", "n", sql)
    for _ in range(3):  # Lists of like things count as one.
        sql = re.sub(r"(\([^()]*\)|[\w.?']+(?: AS n)?)(?:, \1)+", r"\1", sql)
    return sql.lower()


def write(corpus, file):
    statements = sorted({json.loads(line) for line in open(file)}, key=lambda sql: (len(sql), sql))
    kept = {}
    for sql in statements:
        if len(sql) <= LONGEST:
            kept.setdefault(shape(sql), sql)
    DATA.mkdir(exist_ok=True)
    text = "".join(json.dumps(sql, ensure_ascii=False) + "\n" for sql in kept.values())
    # Without a time, so that the same statements are the same file.
    (DATA / f"{corpus}.jsonl.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{corpus}: {len(statements)} statements, {len(kept)} kept")


def run(*command, **options):
    subprocess.run(command, check=False, **options)


def python(folder):
    run(sys.executable, "-m", "venv", folder / "py")
    pip = [folder / "py/bin/pip", "--disable-pip-version-check", "-q"]
    run(*pip, "install", "setuptools>=77", "wheel", "pytest", f"django=={DJANGO}", f"sqlalchemy=={SQLALCHEMY}")
    for package in (f"django=={DJANGO}", f"sqlalchemy=={SQLALCHEMY}"):  # The tests are only in the sources.
        run(*pip, "download", "--no-binary", ":all:", "--no-deps", "--no-build-isolation", package, "-d", folder)
    for archive in folder.glob("*.tar.gz"):
        shutil.unpack_archive(archive, folder)
    program = folder / "py/bin/python"
    statements = folder / "django.jsonl"
    run(program, HERE / "django_tests.py", statements, folder / f"django-{DJANGO}" / "tests", *DJANGO_TESTS)
    write("django", statements)
    statements = folder / "sqlalchemy.jsonl"
    environment = {**os.environ, "STATEMENTS": str(statements), "PYTHONPATH": str(HERE)}
    run(program, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "sqlalchemy_tests", "--db", "sqlite", *SQLALCHEMY_TESTS,
        "--maxfail=100000", cwd=folder / f"sqlalchemy-{SQLALCHEMY}", env=environment)
    write("sqlalchemy", statements)


def node(folder):
    for name in ("drizzle", "prisma"):
        place = folder / name
        place.mkdir(exist_ok=True)
        shutil.copy(HERE / f"{name}.mjs", place)
        (place / "package.json").write_text("{}")
    drizzle, prisma = folder / "drizzle", folder / "prisma"
    install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"]
    packages = json.loads((HERE.parent / "package.json").read_text())["dependencies"]
    wanted = [f"{name}@{packages[name]}" for name in ("@libsql/client", "drizzle-orm", "drizzle-kit")]
    run(*install, *wanted, cwd=drizzle)
    run(*install, wanted[0], f"prisma@{PRISMA}", f"@prisma/client@{PRISMA}", f"@prisma/adapter-libsql@{PRISMA}",
        f"@prisma/schema-engine-wasm@{SCHEMA_ENGINE}", cwd=prisma)
    shutil.copy(HERE / "schema.prisma", prisma)
    (prisma / "prisma.config.ts").write_text(
        'export default { schema: "schema.prisma", datasource: { url: "file:./prisma.db" } };\n')
    # Its engine for migrations is the one of the package; another one is not to be fetched.
    environment = {**os.environ, "PRISMA_SCHEMA_ENGINE_BINARY": "/bin/true", "CHECKPOINT_DISABLE": "1"}
    run("npx", "prisma", "generate", cwd=prisma, env=environment)
    for name in ("drizzle", "prisma"):
        statements = folder / f"{name}.jsonl"
        with open(statements, "w") as output:
            run("node", f"{name}.mjs", cwd=folder / name, stdout=output)
        write(name, statements)


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve()
    target.mkdir(parents=True, exist_ok=True)
    python(target)
    node(target)
