// Loaded before a script: names below `db.test` are this machine, as a DNS with a wildcard would say.
const dns = require("node:dns");
const lookup = dns.lookup;
dns.lookup = (name, options, callback) => {
  const local = name === "db.test" || name.endsWith(".db.test");
  return lookup(local ? "127.0.0.1" : name, options, callback);
};
