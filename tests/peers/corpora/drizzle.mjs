// What Drizzle sends: its query builder over a database in memory, and the migrations of its kit. Prints each statement, as
// a JSON string per line.
import { createClient } from "@libsql/client";
import * as o from "drizzle-orm";
import { drizzle } from "drizzle-orm/libsql";
import * as s from "drizzle-orm/sqlite-core";
import * as kit from "drizzle-kit/api";

const print = (sql) => console.log(JSON.stringify(sql));

const tables = (more) => {
  const users = s.sqliteTable("users", {
    id: s.integer("id").primaryKey({ autoIncrement: true }),
    name: s.text("name").notNull(),
    email: s.text("email").unique(),
    verified: s.integer("verified", { mode: "boolean" }).notNull().default(false),
    json: s.text("json", { mode: "json" }),
    createdAt: s.integer("created_at", { mode: "timestamp" }).notNull().default(o.sql`(strftime('%s', 'now'))`),
    upper: s.text("upper").generatedAlwaysAs(o.sql`upper("name")`, { mode: "virtual" }),
    ...more,
  }, (t) => [s.index("name_idx").on(t.name), s.uniqueIndex("lower_idx").on(o.sql`lower(${t.email})`),
             s.check("name_check", o.sql`length(${t.name}) > 0`)]);
  const cities = s.sqliteTable("cities", {
    id: s.integer("id"), country: s.text("country"), name: s.text("name").notNull(), area: s.real("area"),
    raw: s.blob("raw", { mode: "buffer" }), big: s.blob("big", { mode: "bigint" }),
    mayor: s.integer("mayor").references(() => users.id, { onDelete: "set null", onUpdate: "cascade" }),
  }, (t) => [s.primaryKey({ columns: [t.id, t.country] })]);
  const posts = s.sqliteTable("posts", {
    id: s.integer("id").primaryKey(), title: s.text("title").default("untitled"), likes: s.numeric("likes"),
    author: s.integer("author").notNull().references(() => users.id, { onDelete: "cascade" }),
  }, (t) => [s.unique("author_title").on(t.author, t.title)]);
  const names = s.sqliteView("names").as((q) => q.select({ name: users.name }).from(users).where(o.gt(users.id, 0)));
  return { users, cities, posts, names };
};

const empty = await kit.generateSQLiteDrizzleJson({});
const first = await kit.generateSQLiteDrizzleJson(tables({}));
const more = { age: s.integer("age").notNull().default(1), mood: s.text("mood", { enum: ["a", "b"] }) };
const second = await kit.generateSQLiteDrizzleJson(tables(more), first.id);
const begin = await kit.generateSQLiteMigration(empty, first);
const client = createClient({ url: "file::memory:" });
for (const sql of [...begin, ...(await kit.generateSQLiteMigration(first, second)), ...(await kit.generateSQLiteMigration(second, first)),
                   ...(await kit.generateSQLiteMigration(first, empty))]) print(sql);
for (const sql of begin) await client.execute(sql);

const schema = tables({});
const { users, cities, posts, names } = schema;
const relations = {
  usersRelations: o.relations(users, ({ many }) => ({ posts: many(posts), cities: many(cities) })),
  postsRelations: o.relations(posts, ({ one }) => ({ author: one(users, { fields: [posts.author], references: [users.id] }) })),
  citiesRelations: o.relations(cities, ({ one }) => ({ mayor: one(users, { fields: [cities.mayor], references: [users.id] }) })),
};
const logger = { logQuery: (sql) => print(sql) };
const db = drizzle({ client, schema: { ...schema, ...relations }, logger });
const attempt = async (query) => { try { await query; } catch {} };

await db.insert(users).values({ name: "ann", email: "a@example.com", json: { a: [1] } });
await db.insert(users).values([{ name: "bob" }, { name: "cy", verified: true }]).returning();
await db.insert(users).values({ id: 1, name: "ann" }).onConflictDoNothing();
await db.insert(users).values({ id: 1, name: "x" }).onConflictDoUpdate({ target: users.id, set: { name: o.sql`excluded.name` }, setWhere: o.gt(users.id, 0) });
await db.insert(users).values({ name: "d", email: "a@example.com" }).onConflictDoUpdate({ target: users.email, set: { name: "d2" }, targetWhere: o.isNotNull(users.email) }).catch(() => {});
await db.insert(posts).select(db.select({ id: o.sql`${users.id} + 10`.as("id"), title: users.name, likes: o.sql`'1'`.as("likes"), author: users.id }).from(users));
await db.insert(cities).values({ id: 1, country: "nl", name: "Delft", area: 2.5, raw: Buffer.from("x"), big: 10n, mayor: 1 });
await db.update(users).set({ name: "anna", verified: o.sql`not ${users.verified}` }).where(o.eq(users.id, 1)).returning({ id: users.id });
await attempt(db.update(users).set({ name: "q" }).from(posts).where(o.eq(posts.author, users.id)));
await attempt(db.update(users).set({ name: "q" }).orderBy(users.id).limit(1));
await db.delete(posts).where(o.and(o.eq(posts.id, 99), o.isNull(posts.title))).returning();
await attempt(db.delete(posts).orderBy(o.desc(posts.id)).limit(1));

const wheres = [
  o.eq(users.id, 1), o.ne(users.name, "x"), o.and(o.gt(users.id, 1), o.lt(users.id, 9)), o.or(o.gte(users.id, 1), o.lte(users.id, 9)),
  o.not(o.eq(users.id, 1)), o.inArray(users.id, [1, 2, 3]), o.notInArray(users.name, ["a"]), o.inArray(users.id, []), o.isNull(users.email),
  o.isNotNull(users.email), o.between(users.id, 1, 2), o.notBetween(users.id, 5, 6), o.like(users.name, "%a%"), o.notLike(users.name, "z%"),
  o.exists(db.select().from(posts).where(o.eq(posts.author, users.id))), o.notExists(db.select().from(posts)),
  o.inArray(users.id, db.select({ id: posts.author }).from(posts)), o.sql`lower(${users.name}) = ${"ann"}`,
  o.eq(users.verified, true), o.gt(users.createdAt, new Date(0)), o.sql`${users.json} ->> '$.a[0]' = 1`,
  o.sql`exists (select 1 from json_each(${users.json}, '$.a') where value = ${1})`,
];
for (const where of wheres) await db.select().from(users).where(where);
const orders = [users.name, o.asc(users.id), o.desc(users.name), o.sql`random()`, o.sql`${users.name} collate nocase desc nulls last`];
for (const order of orders) await db.select({ id: users.id }).from(users).orderBy(order).limit(5).offset(1);
const twin = s.alias(users, "twin");
for (const join of ["leftJoin", "innerJoin", "rightJoin", "fullJoin"]) {
  await attempt(db.select().from(users)[join](posts, o.eq(posts.author, users.id)));
  await attempt(db.select({ a: users.name, b: twin.name, c: cities.name }).from(users)[join](twin, o.ne(twin.id, users.id))[join](cities, o.eq(cities.mayor, twin.id)));
}
await attempt(db.select().from(users).crossJoin(posts));
const aggregates = [o.count(), o.count(users.id), o.countDistinct(users.name), o.sum(users.id), o.avg(users.id), o.max(users.id), o.min(users.name),
                    o.sumDistinct(users.id), o.avgDistinct(users.id), o.sql`group_concat(${users.name}, ', ')`, o.sql`json_group_array(${users.name})`];
for (const value of aggregates) {
  await db.select({ name: users.name, value }).from(users).groupBy(users.name).having(o.gt(o.count(), 0));
}
const windows = ["row_number() over (order by id)", "rank() over (partition by name order by id desc)", "lag(name) over (order by id)",
                 "sum(id) over (order by id rows between unbounded preceding and current row)"];
for (const window of windows) await db.select({ w: o.sql.raw(window) }).from(users);
const sub = db.select({ id: users.id, n: o.sql`count(*)`.as("n") }).from(users).groupBy(users.id).as("sub");
await db.select().from(sub).leftJoin(posts, o.eq(posts.author, sub.id));
const cte = db.$with("cte").as(db.select().from(users).where(o.gt(users.id, 0)));
await db.with(cte).select().from(cte);
await db.with(cte).update(users).set({ name: "w" }).where(o.inArray(users.id, db.select({ id: cte.id }).from(cte)));
await db.with(cte).delete(posts).where(o.inArray(posts.author, db.select({ id: cte.id }).from(cte)));
await db.with(cte).insert(posts).select(db.select({ id: o.sql`${cte.id} + 50`.as("id"), title: cte.name, likes: o.sql`null`.as("likes"), author: cte.id }).from(cte));
const a = () => db.select({ name: users.name }).from(users), b = () => db.select({ name: posts.title }).from(posts);
for (const set of [s.union, s.unionAll, s.intersect, s.except]) await set(a(), b()).orderBy(o.sql`name`).limit(3);
await db.selectDistinct().from(users);
await db.select().from(names);
await db.$count(users, o.gt(users.id, 1));
await db.query.users.findMany();
await db.query.users.findFirst({ where: o.eq(users.id, 1), columns: { id: true } });
await db.query.users.findMany({ with: { posts: true, cities: { columns: { name: true }, limit: 2, orderBy: o.desc(cities.name) } }, limit: 3, offset: 0,
  extras: { lower: o.sql`lower(${users.name})`.as("lower") } });
await db.query.posts.findMany({ with: { author: { with: { cities: true } } }, where: (t, { like }) => like(t.title, "%a%"), orderBy: (t, { asc }) => [asc(t.id)] });
await db.run(o.sql`pragma foreign_keys = on`);
await db.all(o.sql`select name from sqlite_master where type = 'table'`);
await db.get(o.sql`select 1`);
await db.values(o.sql`values (1, 2)`);
await db.transaction(async (tx) => { await tx.insert(users).values({ name: "t" }); await tx.transaction((inner) => inner.select().from(users)); }).catch(() => {});
for (const sql of ["begin", "begin immediate", "commit", "rollback", "savepoint sp1", "release savepoint sp1", "rollback to savepoint sp1"]) print(sql);
