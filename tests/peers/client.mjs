// The libSQL client for Node.js with one database behind a server of torso's, over each URL that it is given. Ends with an
// error where anything is not as it has to be.
import assert from "node:assert/strict";
import { createClient } from "@libsql/client";

const { DATABASE_TOKEN: authToken, DATABASE_READ_ONLY: readOnly, DATABASE_FOREIGN: foreign } = process.env;

const number = async (client, sql) => Number((await client.execute(sql)).rows[0][0]);
const codeOf = (promise) => promise.then(() => "answered", (error) => error.code);

async function statements(client) {
  await client.execute("create table notes (id integer primary key, body text unique, n, raw blob)");
  const inserted = await client.execute({ sql: "insert into notes (body, n) values (?, ?)", args: ["one", 1.5] });
  assert.equal(inserted.rowsAffected, 1);
  assert.equal(inserted.lastInsertRowid, 1n);
  await client.execute({ sql: "insert into notes (body) values (:body)", args: { body: "zwei ☃ 𝄞\n" } });
  const { columns, rows } = await client.execute("select id, body, n from notes order by id");
  assert.deepEqual(columns, ["id", "body", "n"]);
  assert.deepEqual(rows.map((row) => [...Object.values(row)]), [[1, "one", 1.5], [2, "zwei ☃ 𝄞\n", null]]);
  const returned = await client.execute("update notes set n = 7 where id = 2 returning id, n");
  assert.deepEqual({ ...returned.rows[0] }, { id: 2, n: 7 });
  assert.equal((await client.execute("delete from notes where id = 1")).rowsAffected, 1);
  await client.executeMultiple("insert into notes (body) values ('a;b'); -- a remark\ninsert into notes (body) values ('c');");
  assert.equal(await number(client, "select count(*) from notes"), 3);
}

async function batches(client) {
  const results = await client.batch(
    ["insert into notes (body) values ('batch')", { sql: "select body from notes where body = ?", args: ["batch"] }],
    "write",
  );
  assert.equal(results[1].rows[0].body, "batch");
  // All of it, or nothing.
  const failed = client.batch(["insert into notes (body) values ('lost')", "insert into notes (body) values ('batch')"], "write");
  assert.match(await codeOf(failed), /^SQLITE_CONSTRAINT/);
  assert.equal(await number(client, "select count(*) from notes where body = 'lost'"), 0);
  await client.migrate(["create table parents (id integer primary key)", "alter table parents add column name text"]);
  assert.equal(await number(client, "select count(*) from pragma_table_info('parents')"), 2);
}

async function transactions(client) {
  const kept = await client.transaction("write");
  await kept.execute("insert into notes (body) values ('kept')");
  assert.equal(Number((await kept.execute("select count(*) from notes where body = 'kept'")).rows[0][0]), 1);
  await kept.batch(["insert into notes (body) values ('kept too')"]);
  await kept.commit();
  const undone = await client.transaction("write");
  await undone.execute("insert into notes (body) values ('undone')");
  await undone.rollback();
  const left = await client.transaction("write");
  await left.execute("insert into notes (body) values ('left')");
  left.close();
  const reading = await client.transaction("read");
  assert.equal(Number((await reading.execute("select count(*) from notes where body like 'kept%'")).rows[0][0]), 2);
  await reading.rollback();
  // A failure within does not end it.
  const mended = await client.transaction("write");
  assert.match(await codeOf(mended.execute("insert into notes (body) values ('kept')")), /^SQLITE_CONSTRAINT/);
  await mended.execute("insert into notes (body) values ('mended')");
  await mended.commit();
  assert.equal(await number(client, "select count(*) from notes where body in ('undone', 'left')"), 0);
  assert.equal(await number(client, "select count(*) from notes where body = 'mended'"), 1);
}

async function values(client, settings) {
  const raw = new Uint8Array(1_000_000).map((_, index) => (index * 31) % 251);
  await client.execute({ sql: "insert into notes (body, raw) values ('raw', ?)", args: [raw] });
  const back = (await client.execute("select raw from notes where body = 'raw'")).rows[0].raw;
  assert.ok(Buffer.from(back).equals(Buffer.from(raw)), "a blob of a megabyte comes back");
  assert.equal((await client.execute("select x'' as raw")).rows[0].raw.byteLength, 0);

  const large = 9223372036854775807n;
  await client.execute({ sql: "insert into notes (body, n) values ('large', ?)", args: [large] });
  const query = "select n, -9223372036854775808 as least from notes where body = 'large'";
  await assert.rejects(client.execute(query), RangeError);
  const big = createClient({ ...settings, intMode: "bigint" });
  assert.deepEqual({ ...(await big.execute(query)).rows[0] }, { n: large, least: -9223372036854775808n });
  big.close();
  const text = createClient({ ...settings, intMode: "string" });
  assert.equal((await text.execute(query)).rows[0].n, large.toString());
  text.close();
}

async function errors(client) {
  assert.match(await codeOf(client.execute("selec 1")), /^SQL(ITE_ERROR|_PARSE_ERROR)$/);
  // What libSQL server says of a table that is not there.
  assert.equal(await codeOf(client.execute("select * from nowhere")), "SQLITE_UNKNOWN");
  assert.match(await codeOf(client.execute("insert into notes (id) values (2)")), /^SQLITE_CONSTRAINT/);
  // And goes on.
  assert.equal(await number(client, "select 1"), 1);
}

async function refusals(url) {
  const reader = createClient({ url, authToken: readOnly });
  assert.ok((await number(reader, "select count(*) from notes")) > 0);
  await assert.rejects(reader.execute("insert into notes (body) values ('refused')"), /the token is read-only/);
  await assert.rejects(reader.batch(["select 1", "delete from notes"], "write"), /the token is read-only/);
  await assert.rejects(reader.executeMultiple("select 1; delete from notes"), /the token is read-only/);
  if (url.startsWith("ws")) {
    // One statement among many, and the socket goes on.
    const mixed = ["select 1", "delete from notes", "select 2"].map((sql) => reader.execute(sql));
    const settled = await Promise.allSettled(mixed);
    assert.deepEqual(
      settled.map(({ status, reason }) => reason?.code ?? status),
      ["fulfilled", "FORBIDDEN", "fulfilled"],
    );
  }
  // Not even where a transaction for reading was asked for.
  const reading = await reader.transaction("read");
  await assert.rejects(reading.execute("delete from notes"));
  reading.close();
  assert.ok((await number(reader, "select count(*) from notes")) > 0);
  assert.equal(await number(reader, "select count(*) from notes where body = 'refused'"), 0);
  reader.close();
  for (const token of [undefined, "nonsense", foreign]) {
    const client = createClient({ url, authToken: token });
    assert.equal(await codeOf(client.execute("select 1")), "UNAUTHORIZED");
    client.close();
  }
  if (/^http.*[/]db[/].*[/]$/.test(url)) {
    const client = createClient({ url: url.slice(0, -1), authToken });
    await assert.rejects(client.execute("select 1"), /needs a slash at its end/);
    client.close();
  }
  // An address without a database answers as one that the token does not open: nobody learns which names exist.
  const gone = createClient({ url: url.replace("app-alice", "none-alice"), authToken });
  assert.equal(await codeOf(gone.execute("select 1")), "UNAUTHORIZED");
  gone.close();
}

async function parallel(url) {
  const two = [0, 1].map(() => createClient({ url, authToken }));
  await two[0].execute("create table counts (n integer)");
  await Promise.all(
    Array.from({ length: 60 }, (_, index) => two[index % 2].execute({ sql: "insert into counts values (?)", args: [index] })),
  );
  // Transactions wait for each other.
  const adds = async (client) => {
    for (let round = 0; round < 5; round++) {
      const transaction = await client.transaction("write");
      const { n } = (await transaction.execute("select max(n) as n from counts")).rows[0];
      await transaction.execute({ sql: "insert into counts values (?)", args: [n + 1] });
      await transaction.commit();
    }
  };
  await Promise.all(two.map(adds));
  assert.equal(await number(two[1], "select count(*) from counts"), 70);
  assert.equal(await number(two[0], "select max(n) from counts"), 69);
  for (const client of two) client.close();
}

for (const url of process.argv.slice(2)) {
  const settings = { url, authToken };
  const client = createClient(settings);
  await client.executeMultiple("drop table if exists notes; drop table if exists parents; drop table if exists counts;");
  await statements(client);
  await batches(client);
  await transactions(client);
  await values(client, settings);
  await errors(client);
  await refusals(url);
  await parallel(url);
  client.close();
  console.log(`${url} ${client.protocol}`);
}
