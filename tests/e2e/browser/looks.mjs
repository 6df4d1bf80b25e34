// SPDX-License-Identifier: Apache-2.0
// The pages as such: what they weigh, how they look to axe, the keyboard, a phone, without scripts.
import * as lib from './lib.mjs'

const { assert, equal, uiUrl } = lib

const readyMark = () => {
  new MutationObserver(() => {
    const part = document.getElementById('uploads')
    if (part && !part.hidden) window.readyAt ??= performance.now()
  }).observe(document, { subtree: true, childList: true, attributes: true })
}

export async function first_page_is_light_and_quick(scenario) {
  const context = await scenario.context()
  const page = await lib.open(context, scenario)
  const cdp = await context.newCDPSession(page)
  let bytes = 0
  let requests = 0
  await cdp.send('Network.enable')
  cdp.on('Network.loadingFinished', (event) => {
    bytes += event.encodedDataLength
    requests++
  })
  await page.addInitScript(readyMark)
  await page.goto(`${uiUrl}/`)
  await page.waitForFunction(() => window.readyAt)
  await page.waitForLoadState('networkidle')
  const ready = Math.round(await page.evaluate(() => window.readyAt))
  scenario.tell(`first page: ${bytes} bytes in ${requests} requests, interactive after ${ready} ms`)
  assert(bytes < 40000, `the first page weighs ${bytes} bytes`)
}

export async function pages_pass_axe(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  await page.goto(`${uiUrl}/`)
  equal(await page.getByRole('heading', { level: 1 }).textContent(), 'Welcome to DEX Upload', 'h1')
  await lib.audit(page, 'landing')
  for (const stream of ['data_stream_id=ehdi&data_stream_route=csv', 'data_stream_id=no']) {
    await page.goto(`${uiUrl}/manifest?${stream}`)
    await lib.audit(page, stream)
  }
  const several = 'data_stream_id=dextesting&data_stream_route=testevent1&several=1'
  await page.goto(`${uiUrl}/manifest?${several}`)
  await page.getByRole('button', { name: 'Browse Files' }).waitFor()
  await lib.audit(page, 'several files')
  await page.goto(`${uiUrl}/nothing`)
  await lib.audit(page, 'not found')
}

export async function a_phone_shows_everything(scenario) {
  const context = await scenario.context({ viewport: { width: 320, height: 640 } })
  const page = await lib.open(context, scenario)
  await page.goto(`${uiUrl}/`)
  await lib.audit(page, 'landing on a phone')
  await page.goto(`${uiUrl}/manifest?data_stream_id=generic-immunization&data_stream_route=csv`)
  await lib.audit(page, 'details on a phone')
  const name = `${'long-name-'.repeat(9)}.csv`
  await lib.begin(page, name)
  await page.getByText('Advanced settings').click()
  await lib.audit(page, 'uploader on a phone')
  await lib.give(page, lib.makeFile('phone.csv', 1000))
  await page.getByText('Delivered at').waitFor()
  await lib.audit(page, 'result on a phone')
  await page.goto(`${uiUrl}/`)
  await page.getByRole('link', { name: new RegExp(`Open ${name}`) }).waitFor()
  await lib.audit(page, 'landing with a list on a phone')
}

export async function the_keyboard_is_enough(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  const focused = () => page.evaluate(() => document.activeElement.textContent.trim())
  await page.goto(`${uiUrl}/`)
  await page.keyboard.press('Tab')
  equal(await focused(), 'Skip to main content', 'first stop')
  await page.keyboard.press('Enter')
  equal(await page.evaluate(() => document.activeElement.id), 'main', 'after skipping')
  await page.keyboard.press('Tab')
  await page.keyboard.type('dextesting')
  await page.waitForFunction(() => document.getElementById('data_stream_route').value)
  await page.keyboard.press('Tab')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Tab')
  equal(await focused(), 'Next', 'behind the fields')
  await page.keyboard.press('Enter')
  await page.waitForURL('**/manifest?**')
  await lib.fillIn(page, 'keys.csv')
  await page.keyboard.press('Enter')
  await page.waitForURL('**/status/**')
  const chooser = page.waitForEvent('filechooser')
  await page.getByRole('button', { name: 'Browse Files' }).focus()
  await page.keyboard.press('Space')
  const path = lib.makeFile('keys.csv', 5000)
  await (await chooser).setFiles(path)
  await lib.arrives(page, path, 'keys.csv')
  equal(await focused(), 'keys.csv', 'focus when it is done')
}

export async function without_scripts_it_goes_up_to_the_file(scenario) {
  const page = await lib.open(await scenario.context({ javaScriptEnabled: false }), scenario)
  await page.goto(`${uiUrl}/`)
  await page.getByLabel('Data Stream', { exact: true }).fill('dextesting')
  await page.getByLabel('Data Stream Route').fill('testevent1')
  await page.getByRole('button', { name: 'Next' }).click()
  await lib.fillIn(page, 'plain.csv')
  await page.getByRole('button', { name: 'Next' }).click()
  await page.waitForURL('**/status/**')
  await page.getByText('JavaScript seems to be off').waitFor()
  const address = await page.locator('#need-script code').textContent()
  assert(address.endsWith(`/files/${lib.idOf(page)}`), address)
  const data = 'a,b\n'
  const headers = {
    'Tus-Resumable': '1.0.0',
    'Upload-Offset': '0',
    'Upload-Length': String(data.length),
    'Content-Type': 'application/offset+octet-stream',
  }
  equal((await fetch(address, { method: 'PATCH', headers, body: data })).status, 204, 'PATCH')
  await page.reload()
  await page.getByText('Upload Status: Complete').waitFor()
  await page.goto(
    `${uiUrl}/manifest?data_stream_id=dextesting&data_stream_route=testevent1&several=1`,
  )
  await page.getByText('JavaScript seems to be off').waitFor()
  await page.getByRole('link', { name: 'Send them one at a time' }).click()
  await page.getByRole('heading', { name: 'Tell us about your file' }).waitFor()
}
