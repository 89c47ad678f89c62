// What Prisma sends: its client over a database in memory, and the migrations that its engine writes. Prints each statement,
// as a JSON string per line.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { PrismaLibSql } from "@prisma/adapter-libsql";
import { createClient } from "@libsql/client";

const require = createRequire(import.meta.url);
const { PrismaClient } = require("@prisma/client");
const print = (sql) => console.log(JSON.stringify(sql));

// Whatever reaches the driver is what would reach a server.
const factory = new PrismaLibSql({ url: "file:./prisma.db" });
const watch = (target, depth = 0) => new Proxy(target, {
  get(object, key) {
    const value = Reflect.get(object, key);
    if (typeof value !== "function") return value;
    return (...args) => {
      const sql = args[0]?.sql ?? (key === "executeScript" ? args[0] : undefined);
      if (typeof sql === "string") print(sql);
      const result = value.apply(object, args);
      const wrap = (inner) => inner && typeof inner === "object" && ("queryRaw" in inner || "executeRaw" in inner) ? watch(inner, depth + 1) : inner;
      return result instanceof Promise ? result.then(wrap) : wrap(result);
    };
  },
});
const engine = await import("@prisma/schema-engine-wasm/schema_engine_bg");
const wasm = readFileSync(join(dirname(require.resolve("@prisma/schema-engine-wasm/schema_engine_bg")), "schema_engine_bg.wasm"));
const { instance } = await WebAssembly.instantiate(wasm, { "./schema_engine_bg.js": engine });
engine.__wbg_set_wasm(instance.exports);
instance.exports.__wbindgen_start?.();
const { bindMigrationAwareSqlAdapterFactory } = require("@prisma/driver-adapter-utils");
const text = readFileSync("schema.prisma", "utf8");
const later = text.replace("bio String", "bio String?\n  site String @default(\"none\")\n  @@index([site])").replace("views BigInt", "looks BigInt");
const filters = { externalTables: [], externalEnums: [] };
const file = (content) => ({ tag: "schemaDatamodel", files: [{ path: "schema.prisma", content }] });
const schemas = await engine.SchemaEngine.new({ datamodels: [["schema.prisma", text]] }, () => {}, bindMigrationAwareSqlAdapterFactory(factory));
const steps = [[{ tag: "empty" }, file(text)], [file(text), file(later)], [file(later), file(text)], [file(text), { tag: "empty" }]];
let first;
for (const [from, to] of steps) {
  const diff = await schemas.diff({ from, to, script: true, exitCode: null, shadowDatabaseUrl: null, filters });
  first ??= diff.stdout;
  for (const sql of diff.stdout.replace(/^--.*$/gm, "").split(/;\s*$/m)) if (sql.trim()) print(sql.trim() + ";");
}
const client = createClient({ url: "file:./prisma.db" });
await client.executeMultiple(first);

const watched = { ...factory, provider: factory.provider, adapterName: factory.adapterName, connect: async () => watch(await factory.connect()) };
const db = new PrismaClient({ adapter: watched });
const attempt = async (work) => { try { await work(); } catch (error) { if (process.env.VERBOSE) console.error(String(error).slice(-300)); } };
const one = { email: "a@example.com", name: "ann", posts: { create: [{ title: "p", tags: { connectOrCreate: { where: { name: "x" }, create: { name: "x" } } } }] }, profile: { create: { bio: "b" } } };
const work = [
  () => db.user.create({ data: one, include: { posts: { include: { tags: true } }, profile: true } }),
  () => db.user.createMany({ data: [{ email: "b@x" }, { email: "c@x", name: "c" }] }),
  () => db.user.createManyAndReturn({ data: [{ email: "d@x" }] }),
  () => db.user.findUnique({ where: { email: "b@x" } }),
  () => db.user.findUniqueOrThrow({ where: { id: 1 }, select: { id: true, _count: { select: { posts: true } } } }),
  () => db.user.findFirst({ where: { name: { not: null } }, orderBy: { createdAt: "desc" } }),
  ...[
    { id: 1 }, { id: { in: [1, 2] } }, { id: { notIn: [5] } }, { id: { gt: 0, lte: 10 } }, { name: { contains: "a" } }, { name: { startsWith: "a" } },
    { name: { endsWith: "n" } }, { OR: [{ id: 1 }, { name: null }] }, { NOT: { role: "user" } }, { AND: [{ id: 1 }, { role: { equals: "user" } }] },
    { posts: { some: { published: false } } }, { posts: { every: { views: { gte: 0 } } } }, { posts: { none: { title: "z" } } },
    { profile: { is: { bio: "b" } } }, { profile: null }, { posts: { some: { tags: { some: { name: "x" } } } } }, { createdAt: { lt: new Date() } },
    { name: { in: [] } }, { name: { not: { contains: "q" } } },
  ].map((where) => () => db.user.findMany({ where, take: 10, skip: 0 })),
  () => db.user.findMany({ include: { posts: { where: { published: true }, orderBy: { title: "asc" }, take: 2 }, profile: true } }),
  () => db.user.findMany({ orderBy: [{ name: { sort: "asc", nulls: "last" } }, { posts: { _count: "desc" } }], cursor: { id: 1 }, take: -2 }),
  () => db.user.findMany({ distinct: ["role"], select: { role: true } }),
  () => db.post.findMany({ where: { meta: { path: "$.a", equals: 1 } } }),
  () => db.post.findMany({ orderBy: { author: { name: "asc" } }, include: { author: { select: { email: true } }, comments: true, tags: true } }),
  () => db.user.count(), () => db.user.count({ where: { role: "user" }, select: { _all: true, name: true } }),
  () => db.post.aggregate({ _avg: { score: true }, _sum: { views: true }, _min: { title: true }, _max: { views: true }, _count: true }),
  () => db.post.groupBy({ by: ["authorId", "published"], _count: { _all: true }, having: { views: { _avg: { gte: 0 } } }, orderBy: { authorId: "asc" } }),
  () => db.user.update({ where: { id: 1 }, data: { name: "x", posts: { updateMany: { where: { published: false }, data: { views: { increment: 1 } } } } } }),
  () => db.post.updateMany({ where: { authorId: 1 }, data: { score: { multiply: 2 }, data: Buffer.from("x"), meta: { a: 1 } } }),
  () => db.post.updateManyAndReturn({ where: { authorId: 1 }, data: { published: true } }),
  () => db.user.upsert({ where: { email: "e@x" }, create: { email: "e@x" }, update: { name: "e" } }),
  () => db.user.upsert({ where: { email: "e@x" }, create: { email: "e@x" }, update: { name: { set: "f" } } }),
  () => db.user.update({ where: { id: 1 }, data: { profile: { upsert: { create: { bio: "1" }, update: { bio: "2" } } } } }),
  () => db.user.update({ where: { id: 1 }, data: { posts: { deleteMany: {} }, profile: { delete: true } } }),
  () => db.$transaction([db.user.count(), db.tag.create({ data: { name: "y" } })]),
  () => db.$transaction(async (tx) => { await tx.tag.create({ data: { name: "z" } }); await tx.tag.delete({ where: { name: "z" } }); }),
  () => db.$queryRaw`select * from User where id = ${1}`,
  () => db.$executeRaw`update User set name = ${"q"} where id = ${1}`,
  () => db.user.delete({ where: { email: "b@x" } }),
  () => db.user.deleteMany({ where: { id: { gt: 0 } } }),
];
for (const part of work) await attempt(part);
await db.$disconnect();
