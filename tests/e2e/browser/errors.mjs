// SPDX-License-Identifier: Apache-2.0
// What goes wrong: refused details, lost cookies, a missing token, removed uploads, hostile text.
import * as lib from './lib.mjs'

const { assert, equal, uiUrl } = lib

export async function refused_details_come_back(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  await page.goto(`${uiUrl}/manifest?data_stream_id=ehdi&data_stream_route=csv`)
  await page.locator('#f-jurisdiction').selectOption('RI')
  await page.locator('#f-received_filename').fill('../etc/<b>passwd')
  // As a browser without checks of its own would send it.
  await page.evaluate(() => document.getElementById('manifest-form').setAttribute('novalidate', ''))
  await page.getByRole('button', { name: 'Next' }).click()
  await page.getByRole('heading', { name: 'Please correct these details' }).waitFor()
  await page.waitForFunction(() => document.activeElement.id === 'errors')
  await lib.audit(page, 'refused details')
  equal(await page.locator('#f-jurisdiction').inputValue(), 'RI', 'what was chosen')
  equal(await page.locator('#f-received_filename').inputValue(), '../etc/<b>passwd', 'typed')
  assert((await page.locator('#e-sender_id').textContent()).includes('This detail is needed'), 'e')
  await page.getByRole('link', { name: 'field sender_id was missing' }).click()
  equal(await page.evaluate(() => document.activeElement.id), 'f-sender_id', 'where the link leads')
  const described = await page.locator('#f-sender_id').getAttribute('aria-describedby')
  equal(described, 'h-sender_id e-sender_id', 'aria-describedby')
}

export async function an_unknown_stream_is_told(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  await page.goto(`${uiUrl}/`)
  await page.getByLabel('Data Stream', { exact: true }).fill('nonsense')
  await page.getByLabel('Data Stream Route').fill('csv')
  const answer = page.waitForResponse('**/manifest?**')
  await page.getByRole('button', { name: 'Next' }).click()
  equal((await answer).status(), 404, 'the answer')
  await page.getByText('open nonsense_csv.json: no such file or directory').waitFor()
  await page.getByRole('link', { name: 'Back to the start' }).click()
  await page.getByRole('heading', { name: 'Welcome to DEX Upload' }).waitFor()
}

export async function a_lost_cookie_keeps_what_was_typed(scenario) {
  const context = await scenario.context()
  const page = await lib.open(context, scenario)
  await lib.chooseStream(page)
  await lib.fillIn(page, 'cookie.csv')
  await context.clearCookies()
  await page.getByRole('button', { name: 'Next' }).click()
  await page.getByText('press the button once more').waitFor()
  await lib.audit(page, 'form without its cookie')
  equal(await page.locator('#f-sender_id').inputValue(), 'me', 'typed')
  await page.getByRole('button', { name: 'Next' }).click()
  await page.waitForURL('**/status/**')
}

export async function a_token_is_asked_for(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  const path = lib.makeFile('token.csv', 2000)
  const cors = {
    'Access-Control-Allow-Origin': '*',
    'Access-Control-Allow-Headers': '*, Authorization',
    'Access-Control-Allow-Methods': '*',
  }
  for (const place of ['**/files/**', '**/info/**']) {
    await page.route(place, async (route) => {
      const request = route.request()
      if (request.method() === 'OPTIONS') return route.fulfill({ status: 204, headers: cors })
      if ((await request.headerValue('authorization')) === 'Bearer good') return route.fallback()
      return route.fulfill({ status: 401, headers: cors, body: 'no' })
    })
  }
  await lib.begin(page, 'token.csv')
  const field = page.getByLabel('Access token')
  await field.fill('bad')
  await lib.audit(page, 'token wanted')
  await page.getByRole('button', { name: 'Use this token' }).click()
  await page.getByText('This token was not accepted').waitFor()
  await field.fill('good')
  await page.getByRole('button', { name: 'Use this token' }).click()
  await lib.give(page, path)
  await lib.arrives(page, path, 'token.csv')
  equal(await page.evaluate(() => localStorage.getItem('dex-token')), null, 'kept for good')
}

export async function a_removed_upload_is_told(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  const path = lib.makeFile('gone.csv', 2000)
  const id = await lib.begin(page, 'gone.csv')
  const headers = { 'Tus-Resumable': '1.0.0' }
  await fetch(`${lib.apiUrl}/files/${id}`, { method: 'DELETE', headers })
  await lib.give(page, path)
  await page.getByText('This upload is no longer there').waitFor()
  await lib.audit(page, 'removed upload')
  await page.goto(`${uiUrl}/status/${id}`)
  equal(new URL(page.url()).pathname, '/', 'where an unknown upload leads')
}

export async function an_upload_without_its_file_is_found_again(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  const id = await lib.begin(page, 'later.csv')
  await page.getByRole('link', { name: 'New upload' }).click()
  await page.getByRole('link', { name: 'Go on with later.csv' }).click()
  await page.getByRole('heading', { name: 'File Uploader' }).waitFor()
  equal(lib.idOf(page), id, 'the upload')
  // Looking at the upload of somebody else does not make it one of this browser's.
  const other = await lib.open(await scenario.context(), scenario)
  await other.goto(page.url())
  await other.getByRole('link', { name: 'New upload' }).click()
  await other.getByText('Nothing yet.').waitFor()
}

export async function hostile_text_stays_text(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  const hostile = '"><img src=x onerror="document.title=1">{{t.next}}.csv'
  const path = lib.makeFile('hostile.csv', 100)
  await lib.chooseStream(page)
  await lib.fillIn(page, hostile)
  await page.getByRole('button', { name: 'Next' }).click()
  await page.waitForURL('**/status/**')
  await page.getByText(hostile).first().waitFor()
  await lib.give(page, path)
  await lib.arrives(page, path, hostile)
  equal(await page.locator('main img').count(), 0, 'images')
  await page.goto(`${uiUrl}/`)
  await page.getByText(hostile).waitFor()
  equal(await page.locator('main img').count(), 0, 'images of the list')
}

export async function what_becomes_of_deliveries_is_told(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  await lib.begin(page, 'nowhere.csv')
  const manifest = { data_stream_id: 'Some', data_stream_route: 'where' }
  const info = { manifest, file_info: { size_bytes: 4 }, upload_status: { status: 'Complete' } }
  const headers = { 'Access-Control-Allow-Origin': '*', 'Content-Type': 'application/json' }
  await page.route('**/info/**', (route) =>
    route.fulfill({ headers, body: JSON.stringify({ deliveries: null, ...info }) }),
  )
  await page.getByText('are delivered nowhere').waitFor()
  await lib.audit(page, 'delivered nowhere')
  const issues = [{ level: 'ERROR', message: `${'unreachable/'.repeat(20)}: refused` }]
  info.deliveries = [{ name: 'edav', status: 'FAILURE', location: null, issues }]
  await page.getByText('unreachable/').waitFor()
  await lib.audit(page, 'a failed delivery')
  delete info.deliveries
  manifest.data_stream_id = 'DexTesting'
  manifest.data_stream_route = 'testevent1'
  await page.reload()
  await page.getByText('Waiting for the delivery to begin.').waitFor()
}
