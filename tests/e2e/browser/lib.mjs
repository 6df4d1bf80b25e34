// SPDX-License-Identifier: Apache-2.0
// What the scenarios share: a browser, files to send, the steps of a person, and axe.
import { createHash, randomFillSync } from 'node:crypto'
import fs from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'
import { Transform } from 'node:stream'
import { chromium, firefox } from 'playwright-core'

const require = createRequire(import.meta.url)
const axeSource = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')
const axeRules = { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] }
// The other scheme has the same elements in other colours.
const axeColours = { runOnly: { type: 'rule', values: ['color-contrast'] } }

export const [uiUrl, apiUrl, directory, token] = process.argv.slice(2)

export function assert(condition, what) {
  if (!condition) throw new Error(what)
}

export function equal(got, wanted, what) {
  assert(got === wanted, `${what}: got ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`)
}

/** Firefox as Mozilla and Debian ship it, where FIREFOX names it; it is driven by WebDriver BiDi. */
export const inFirefox = Boolean(process.env.FIREFOX)

export function launch() {
  if (inFirefox)
    return firefox.launch({
      channel: 'moz-firefox',
      executablePath: process.env.FIREFOX,
      firefoxUserPrefs: { 'network.proxy.allow_hijacking_localhost': true },
    })
  return chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--disable-dev-shm-usage',
    ],
  })
}

/** A file of that many bytes, each megabyte different; its path. */
export function makeFile(name, size, seed = 0) {
  const path = `${directory}/${name}`
  const piece = Buffer.alloc(1 << 20)
  randomFillSync(piece)
  const file = fs.openSync(path, 'w')
  for (let left = size, n = seed; left > 0; left -= piece.length, n++) {
    piece.writeUInt32LE(n, 0)
    fs.writeSync(file, piece, 0, Math.min(left, piece.length))
  }
  fs.closeSync(file)
  return path
}

export function sha256(path) {
  const hash = createHash('sha256')
  const file = fs.openSync(path, 'r')
  const piece = Buffer.alloc(1 << 20)
  for (let n; (n = fs.readSync(file, piece)) > 0; ) hash.update(piece.subarray(0, n))
  fs.closeSync(file)
  return hash.digest('hex')
}

/** A page that fails the scenario when a script of it fails or the policy refuses something. */
export async function open(context, scenario) {
  const page = await context.newPage()
  page.setDefaultTimeout(60000)
  page.on('pageerror', (error) => scenario.faults.push(`script: ${error.message}`))
  page.on('console', (message) => {
    if (/Content Security Policy/.test(message.text())) scenario.faults.push(message.text())
  })
  return page
}

const sessions = new WeakMap()

async function emulate(page, offline, bytes) {
  let cdp = sessions.get(page)
  if (!cdp) {
    cdp = await page.context().newCDPSession(page)
    await cdp.send('Network.enable')
    sessions.set(page, cdp)
  }
  await cdp.send('Network.emulateNetworkConditions', {
    offline,
    latency: 0,
    downloadThroughput: -1,
    uploadThroughput: bytes || -1,
  })
}

const proxies = new WeakMap()

/** A context of Firefox, which cannot be told to be slow: a proxy in front of the service is. */
export async function slowableContext(browser, options) {
  const proxy = await makeProxy()
  const context = await browser.newContext({ ...options, proxy: proxy.settings })
  proxies.set(context, proxy)
  return context
}

/** Bytes a second that the page may send; 0: no limit. */
export async function limitUpload(page, bytes) {
  const proxy = proxies.get(page.context())
  if (proxy) proxy.limit(bytes)
  else await emulate(page, false, bytes)
}

/** What the browser takes for the state of the network. */
export function online(page, yes) {
  return emulate(page, !yes, 0)
}

/** A proxy whose connections can be cut, or slow: { settings for a context, cut, mend, limit }. */
export async function makeProxy() {
  const sockets = new Set()
  let broken = false
  let limit = 0 // bytes a second of each request
  const brake = () =>
    new Transform({
      transform(piece, encoding, done) {
        setTimeout(done, limit > 0 ? (piece.length / limit) * 1000 : 0, null, piece)
      },
    })
  const server = http.createServer((request, response) => {
    const { hostname, port, pathname, search } = new URL(request.url)
    const { method, headers } = request
    const onward = http.request(
      { hostname, port, path: pathname + search, method, headers },
      (answer) => {
        response.writeHead(answer.statusCode, answer.rawHeaders)
        answer.pipe(response)
      },
    )
    onward.on('error', () => response.destroy())
    response.on('close', () => onward.destroy())
    request.pipe(brake()).pipe(onward)
  })
  server.on('connection', (socket) => {
    if (broken) socket.destroy()
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  return {
    settings: { server: `http://127.0.0.1:${server.address().port}`, bypass: '<-loopback>' },
    cut() {
      broken = true
      for (const socket of sockets) socket.destroy()
    },
    mend() {
      broken = false
    },
    limit(bytes) {
      limit = bytes
    },
  }
}

/** Press a button the moment it is there: some are there for a second only. */
export async function press(page, id) {
  await page.waitForFunction((name) => {
    const button = document.getElementById(name)
    if (!button || button.offsetParent === null) return false
    button.click()
    return true
  }, id)
}

/** Drop small files on the page's area for it. */
export async function dropFiles(page, ...names) {
  const dataTransfer = await page.evaluateHandle((list) => {
    const data = new DataTransfer()
    for (const name of list) data.items.add(new File([name], name))
    return data
  }, names)
  await page.dispatchEvent('#drop', 'drop', { dataTransfer })
}

let audits = 0
export function auditCount() {
  return audits
}

/** No violation of WCAG 2.1 A and AA, in light and in dark; in Chromium, the elements are the same. */
async function auditRules(page, state) {
  await page.evaluate(axeSource)
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme })
    const rules = colorScheme === 'light' ? axeRules : axeColours
    const { violations } = await page.evaluate((options) => window.axe.run(options), rules)
    const told = violations.map(
      (v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(' | ')}`,
    )
    assert(violations.length === 0, `axe, ${state}, ${colorScheme}: ${told.join('\n')}`)
  }
  audits++
}

export async function audit(page, state) {
  if (!inFirefox) await auditRules(page, state)
  const wide = await page.evaluate(
    () => document.documentElement.scrollWidth > document.documentElement.clientWidth,
  )
  assert(!wide, `${state} is wider than the window`)
}

/* --- the steps of a person --- */

export const details = { sender_id: 'me', data_producer_id: 'me', jurisdiction: 'GAA' }

export async function chooseStream(page, stream = 'dextesting') {
  await page.goto(`${uiUrl}/`)
  await page.getByLabel('Data Stream', { exact: true }).fill(stream)
  // The only route of a stream is filled in.
  await page.waitForFunction(() => document.getElementById('data_stream_route').value)
  await page.getByRole('button', { name: 'Next' }).click()
  await page.waitForURL('**/manifest?**')
}

export async function fillIn(page, filename) {
  const values = filename ? { ...details, received_filename: filename } : details
  for (const [name, value] of Object.entries(values)) await page.locator(`#f-${name}`).fill(value)
}

/** From the start to the page that waits for the file; returns the upload's id. */
export async function begin(page, filename) {
  await chooseStream(page)
  await fillIn(page, filename)
  await page.getByRole('button', { name: 'Next' }).click()
  await page.waitForURL('**/status/**')
  await page.getByRole('heading', { name: 'File Uploader' }).waitFor()
  return idOf(page)
}

export function idOf(page) {
  return new URL(page.url()).pathname.split('/').pop()
}

export async function give(page, ...paths) {
  // It shows once the script listens; before, a choice would go unheard.
  await page.locator('#browse').waitFor()
  await page.setInputFiles('#file', paths)
}

/** Wait until the figures tell at least so many percent; the number they tell. */
export async function awaitPercent(page, percent) {
  const handle = await page.waitForFunction((wanted) => {
    const told = parseInt(document.getElementById('figures').textContent, 10)
    return told >= wanted && told
  }, percent)
  return handle.jsonValue()
}

/** Wait until the service has some of the file: what is on its way may be lost with the connection. */
export async function awaitStored(page) {
  const url = `${apiUrl}/info/${idOf(page)}`
  for (;;) {
    const state = await (await fetch(url)).json()
    if (state.file_info?.size_bytes > 0) return
    assert(!page.isClosed(), 'the page was closed')
    await page.waitForTimeout(50)
  }
}

/** The page tells that the file is complete and where it was delivered: the same file is there. */
export async function arrives(page, path, name) {
  await page.bringToFront() // In the background it does not ask.
  await page.getByText('Upload Status: Complete').waitFor()
  await page.getByText('Delivered at').waitFor()
  await page.getByRole('heading', { level: 1, name }).waitFor()
  const place = await page.locator('.delivery code').textContent()
  equal(sha256(place), sha256(path), `what was delivered to ${place}`)
}
