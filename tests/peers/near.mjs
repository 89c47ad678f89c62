// What an application near a replica does at the machine that serves it: over HTTP, in a transaction, and over a WebSocket.
import { createClient } from "@libsql/client";

const { DATABASE_URL: url, DATABASE_TOKEN: authToken } = process.env;
const told = {};

const http = createClient({ url, authToken });
told.before = Number((await http.execute("select count(*) as n from t")).rows[0].n);
await http.execute("insert into t values (1)");
const transaction = await http.transaction("write");
await transaction.execute({ sql: "insert into t values (?)", args: [2] });
told.inside = Number((await transaction.execute("select count(*) as n from t")).rows[0].n);
await transaction.commit();

const socket = createClient({ url: url.replace(/^http/, "ws"), authToken });
await socket.execute("insert into t values (3)");
told.socket = Number((await socket.execute("select count(*) as n from t")).rows[0].n);
told.refused = await socket.execute("select readfile('/nonexistent')").then(() => "answered", (error) => error.code);
socket.close();
console.log(JSON.stringify(told));
