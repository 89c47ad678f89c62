// An application on a database of torso's: the libSQL client, and Drizzle on top of it. Prints what it found as JSON.
import { createClient } from "@libsql/client";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/libsql";
import { blob, integer, sqliteTable, text } from "drizzle-orm/sqlite-core";

const client = createClient({ url: process.env.DATABASE_URL });
await client.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT NOT NULL, at INTEGER, raw BLOB)");
await client.batch(
  [1, 2].map((at) => ({ sql: "INSERT INTO notes (body, at) VALUES (?, ?)", args: [`batch ${at}`, at] })),
  "write",
);
const transaction = await client.transaction("write");
await transaction.execute("INSERT INTO notes (body) VALUES ('kept')");
await transaction.commit();
const given_up = await client.transaction("write");
await given_up.execute("INSERT INTO notes (body) VALUES ('given up')");
await given_up.rollback();

const notes = sqliteTable("notes", {
  id: integer("id").primaryKey(),
  body: text("body").notNull(),
  at: integer("at"),
  raw: blob("raw", { mode: "buffer" }),
});
const db = drizzle(client);
await db.insert(notes).values({ body: "drizzle", raw: Buffer.from([0, 255]) });
await db.update(notes).set({ body: "changed" }).where(eq(notes.body, "batch 2"));
const found = await db.select().from(notes).orderBy(notes.id);
console.log(JSON.stringify(found.map(({ body, at, raw }) => ({ body, at, raw: raw && [...raw] }))));
client.close();
