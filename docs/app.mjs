// An application over a database of a torso server, as in README.
import { createClient } from "@libsql/client";

const db = createClient({ url: process.env.DATABASE_URL, authToken: process.env.DATABASE_TOKEN });
await db.execute({ sql: "insert into notes (body) values (?)", args: ["from an application"] });
console.log((await db.execute("select count(*) as notes from notes")).rows[0].notes, "notes");
