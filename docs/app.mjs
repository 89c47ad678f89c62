// README's application on a database of a server: Drizzle, on the libSQL client.
import { drizzle } from "drizzle-orm/libsql";
import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core";

const notes = sqliteTable("notes", { id: integer("id").primaryKey(), body: text("body") });
const db = drizzle({ connection: { url: process.env.DATABASE_URL, authToken: process.env.DATABASE_TOKEN } });
await db.insert(notes).values({ body: "from an application" });
console.log(await db.$count(notes), "notes");
