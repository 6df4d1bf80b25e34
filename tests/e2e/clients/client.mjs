// SPDX-License-Identifier: Apache-2.0
// client.mjs MODE ENDPOINT FILE METADATA_JSON: upload FILE with tus-js-client; the last line is JSON.
import fs from 'node:fs';
import { PassThrough } from 'node:stream';
import * as tus from 'tus-js-client';

const [mode, endpoint, file, metadata] = process.argv.slice(2);
const size = fs.statSync(file).size;

function run(options, during = () => {}) {
  return new Promise((resolve, reject) => {
    const stream = fs.createReadStream(file);
    const upload = new tus.Upload(stream, {
      endpoint,
      metadata: JSON.parse(metadata),
      uploadSize: size,
      retryDelays: [0, 200, 500, 1000, 2000],
      onError: reject,
      onSuccess: () => resolve(upload),
      ...options,
    });
    during(upload);
    upload.start();
  });
}

// As a browser that is closed in the middle and comes back: abort after a third, resume from the URL.
async function resume() {
  const chunkSize = Math.ceil(size / 10);
  const url = await new Promise((resolve, reject) => {
    let upload;
    const onProgress = (sent) => {
      if (sent > size / 3) {
        upload.abort().then(() => resolve(upload.url), reject);
      }
    };
    run({ chunkSize, onProgress }, (u) => { upload = u; }).catch(reject);
  });
  const before = await fetch(url, { method: 'HEAD', headers: { 'Tus-Resumable': '1.0.0' } });
  const offset = Number(before.headers.get('upload-offset'));
  const upload = await run({ uploadUrl: url, chunkSize });
  return { url: upload.url, resumedAt: offset };
}

async function parallel() {
  // A stream cannot be cut into parts; a buffer can.
  const upload = await new Promise((resolve, reject) => {
    const u = new tus.Upload(fs.readFileSync(file), {
      endpoint,
      metadata: JSON.parse(metadata),
      parallelUploads: 4,
      retryDelays: [0, 200, 500, 1000],
      onError: reject,
      onSuccess: () => resolve(u),
    });
    u.start();
  });
  return { url: upload.url };
}

// A pipe, whose length nobody knows before its end.
async function deferred() {
  const upload = await new Promise((resolve, reject) => {
    const u = new tus.Upload(fs.createReadStream(file).pipe(new PassThrough()), {
      endpoint,
      metadata: JSON.parse(metadata),
      uploadLengthDeferred: true,
      chunkSize: 100_000,
      retryDelays: [0, 200, 500],
      onError: reject,
      onSuccess: () => resolve(u),
    });
    u.start();
  });
  return { url: upload.url };
}

const modes = {
  plain: async () => ({ url: (await run({})).url }),
  chunks: async () => ({ url: (await run({ chunkSize: 100_000 })).url }),
  during_creation: async () => ({ url: (await run({ uploadDataDuringCreation: true })).url }),
  deferred,
  override: async () => ({ url: (await run({ overridePatchMethod: true, chunkSize: 100_000 })).url }),
  terminate: async () => {
    const upload = await run({ chunkSize: 50_000 });
    await tus.Upload.terminate(upload.url, { retryDelays: [200, 500, 1000, 2000, 4000] });
    return { url: upload.url };
  },
  resume,
  parallel,
};

try {
  console.log(JSON.stringify(await modes[mode]()));
} catch (error) {
  console.error(String(error));
  process.exit(1);
}
