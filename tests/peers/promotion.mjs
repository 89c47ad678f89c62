// Clients of libSQL that are open while their database gets another primary: over HTTP, over a WebSocket, and an embedded
// replica. Says "ready", waits for a line on standard input, and goes on; after a line that is "end" it prints what it saw as JSON.
import { createInterface } from "node:readline";
import { createClient } from "@libsql/client";

const { DATABASE_URL: url, DATABASE_TOKEN: authToken, REPLICA: file } = process.env;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const http = createClient({ url, authToken });
const socket = createClient({ url: url.replace(/^http/, "ws"), authToken });
const replica = createClient({ url: `file:${file}`, syncUrl: url, authToken });
const clients = { http, socket, replica };

// What failed because its connection went with the former primary is tried again, as applications do.
let retries = 0;
const write = async (client, body) => {
  for (let tries = 0; ; tries++) {
    try {
      return await client.execute({ sql: "insert into notes (body) values (?)", args: [body] });
    } catch (error) {
      if (tries === 3) throw error;
      retries++;
    }
  }
};

await http.execute("create table notes (id integer primary key, body text)");
await replica.sync();
for (const [name, client] of Object.entries(clients)) await write(client, `${name} before`);
for (let turn = 1; ; turn++) {
  console.log("ready");
  const { value } = await lines.next();
  if (value === "end") break;
  for (const [name, client] of Object.entries(clients)) await write(client, `${name} after ${turn}`);
}
await replica.sync();
const seen = {};
for (const [name, client] of Object.entries(clients)) {
  const { rows } = await client.execute("select body from notes order by id");
  seen[name] = rows.map((row) => row.body);
}
console.log(JSON.stringify({ seen, retries }));
process.exit(0);
