// Embedded replicas of a database behind a server of torso's. The first argument is the database's URL, the second another
// tenant's, the third a folder for files. Ends with an error where anything is not as it has to be.
import assert from "node:assert/strict";
import { join } from "node:path";
import { createClient } from "@libsql/client";

const { DATABASE_TOKEN: authToken, DATABASE_READ_ONLY: readOnly } = process.env;
const [syncUrl, foreignUrl, folder] = process.argv.slice(2);
const file = (name) => `file:${join(folder, `${name}.db`)}`;
const number = async (client, sql) => Number((await client.execute(sql)).rows[0][0]);
const count = (client) => number(client, "select count(*) from kept");

const remote = createClient({ url: syncUrl, authToken });
await remote.executeMultiple("drop table if exists kept; create table kept (id integer primary key, body text, raw blob)");
await remote.execute({ sql: "insert into kept (body, raw) values ('remote', ?)", args: [new Uint8Array(300_000).fill(7)] });

const replica = createClient({ url: file("one"), syncUrl, authToken });
await replica.sync();
assert.equal(await number(replica, "select length(raw) from kept where body = 'remote'"), 300_000);

// A write goes through to the primary, and is read here at once.
await replica.execute({ sql: "insert into kept (body) values (?)", args: ["through"] });
assert.equal(await count(replica), 2);
assert.equal(await count(remote), 2);
await replica.batch(["insert into kept (body) values ('batch 1')", "insert into kept (body) values ('batch 2')"], "write");
const transaction = await replica.transaction("write");
await transaction.execute("insert into kept (body) values ('transaction')");
assert.equal(Number((await transaction.execute("select count(*) from kept")).rows[0][0]), 5);
await transaction.commit();
const undone = await replica.transaction("write");
await undone.execute("delete from kept");
await undone.rollback();
assert.equal(await count(replica), 5);
assert.equal(await count(remote), 5);

// What others write comes with the next sync; reading asks nobody.
await remote.execute("insert into kept (body) values ('later')");
assert.equal(await count(replica), 5);
await replica.sync();
assert.equal(await count(replica), 6);
replica.close();
// Replicas work without the slash at the end, too.
const reopened = createClient({ url: file("one"), syncUrl: syncUrl.replace(/\/$/, ""), authToken });
assert.equal(await count(reopened), 6);
await reopened.sync();
reopened.close();

const reader = createClient({ url: file("reader"), syncUrl, authToken: readOnly });
await reader.sync();
assert.equal(await count(reader), 6);
await assert.rejects(reader.execute("insert into kept (body) values ('refused')"), (error) => {
  assert.match(error.message, /the token is read-only/);
  // Not by what name the server's process knows the database.
  assert.doesNotMatch(error.message, /namespace/i);
  return true;
});
assert.equal(await count(remote), 6);
reader.close();

// Another tenant's is refused. The client tries for some seconds.
await assert.rejects(async () => {
  const foreign = createClient({ url: file("foreign"), syncUrl: foreignUrl, authToken });
  await foreign.sync();
});
remote.close();
console.log("fine");
