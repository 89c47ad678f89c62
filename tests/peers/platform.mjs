// The official SDK of the Platform API on a server of torso's, from the first list to the last delete.
import assert from "node:assert/strict";
import { createClient } from "@tursodatabase/api";

const { BASE_URL: baseUrl, TOKEN: token } = process.env;
const turso = createClient({ org: "alice", token, baseUrl });

assert.deepEqual(
  (await turso.organizations.list()).map(({ slug, type }) => [slug, type]),
  [["alice", "personal"]],
);
assert.deepEqual((await turso.locations.list()).map(({ code }) => code).sort(), ["ams", "lhr"]);
assert.equal((await turso.apiTokens.validate(token)).valid, true);

const minted = await turso.apiTokens.create("ci");
assert.equal(minted.name, "ci");
assert.ok(minted.token.length > 20);
assert.ok((await turso.apiTokens.list()).some(({ name }) => name === "ci"));
assert.equal((await turso.apiTokens.revoke("ci")).token, "ci");

assert.deepEqual((await turso.groups.list()).map(({ name }) => name), ["default"]);
assert.equal((await turso.groups.create("web", "ams")).name, "web");
assert.deepEqual((await turso.groups.addLocation("web", "lhr")).locations, ["ams", "lhr"]);
assert.equal((await turso.groups.get("web")).primary, "ams");
assert.ok((await turso.groups.createToken("web", { expiration: "1d", authorization: "read-only" })).jwt);
await turso.groups.rotateTokens("web");
assert.deepEqual((await turso.groups.removeLocation("web", "lhr")).locations, ["ams"]);

const made = await turso.databases.create("app", { group: "web" });
assert.equal(made.name, "app");
assert.match(made.hostname, /app-alice$/);
const branch = await turso.databases.create("copy", { group: "web", seed: { type: "database", name: "app" } });
assert.notEqual(branch.id, made.id);
assert.deepEqual((await turso.databases.list()).map(({ name }) => name), ["app", "copy"]);
assert.deepEqual((await turso.databases.list({ group: "default" })).length, 0);
const found = await turso.databases.get("app");
assert.deepEqual([found.id, found.group, found.primaryRegion, found.type], [made.id, "web", "ams", "logical"]);
const instances = await turso.databases.listInstances("app");
assert.deepEqual(instances.map(({ name, type }) => [name, type]), [["ams", "primary"]]);
assert.equal((await turso.databases.getInstance("app", "ams")).region, "ams");
assert.ok((await turso.databases.createToken("app", { expiration: "2w1d30m" })).jwt);
await turso.databases.rotateTokens("app");
assert.equal((await turso.databases.usage("app")).uuid, made.id);
await turso.databases.updateVersion("app");

assert.equal((await turso.organizations.update({ overages: false })).slug, "alice");
assert.deepEqual((await turso.organizations.members()).map(({ username, role }) => [username, role]), [
  ["alice", "owner"],
]);
assert.deepEqual(await turso.organizations.invoices(), []);

await assert.rejects(turso.databases.get("nothing"), (error) => error.status === 404 && /nothing/.test(error.message));
await assert.rejects(turso.databases.create("app", { group: "web" }), (error) => error.status === 409);
for (const name of ["copy", "app"]) assert.equal((await turso.databases.delete(name)).database, name);
assert.equal((await turso.groups.delete("web")).name, "web");
console.log("done");
