// `libsql` of Node.js with a remote connection that is quiet for longer than a server keeps its stream. Tells when it is quiet
// and goes on when it is told to. Ends with an error where anything is not as it has to be.
import assert from "node:assert/strict";
import { once } from "node:events";
import Database from "libsql";

const database = new Database(process.argv[2], { authToken: process.env.DATABASE_TOKEN });
database.exec("create table node_rows (n)");
database.prepare("insert into node_rows values (?)").run(1);
const count = () => database.prepare("select count(*) as n from node_rows").get().n;
assert.equal(count(), 1);

console.log("quiet");
await once(process.stdin, "data");
assert.equal(count(), 1);
database.prepare("insert into node_rows values (?)").run(2);
assert.equal(count(), 2);
console.log("fine");
process.exit(0);
