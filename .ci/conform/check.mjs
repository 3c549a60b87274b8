// The verdicts of ajv, in its strict mode, on the cases that a schema can tell.
import { readFileSync } from "node:fs";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const [, , folder] = process.argv;
const read = (name) => readFileSync(`${folder}/${name}`, "utf8");
const ajv = addFormats(new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true }));
const { cases } = JSON.parse(read("cases.json"));
let checked = 0;
const wrong = [];
for (const { file, schema, valid, by, rule } of cases) {
  let message;
  try {
    message = JSON.parse(read(file));
  } catch {
    if (by !== "json") wrong.push(`${file}: is no JSON`);
    checked++;
    continue;
  }
  if (by === "json") wrong.push(`${file}: was parsed, though ${rule}`);
  if (by !== "schema") continue;
  const definition = JSON.parse(read(schema));
  const validate = ajv.getSchema(definition.$id) ?? ajv.compile(definition);
  checked++;
  if (validate(message) !== valid) wrong.push(`${file}: valid is ${!valid}: ${ajv.errorsText(validate.errors)} (${rule})`);
}
console.log(`ajv: ${checked} cases`);
if (wrong.length || checked < 30) {
  console.error(wrong.join("\n"));
  process.exit(1);
}
