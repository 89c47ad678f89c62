// Reads queries for Prometheus as Prometheus' own web pages do: takes a JSON array of them from standard input, and prints one with,
// for each query, the metrics that it names and where it cannot be parsed.
import { parser } from "@prometheus-io/lezer-promql";
import { readFileSync } from "node:fs";

const answer = JSON.parse(readFileSync(0, "utf8")).map((query) => {
  const metrics = [];
  const faults = [];
  parser.parse(query).iterate({
    enter(node) {
      const text = query.slice(node.from, node.to);
      if (node.type.isError) faults.push(`column ${node.from + 1}: ${text}`);
      if (node.name === "Identifier" && node.node.parent?.name === "VectorSelector") metrics.push(text);
    },
  });
  return { metrics, faults };
});
process.stdout.write(JSON.stringify(answer));
