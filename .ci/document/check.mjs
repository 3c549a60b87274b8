// The AsyncAPI document by AsyncAPI's own parser; what that does not do, each example against the schemas of its message, by ajv;
// and the page by html-validate, which knows rules of accessibility, too. browser.mjs shows both in Chromium.
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { Parser, fromFile } from "@asyncapi/parser";
import { HtmlValidate } from "html-validate";
import { browse } from "./browser.mjs";

const [, , file, page] = process.argv;
const { document, diagnostics } = await fromFile(new Parser(), file).parse();
const wrong = diagnostics.map(({ code, message, path }) => `${code} at ${path.join("/")}: ${message}`);

let examples = 0;
for (const message of document?.allMessages().all() ?? []) {
  const validator = (part) => {
    if (!part) return undefined;
    const schema = part.json();
    return addFormats(new Ajv2020({ strict: false, allErrors: true })).compile(schema.schemaFormat ? schema.schema : schema);
  };
  const validate = { payload: validator(message.payload()), headers: validator(message.headers()) };
  // One that takes everything would pass.
  for (const part in validate) if (validate[part]?.(true)) wrong.push(`${message.id()}: its ${part} may be anything`);
  for (const example of message.examples().all()) {
    examples++;
    for (const part in validate) {
      const value = example[part]();
      if (value === undefined) continue;
      const name = `${message.id()}, example ${example.name()}: its ${part}`;
      if (!validate[part]) wrong.push(`${name} has no schema`);
      else if (!validate[part](value)) wrong.push(`${name}: ${JSON.stringify(validate[part].errors)}`);
    }
  }
}
const messages = document?.allMessages().all().length ?? 0;
console.log(`asyncapi: ${messages} messages, ${document?.allOperations().all().length ?? 0} operations, ${examples} examples`);

const report = await new HtmlValidate({ extends: ["html-validate:standard"] }).validateFile(page);
for (const { messages } of report.results) {
  for (const { ruleId, message, line } of messages) wrong.push(`${page}:${line}: ${ruleId}: ${message}`);
}
if (document) wrong.push(...await browse(document, page));
if (wrong.length || examples < 9) {
  console.error(wrong.join("\n"));
  process.exit(1);
}
