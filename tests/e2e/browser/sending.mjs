// SPDX-License-Identifier: Apache-2.0
// Files on their way: small, large, paused, cut off, gone on with, side by side.
import fs from 'node:fs'
import * as lib from './lib.mjs'

const { assert, equal, uiUrl } = lib
const MB = 1000000
// Slow enough that nothing ends by itself before a scenario wants it to.
const SLOW = MB / 4

/** Offsets of the PATCH requests of a page, as they are sent. */
function offsetsOf(page) {
  const offsets = []
  page.on('request', (request) => {
    if (request.method() === 'PATCH') offsets.push(Number(request.headers()['upload-offset']))
  })
  return offsets
}

export async function a_small_file_is_delivered(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  const path = lib.makeFile('small.csv', 10240)
  await lib.chooseStream(page)
  const chooser = page.waitForEvent('filechooser')
  await page.getByRole('button', { name: 'Take the name from a file' }).click()
  await (await chooser).setFiles(path)
  equal(await page.locator('#f-received_filename').inputValue(), 'small.csv', 'the taken name')
  await lib.fillIn(page)
  await page.getByRole('button', { name: 'Next' }).click()
  await page.getByRole('heading', { name: 'File Uploader' }).waitFor()
  await lib.audit(page, 'uploader')
  await page.getByText('Advanced settings').click()
  equal(await page.getByLabel('Chunk Size (bytes)').inputValue(), '40000000', 'chunk size')
  equal(await page.getByLabel('Parallel Upload Requests').inputValue(), '1', 'parallel requests')
  await lib.audit(page, 'advanced settings')
  await lib.give(page, path)
  await lib.arrives(page, path, 'small.csv')
  await page.getByText('10 kB (10,240 bytes)').waitFor()
  await lib.audit(page, 'delivered')
  await page.getByRole('link', { name: 'Your uploads' }).click()
  await page.locator('#upload-list').getByText('Delivered').waitFor()
  await lib.audit(page, 'list of uploads')
  await page.getByRole('link', { name: 'Open small.csv' }).click()
  await page.getByText('Upload Status: Complete').waitFor()
}

export async function every_stream_takes_a_file(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  const path = lib.makeFile('stream.csv', 10240)
  await page.goto(`${uiUrl}/`)
  const offered = JSON.parse(await page.locator('#stream-form').getAttribute('data-streams'))
  const streams = Object.entries(offered).flatMap(([id, routes]) => routes.map((r) => [id, r]))
  equal(streams.length, 9, 'streams')
  for (const [stream, route] of streams) {
    await page.goto(`${uiUrl}/`)
    await page.getByLabel('Data Stream', { exact: true }).fill(stream)
    await page.getByLabel('Data Stream Route').fill(route)
    await page.getByRole('button', { name: 'Next' }).click()
    await page.waitForURL('**/manifest?**')
    for (const field of await page.locator('#manifest-form select').all())
      await field.selectOption({ index: (await field.locator('option').count()) - 1 })
    for (const field of await page.locator('#manifest-form input:not([type=hidden])').all())
      await field.fill((await field.getAttribute('data-filename')) === null ? 'me' : 'stream.csv')
    await page.getByRole('button', { name: 'Next' }).click()
    await page.waitForURL('**/status/**')
    await lib.give(page, path)
    await lib.arrives(page, path, 'stream.csv')
    equal(await page.locator('#d-stream').textContent(), stream, 'the stream')
    equal(await page.locator('#d-route').textContent(), route, 'the route')
  }
}

export async function an_empty_file_is_delivered(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  const path = lib.makeFile('empty.csv', 0)
  await lib.begin(page, 'empty.csv')
  await lib.give(page, path)
  await lib.arrives(page, path, 'empty.csv')
}

export async function a_large_file_is_delivered(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  const offsets = offsetsOf(page)
  const path = lib.makeFile('large.csv', 300 * MB)
  await lib.begin(page, 'large.csv')
  const began = Date.now()
  await lib.give(page, path)
  await page.getByText('Upload Status: Complete').waitFor()
  scenario.tell(`300 MB in ${Date.now() - began} ms`)
  await lib.arrives(page, path, 'large.csv')
  equal(offsets.join(), [0, 1, 2, 3, 4, 5, 6, 7].map((n) => n * 40 * MB).join(), 'chunks')
  fs.unlinkSync(path)
}

export async function pause_and_resume(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  const offsets = offsetsOf(page)
  const path = lib.makeFile('paused.csv', 12 * MB)
  await lib.begin(page, 'paused.csv')
  await lib.limitUpload(page, SLOW)
  await lib.give(page, path)
  await lib.awaitPercent(page, 3)
  await lib.awaitStored(page)
  await page.getByText(/\/s · .*left/).waitFor()
  await lib.audit(page, 'uploading')
  await page.getByRole('button', { name: 'Pause' }).click()
  await page.locator('#state', { hasText: 'Paused' }).waitFor()
  await lib.audit(page, 'paused')
  const told = await page.locator('#figures').textContent()
  await page.waitForTimeout(300)
  equal(await page.locator('#figures').textContent(), told, 'figures while it is paused')
  await lib.limitUpload(page, 0)
  await page.getByRole('button', { name: 'Resume' }).click()
  await lib.arrives(page, path, 'paused.csv')
  assert(offsets.length === 2 && offsets[1] > 0, `went on at ${offsets}`)
}

export async function a_cut_connection_is_overcome(scenario) {
  const proxy = await lib.makeProxy()
  const page = await lib.open(await scenario.context({ proxy: proxy.settings }), scenario)
  const offsets = offsetsOf(page)
  const path = lib.makeFile('cut.csv', 12 * MB)
  await lib.begin(page, 'cut.csv')
  await lib.limitUpload(page, SLOW)
  await lib.give(page, path)
  await lib.awaitPercent(page, 3)
  await lib.awaitStored(page)
  proxy.cut()
  await page.getByText('The connection broke.').waitFor()
  await page.getByText(/next\stry\sin\s\d+\ss/).waitFor()
  await lib.audit(page, 'waiting for the next try')
  await lib.online(page, false)
  await page.getByText('No connection.').waitFor()
  await lib.audit(page, 'offline')
  proxy.mend()
  await lib.online(page, true)
  await lib.arrives(page, path, 'cut.csv')
  assert(offsets.length === 2 && offsets[1] > 0, `went on at ${offsets}`)
}

export async function a_busy_service_is_asked_again(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  const path = lib.makeFile('busy.csv', 1000)
  const answer = { status: 503, body: 'busy', headers: { 'Access-Control-Allow-Origin': '*' } }
  let busy = true
  await page.route('**/files/**', (route) => {
    const refuse = busy && route.request().method() === 'PATCH'
    return refuse ? route.fulfill(answer) : route.fallback()
  })
  await lib.begin(page, 'busy.csv')
  await lib.give(page, path)
  await page.getByText('The service is busy.').waitFor()
  await lib.audit(page, 'waiting')
  await lib.press(page, 'retry')
  busy = false
  await lib.arrives(page, path, 'busy.csv')
}

export async function a_reload_in_mid_upload(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  const path = lib.makeFile('again.csv', 12 * MB)
  const shorter = lib.makeFile('shorter.csv', 11 * MB)
  const other = lib.makeFile('other.csv', 12 * MB, 7)
  const id = await lib.begin(page, 'again.csv')
  await lib.limitUpload(page, SLOW)
  await lib.give(page, path)
  await lib.awaitPercent(page, 3)
  await lib.awaitStored(page)
  page.on('dialog', (dialog) => dialog.accept())
  await page.goto(`${uiUrl}/`)
  await page.locator('#upload-list').getByText('Not finished').waitFor()
  await lib.audit(page, 'list with an unfinished upload')
  await page.getByRole('link', { name: 'Go on with again.csv' }).click()
  await page.getByText(/Choose again.csv again to go on: \d+ % of it has arrived/).waitFor()
  equal(lib.idOf(page), id, 'the upload')
  equal(await page.locator('#d-size').textContent(), '12 MB (12,000,000 bytes)', 'size')
  await lib.audit(page, 'to be gone on with')
  await lib.give(page, shorter)
  await page.getByText(/shorter.csv is another file: it has 11 MB .* has 12 MB/).waitFor()
  await lib.audit(page, 'another file')
  await lib.give(page, other)
  await page.getByText('other.csv is another file: it is as large').waitFor()
  await lib.dropFiles(page, 'a.csv', 'b.csv')
  await page.getByText('Only one file can be sent here').waitFor()
  await lib.limitUpload(page, 0)
  const offsets = offsetsOf(page)
  await lib.give(page, path)
  await lib.arrives(page, path, 'again.csv')
  assert(offsets.length === 1 && offsets[0] > 0, `went on at ${offsets}`)
}

export async function another_browser_goes_on(scenario) {
  const proxy = await lib.makeProxy()
  const page = await lib.open(await scenario.context({ proxy: proxy.settings }), scenario)
  const path = lib.makeFile('moved.csv', 4 * MB)
  await lib.begin(page, 'moved.csv')
  await lib.limitUpload(page, SLOW)
  await lib.give(page, path)
  await lib.awaitPercent(page, 3)
  await lib.awaitStored(page)
  // As after a crash that took what the browser knew with it.
  proxy.cut()
  await page.context().close()
  const next = await lib.open(await scenario.context(), scenario)
  await next.goto(page.url())
  await next.getByText(/Choose the file again to go on: .* of it has arrived/).waitFor()
  await next.getByText(/bytes\) so far/).waitFor()
  await lib.give(next, lib.makeFile('longer.csv', 4 * MB + 1))
  await next.getByText('longer.csv is another file').waitFor()
  const offsets = offsetsOf(next)
  await lib.give(next, path)
  await lib.arrives(next, path, 'moved.csv')
  assert(offsets.length === 1 && offsets[0] > 0, `went on at ${offsets}`)
}

export async function a_changed_file_is_told(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  const path = lib.makeFile('changed.csv', 6 * MB)
  await lib.begin(page, 'changed.csv')
  await lib.limitUpload(page, SLOW)
  await lib.give(page, path)
  await lib.awaitPercent(page, 3)
  await page.getByRole('button', { name: 'Pause' }).click()
  fs.appendFileSync(path, 'more')
  await page.getByRole('button', { name: 'Resume' }).click()
  await page.locator('#problem', { hasText: "The file can't be read any more." }).waitFor()
  await lib.audit(page, 'unreadable file')
}

export async function two_tabs(scenario) {
  const context = await scenario.context()
  const one = await lib.open(context, scenario)
  const two = await lib.open(context, scenario)
  const paths = [lib.makeFile('one.csv', 8 * MB), lib.makeFile('two.csv', 8 * MB)]
  await lib.begin(one, 'one.csv')
  await lib.begin(two, 'two.csv')
  await lib.limitUpload(one, SLOW)
  await lib.limitUpload(two, SLOW)
  await Promise.all([lib.give(one, paths[0]), lib.give(two, paths[1])])
  await Promise.all([lib.awaitPercent(one, 3), lib.awaitPercent(two, 3)])
  // The same upload once more: the tabs would take it from each other for ever.
  const three = await lib.open(context, scenario)
  await three.goto(one.url())
  await three.locator('#again', { hasText: 'This upload is open in another tab' }).waitFor()
  await lib.audit(three, 'open in another tab')
  await lib.give(three, paths[0])
  await three.locator('#problem', { hasText: 'This upload is open in another tab' }).waitFor()
  await lib.limitUpload(one, 0)
  await lib.limitUpload(two, 0)
  await lib.arrives(one, paths[0], 'one.csv')
  await lib.arrives(two, paths[1], 'two.csv')
  await three.getByText('Upload Status: Complete').waitFor()
  await one.getByRole('link', { name: 'Your uploads' }).click()
  await one.locator('#upload-list li').first().waitFor()
  equal(await one.locator('#upload-list li').count(), 2, 'entries of the list')
}

export async function five_files_side_by_side(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  const paths = [1, 2, 3, 4, 5].map((n) => lib.makeFile(`many-${n}.csv`, 2 * MB, n))
  let running = 0
  let most = 0
  page.on('request', (r) => r.method() === 'PATCH' && (most = Math.max(most, ++running)))
  for (const end of ['requestfinished', 'requestfailed'])
    page.on(end, (r) => r.method() === 'PATCH' && running--)
  await page.goto(`${uiUrl}/`)
  await page.getByLabel('Data Stream', { exact: true }).fill('dextesting')
  await page.waitForFunction(() => document.getElementById('data_stream_route').value)
  await page.getByLabel('I have several files').check()
  await page.getByRole('button', { name: 'Next' }).click()
  await lib.give(page, ...paths)
  await page.getByRole('button', { name: 'Send 5 files' }).click()
  await page.getByText('Please fill in the details above first.').waitFor()
  await lib.fillIn(page)
  await lib.audit(page, 'files to be sent')
  await lib.limitUpload(page, SLOW)
  await page.getByRole('button', { name: 'Send 5 files' }).click()
  await page.getByRole('button', { name: 'Pause many-3.csv' }).click()
  await page.getByRole('button', { name: 'Resume many-3.csv' }).waitFor()
  await lib.audit(page, 'files on their way')
  await page.getByRole('button', { name: 'Resume many-3.csv' }).click()
  await lib.limitUpload(page, 0)
  await page.getByText('5 of 5 files are complete.').waitFor()
  await page.waitForFunction(() => document.querySelectorAll('.mark.good').length === 5)
  await lib.audit(page, 'files delivered')
  assert(most >= 3, `at most ${most} files at once`)
  const places = await page.locator('.entry').allTextContents()
  for (const [n, path] of paths.entries()) {
    const place = places[n].match(/edav: (.*\.csv)/)[1]
    equal(lib.sha256(place), lib.sha256(path), place)
  }
}

export async function several_requests_for_one_file(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  const path = lib.makeFile('parts.csv', 3 * MB + 1)
  const id = await lib.begin(page, 'parts.csv')
  await page.getByText('Advanced settings').click()
  await page.getByLabel('Parallel Upload Requests').fill('3')
  await lib.give(page, path)
  await page.waitForURL((url) => !url.pathname.endsWith(id))
  await lib.arrives(page, path, 'parts.csv')
  equal((await fetch(`${lib.apiUrl}/info/${id}`)).status, 404, 'the empty upload')
}
