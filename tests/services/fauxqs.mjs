// SPDX-License-Identifier: Apache-2.0
// SNS and SQS in memory, on the loopback: fauxqs.mjs MODULES PORT. Signatures are not looked at:
// tests/services/faults.py --keys does that in front of it.
import { pathToFileURL } from "node:url";

const [modules, port] = process.argv.slice(2);
const { buildApp } = await import(pathToFileURL(`${modules}/fauxqs/dist/app.js`));
const app = buildApp({ logger: false });
await app.listen({ host: "127.0.0.1", port: Number(port) });
process.on("SIGTERM", () => process.exit(0));
