// Writes src/api/types.ts from the daemon's OpenAPI document; with `--check`, says whether it is current.
import { readFileSync, writeFileSync } from "node:fs";
import openapi, { astToString } from "openapi-typescript";

const source = new URL("../../daemon/api/openapi.json", import.meta.url);
const target = new URL("../src/api/types.ts", import.meta.url);
const head = "// Made by `npm run api` from daemon/api/openapi.json. Don't edit it.\n\n";
const types = head + astToString(await openapi(source, { defaultNonNullable: false }));

if (!process.argv.includes("--check")) {
  writeFileSync(target, types);
} else if (readFileSync(target, "utf8") !== types) {
  console.error("src/api/types.ts is not what daemon/api/openapi.json says.\nhint: npm run api");
  process.exit(1);
}
