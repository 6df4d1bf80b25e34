// SPDX-License-Identifier: Apache-2.0
// The peer of the benchmarks: @tus/server with its file store. peer.mjs SOCKET DIRECTORY
import { chmodSync } from "node:fs";
import http from "node:http";
import { FileStore } from "@tus/file-store";
import { Server } from "@tus/server";

const [socket, directory] = process.argv.slice(2);
const tus = new Server({
	path: "/files",
	datastore: new FileStore({ directory }),
	respectForwardedHeaders: true,
});
const server = http.createServer((req, res) => tus.handle(req, res));
server.keepAliveTimeout = 60_000;
server.listen(socket, () => {
	chmodSync(socket, 0o666);
	console.log("up");
});
process.on("SIGTERM", () => process.exit(0));
