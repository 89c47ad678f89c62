// What an application does with a database that torso dev serves: the libSQL client over HTTP and sockets, its driver for the web,
// and Drizzle, over each URL that it is given. Prints what is in the table at the end.
import assert from "node:assert/strict";
import { createClient } from "@libsql/client";
import { createClient as createWebClient } from "@libsql/client/web";
import { drizzle } from "drizzle-orm/libsql";
import { drizzle as drizzleWeb } from "drizzle-orm/libsql/web";
import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core";

const notes = sqliteTable("notes", { id: integer("id").primaryKey(), body: text("body") });
const authToken = process.env.DATABASE_TOKEN;

async function useClient(client, label) {
  await client.execute("create table if not exists notes (id integer primary key, body text)");
  const transaction = await client.transaction("write");
  await transaction.execute({ sql: "insert into notes (body) values (?)", args: [`${label} transaction`] });
  await transaction.commit();
  await client.batch([{ sql: "insert into notes (body) values (?)", args: [`${label} batch`] }], "write");
  const failed = await client.execute("insert into none values (1)").then(() => "answered", (error) => error.code);
  assert.match(failed, /^SQL/);
}

for (const url of process.argv.slice(2)) {
  const scheme = new URL(url).protocol;
  for (const [kind, create, orm] of [["node", createClient, drizzle], ["web", createWebClient, drizzleWeb]]) {
    const client = create({ url, authToken });
    await useClient(client, `${scheme} ${kind}`);
    await orm(client, { schema: { notes } }).insert(notes).values({ body: `${scheme} ${kind} drizzle` });
    client.close();
  }
}
const client = createClient({ url: process.argv[2], authToken });
const { rows } = await client.execute("select body from notes order by id");
console.log(JSON.stringify(rows.map((row) => row.body)));
client.close();
