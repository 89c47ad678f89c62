// What an application with an open socket sees while the server is started anew, and when its token is revoked. Tells each
// step on a line of its own.
import { createClient } from "@libsql/client";

const { DATABASE_URL, DATABASE_TOKEN: authToken } = process.env;
const settings = { url: DATABASE_URL.replace(/^http/, "ws"), authToken };
const client = createClient(settings);
await client.executeMultiple("create table lives (n integer); insert into lives values (1)");
console.log("open");

// Asks until what is wanted happens: what was thrown, or null.
async function until(wanted, connect = () => client) {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const one = connect();
    const thrown = await one.execute("select count(*) as n from lives").then(() => null, (error) => error);
    if (one !== client) one.close();
    if (wanted(thrown)) return thrown;
    if (Date.now() > deadline) throw thrown ?? new Error("it is still answered");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const interrupted = await until((thrown) => thrown);
console.log(`interrupted ${interrupted.name} ${interrupted.code}`);
await until((thrown) => !thrown, () => createClient(settings));
// The one that was interrupted finds its way, too.
await until((thrown) => !thrown);
await client.execute("insert into lives values (2)");
console.log("again");

await until((thrown) => thrown);
const refused = await until((thrown) => thrown?.code === "UNAUTHORIZED", () => createClient(settings));
console.log(`revoked ${refused.message}`);
client.close();
