// What an application does with a database behind torso's gateway: over HTTP, over a WebSocket, with an ORM, and with a
// replica of its own.
import { createClient } from "@libsql/client";
import { drizzle } from "drizzle-orm/libsql";
import { sql } from "drizzle-orm";

const { DATABASE_URL: url, DATABASE_TOKEN: authToken, REPLICA: replica } = process.env;
const told = {};

const http = createClient({ url, authToken });
await http.batch(["create table notes (id integer primary key, body text)", "insert into notes (body) values ('http')"]);
const transaction = await http.transaction("write");
await transaction.execute({ sql: "insert into notes (body) values (?)", args: ["transaction"] });
await transaction.commit();
await http.executeMultiple("insert into notes (body) values ('one'); insert into notes (body) values ('two');");
told.http = Number((await http.execute("select count(*) as n from notes")).rows[0].n);
told.refused = await http.execute("select readfile('/nonexistent')").then(() => "answered", (error) => error.code);

const socket = createClient({ url: url.replace(/^http/, "ws"), authToken });
await socket.execute("insert into notes (body) values ('socket')");
told.socket = Number((await socket.execute("select count(*) as n from notes")).rows[0].n);
// The client keeps statements at the server, and uses and closes them before it knows whether they were kept.
told.socketRefused = await socket.execute("select readfile('/nonexistent')").then(() => "answered", (error) => error.code);
told.socketGoesOn = (await socket.execute("select 42 as n")).rows[0].n;
told.socketIsOpen = !socket.closed;
socket.close();

const orm = drizzle({ connection: { url, authToken } });
await orm.transaction(async (inner) => {
    await inner.run(sql`insert into notes (body) values ('drizzle')`);
});
told.drizzle = (await orm.all(sql`select body from notes where body = 'drizzle'`)).length;

const own = createClient({ url: `file:${replica}`, syncUrl: url, authToken });
await own.sync();
told.replica = Number((await own.execute("select count(*) as n from notes")).rows[0].n);
await own.execute("insert into notes (body) values ('replica')");
await own.sync();
told.replicaAfter = Number((await own.execute("select count(*) as n from notes")).rows[0].n);
told.primary = Number((await http.execute("select count(*) as n from notes")).rows[0].n);
told.replicaRefused = await own
    .execute("insert into notes (body) values (readfile('/nonexistent'))")
    .then(() => "answered", () => "refused");
told.forged = await createClient({ url, authToken: `${authToken}x` })
    .execute("select 1")
    .then(() => "answered", (error) => String(error.cause?.status ?? error.code));
own.close();

console.log(JSON.stringify(told));
