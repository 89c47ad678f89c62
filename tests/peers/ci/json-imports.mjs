// Packages that import JSON without saying so, as bundlers allow, for Node.js, which wants it said.
import { register } from "node:module";

const hooks = `export const load = (url, context, next) =>
  next(url, url.endsWith(".json") ? { ...context, importAttributes: { type: "json" } } : context);`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
