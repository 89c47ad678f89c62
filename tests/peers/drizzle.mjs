// Drizzle with a database behind a server of torso's: its migrations of both kinds, and what an application does with it.
// Runs in a folder, its argument, below the packages. Ends with an error where anything is not as it has to be.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { createClient } from "@libsql/client";
import { eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/libsql";
import { migrate } from "drizzle-orm/libsql/migrator";

const { DATABASE_URL: url, DATABASE_TOKEN: authToken, MIGRATED_URL, MIGRATED_TOKEN } = process.env;
const packages = dirname(fileURLToPath(import.meta.url));
const folder = process.argv[2];
mkdirSync(folder, { recursive: true });

const schema = (more) => `
import { blob, integer, sqliteTable, text } from "drizzle-orm/sqlite-core";
export const users = sqliteTable("users", {
  id: integer("id").primaryKey({ autoIncrement: true }),
  name: text("name").notNull().unique(),
  at: integer("at", { mode: "timestamp" }),
  data: text("data", { mode: "json" }),${more}
});
export const posts = sqliteTable("posts", {
  id: integer("id").primaryKey(),
  author: integer("author").references(() => users.id),
  raw: blob("raw", { mode: "buffer" }),
  large: blob("large", { mode: "bigint" }),
});
`;
writeFileSync(
  join(folder, "drizzle.config.ts"),
  `export default { dialect: "turso", schema: "./schema.ts", out: "./migrations",
  dbCredentials: { url: process.env.DATABASE_URL, authToken: process.env.DATABASE_TOKEN } };\n`,
);
const kit = (...args) =>
  execFileSync(process.execPath, [join(packages, "node_modules/drizzle-kit/bin.cjs"), ...args], {
    cwd: folder,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });

// Straight from the schema, again without a change, and with one.
writeFileSync(join(folder, "schema.ts"), schema(""));
assert.match(kit("push"), /Changes applied/);
assert.match(kit("push"), /No changes detected/);
kit("generate", "--name", "first");
writeFileSync(join(folder, "schema.ts"), schema(' mood: text("mood").notNull().default("fine"),'));
assert.match(kit("push"), /Changes applied/);
kit("generate", "--name", "second");

// By the files it made, in another database, and again.
const other = drizzle({ connection: { url: MIGRATED_URL, authToken: MIGRATED_TOKEN } });
for (let round = 0; round < 2; round++) {
  await migrate(other, { migrationsFolder: join(folder, "migrations") });
}
const shape = "select name from sqlite_master where name not like 'sqlite%' and name not like '%migrations' order by name";
const columns = "select name, type from pragma_table_info('users') order by name";
const db = drizzle({ connection: { url, authToken } });
for (const query of [shape, columns]) {
  assert.deepEqual(await other.all(sql.raw(query)), await db.all(sql.raw(query)));
}
assert.equal((await other.all(sql`select hash from __drizzle_migrations`)).length, 2);

writeFileSync(join(folder, "schema.mjs"), schema(' mood: text("mood").notNull().default("fine"),'));
const { users, posts } = await import(pathToFileURL(join(folder, "schema.mjs")));
const at = new Date("2026-02-03T04:05:06Z");
const [ada] = await db.insert(users).values({ name: "ada", at, data: { a: [1, null, "ü"] } }).returning();
assert.deepEqual(ada, { id: 1, name: "ada", at, data: { a: [1, null, "ü"] }, mood: "fine" });
await db.insert(posts).values({ author: ada.id, raw: Buffer.from([0, 255]), large: 2n ** 62n + 1n });
const joined = await db.select().from(users).innerJoin(posts, eq(posts.author, users.id));
assert.deepEqual([...joined[0].posts.raw], [0, 255]);
assert.equal(joined[0].posts.large, 2n ** 62n + 1n);
await db.update(users).set({ mood: "better" }).where(eq(users.name, "ada"));
await db.insert(users).values({ name: "ada" }).onConflictDoUpdate({ target: users.name, set: { mood: "best" } });
assert.equal((await db.select().from(users))[0].mood, "best");

await db.transaction(async (outer) => {
  await outer.insert(users).values({ name: "outer" });
  await assert.rejects(
    outer.transaction(async (inner) => {
      await inner.insert(users).values({ name: "inner" });
      inner.rollback();
    }),
  );
  await outer.transaction((inner) => inner.insert(users).values({ name: "inner, kept" }));
});
await assert.rejects(
  db.transaction(async (outer) => {
    await outer.insert(users).values({ name: "lost" });
    throw new Error("on purpose");
  }),
  /on purpose/,
);
const [, found] = await db.batch([db.insert(users).values({ name: "batch" }), db.select({ name: users.name }).from(users)]);
assert.deepEqual(found.map(({ name }) => name).sort(), ["ada", "batch", "inner, kept", "outer"]);
await db.delete(posts);
await db.delete(users).where(eq(users.name, "batch"));
assert.equal(await db.$count(users), 3);
await assert.rejects(db.insert(users).values({ name: "ada" }), (error) => /UNIQUE/.test(String(error.cause ?? error)));

// The relations hold at the server as well.
const client = createClient({ url, authToken });
await assert.rejects(client.execute("insert into posts (author) values (99)"), (error) => /^SQLITE_CONSTRAINT/.test(error.code));
console.log("fine");
