// SPDX-License-Identifier: Apache-2.0
// A service whose people log in at an OpenID Connect issuer.
import http from 'node:http'
import * as lib from './lib.mjs'

const { assert, equal, uiUrl, apiUrl } = lib
const MB = 1000000
const SLOW = MB / 4
const UNKNOWN = '00000000-0000-4000-8000-000000000000'

/** At the issuer: say who one is. */
async function sayName(page, name = 'alice') {
  await page.getByRole('heading', { name: 'Who are you?' }).waitFor()
  await page.getByLabel('Name').fill(name)
  await page.getByRole('button', { name: 'Enter' }).click()
}

async function logIn(page, name = 'alice') {
  await page.goto(`${uiUrl}/`)
  await page.getByRole('link', { name: 'Log in', exact: true }).click()
  await sayName(page, name)
  await isLoggedIn(page, name)
}

function isLoggedIn(page, name = 'alice') {
  return page.getByText(`Logged in as ${name} of the tests`).waitFor()
}

/** Press the button that opens a tab for the login; that tab. */
async function openLogin(context, page) {
  const opened = context.waitForEvent('page')
  await page.getByRole('link', { name: 'Log in in a new tab' }).click()
  return opened
}

async function forgetSession(context) {
  await context.clearCookies({ name: /dex_session$/ })
}

export async function login_upload_and_logout(scenario) {
  const context = await scenario.context()
  const page = await lib.open(context, scenario)
  await page.goto(`${uiUrl}/`)
  await lib.audit(page, 'before the login')
  await logIn(page)
  equal(page.url(), `${uiUrl}/`, 'the way back')
  await lib.audit(page, 'logged in')
  const kept = await page.evaluate(() => [document.cookie, sessionStorage.length, localStorage.length])
  equal(kept.join(), ',0,0', 'what scripts can read')
  const path = lib.makeFile('session.csv', 50000)
  const id = await lib.begin(page, 'session.csv')
  await lib.give(page, path)
  await lib.arrives(page, path, 'session.csv')
  // Somebody else sees nothing of it.
  const stranger = await lib.open(await scenario.context(), scenario)
  await logIn(stranger, 'bob')
  await stranger.goto(`${uiUrl}/status/${id}`)
  await stranger.getByText('This upload is no longer there').waitFor()
  await page.getByRole('button', { name: 'Log out' }).click()
  await page.getByRole('heading', { name: 'You are logged out' }).waitFor()
  await lib.audit(page, 'logged out')
  const left = await context.cookies(uiUrl)
  assert(!left.some(({ name }) => name.endsWith('dex_session')), 'the session is still there')
  await page.getByRole('link', { name: 'Log out of the login service' }).click()
  await page.getByRole('button', { name: 'Yes, sign me out' }).click()
  await page.getByRole('heading', { name: 'Welcome to DEX Upload' }).waitFor()
  equal(page.url(), `${uiUrl}/`, 'where the issuer sends back to')
  await page.getByRole('link', { name: 'Log in', exact: true }).click()
  await page.getByRole('heading', { name: 'Who are you?' }).waitFor()
}

export async function a_login_does_not_cost_what_was_typed(scenario) {
  const context = await scenario.context()
  const page = await lib.open(context, scenario)
  await lib.chooseStream(page)
  await lib.fillIn(page, 'typed.csv')
  await page.getByRole('button', { name: 'Next' }).click()
  await page.getByRole('heading', { name: 'Please log in' }).waitFor()
  equal(await page.evaluate(() => document.activeElement.id), 'token-login', 'the focus')
  await lib.audit(page, 'details, login wanted')
  const tab = await openLogin(context, page)
  await sayName(tab)
  await tab.getByRole('heading', { name: 'You are logged in' }).waitFor()
  await lib.audit(tab, 'tab of the login')
  await page.waitForURL('**/status/**')
  await isLoggedIn(page)
  const path = lib.makeFile('typed.csv', 1000)
  await lib.give(page, path)
  await lib.arrives(page, path, 'typed.csv')
}

export async function a_session_ends_in_mid_upload(scenario) {
  const context = await scenario.context()
  const page = await lib.open(context, scenario)
  const offsets = []
  page.on('request', (request) => {
    if (request.method() === 'PATCH') offsets.push(Number(request.headers()['upload-offset']))
  })
  await logIn(page)
  const path = lib.makeFile('ends.csv', 3 * MB)
  await lib.begin(page, 'ends.csv')
  const address = page.url()
  await page.getByText('Advanced settings').click()
  await page.getByLabel('Chunk Size (bytes)').fill('500000')
  await lib.limitUpload(page, SLOW)
  await lib.give(page, path)
  await lib.awaitPercent(page, 20)
  await forgetSession(context)
  await page.locator('#state', { hasText: 'Waiting for you to log in' }).waitFor()
  await page.getByRole('heading', { name: 'Please log in' }).waitFor()
  await lib.audit(page, 'upload, login wanted')
  const before = offsets.length
  const tab = await openLogin(context, page)
  // The issuer knows her still.
  await tab.getByRole('heading', { name: 'You are logged in' }).waitFor()
  await lib.limitUpload(page, 0)
  await lib.arrives(page, path, 'ends.csv')
  equal(page.url(), address, 'the page')
  assert(offsets[before] > 0 && offsets[before] >= offsets[before - 2], `went on at ${offsets}`)
}

export async function two_tabs_log_in_at_once(scenario) {
  const context = await scenario.context()
  const pages = [await lib.open(context, scenario), await lib.open(context, scenario)]
  const query = 'data_stream_id=dextesting&data_stream_route=testevent1'
  await pages[0].goto(`${uiUrl}/manifest?${query}`)
  await pages[1].goto(`${uiUrl}/`)
  for (const page of pages) {
    await page.getByRole('link', { name: 'Log in', exact: true }).click()
    await page.getByRole('heading', { name: 'Who are you?' }).waitFor()
  }
  await sayName(pages[1])
  await isLoggedIn(pages[1])
  await sayName(pages[0])
  await isLoggedIn(pages[0])
  equal(pages[0].url(), `${uiUrl}/manifest?${query}`, 'the way back of the first')
  equal(pages[1].url(), `${uiUrl}/`, 'the way back of the second')
  const id = await lib.begin(pages[1], 'two.csv')
  await pages[0].goto(`${uiUrl}/status/${id}`)
  await pages[0].locator('#d-jurisdiction', { hasText: 'GAA' }).waitFor()
}

export async function a_cancelled_login(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  await page.goto(`${uiUrl}/`)
  await page.getByRole('link', { name: 'Log in', exact: true }).click()
  await page.getByRole('button', { name: 'Cancel' }).click()
  await page.getByText('The login was cancelled.').waitFor()
  await lib.audit(page, 'cancelled login')
  await page.reload()
  await page.getByText('This login was not begun in this browser').waitFor()
  await lib.audit(page, 'login that was used')
  await page.getByRole('link', { name: 'Try again' }).click()
  await sayName(page)
  await isLoggedIn(page)
}

export async function people_without_the_right(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  await page.goto(`${uiUrl}/login`)
  await sayName(page, 'eve-reader')
  await page.getByText('you have no right to upload files here').waitFor()
  await lib.audit(page, 'login without the right')
  await page.getByRole('link', { name: 'Back to the start' }).click()
  await page.getByRole('link', { name: 'Log in', exact: true }).waitFor()
}

export async function a_tab_that_another_one_logs_out(scenario) {
  const context = await scenario.context()
  const page = await lib.open(context, scenario)
  await logIn(page)
  const path = lib.makeFile('out.csv', 1000)
  const id = await lib.begin(page, 'out.csv')
  await page.locator('#browse').waitFor()
  const other = await lib.open(context, scenario)
  await other.goto(`${uiUrl}/`)
  await other.getByRole('button', { name: 'Log out' }).click()
  await other.getByRole('heading', { name: 'You are logged out' }).waitFor()
  await lib.give(page, path)
  await page.getByRole('heading', { name: 'Please log in' }).waitFor()
  const tab = await openLogin(context, page)
  await tab.getByRole('heading', { name: 'You are logged in' }).waitFor()
  await lib.arrives(page, path, 'out.csv')
  equal(lib.idOf(page), id, 'the upload')
}

export async function a_token_can_still_be_pasted(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  await lib.chooseStream(page)
  await lib.fillIn(page, 'pasted.csv')
  await page.getByRole('button', { name: 'Next' }).click()
  await page.getByText('Use an access token instead').click()
  await lib.audit(page, 'token instead of a login')
  await page.getByLabel('Access token').fill(lib.token)
  await page.getByRole('button', { name: 'Use this token' }).click()
  await page.waitForURL('**/status/**')
  const path = lib.makeFile('pasted.csv', 1000)
  await lib.give(page, path)
  await lib.arrives(page, path, 'pasted.csv')
}

/** A page of somebody else on ${host}. */
async function otherSite(host) {
  const server = http.createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html')
    response.end('<!DOCTYPE html><title>Other</title>')
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  return `http://${host}:${server.address().port}/`
}

export async function other_sites_cannot_use_the_session(scenario) {
  const context = await scenario.context()
  const page = await lib.open(context, scenario)
  await logIn(page)
  const id = await lib.begin(page, 'theirs.csv')
  const url = `${apiUrl}/info/${id}`
  const readable = (target) =>
    fetch(target, { credentials: 'include' }).then(
      (response) => response.status,
      () => 'refused',
    )
  equal(await page.evaluate(readable, url), 200, 'for the page itself')
  // The first is the same site by its host: a browser sends the cookie, and it does not count.
  for (const host of ['127.0.0.1', 'localhost']) {
    const other = await lib.open(context, scenario)
    await other.goto(await otherSite(host))
    equal(await other.evaluate(readable, url), 'refused', `for a page of ${host}`)
    await other.evaluate((target) => {
      const form = document.createElement('form')
      form.method = 'post'
      form.action = target
      document.body.append(form)
      form.submit()
    }, `${uiUrl}/logout`)
    await other.getByText('It did not come from a page of this service.').waitFor()
  }
  equal(await page.evaluate(readable, url), 200, 'afterwards')
}

export async function a_long_name_on_a_phone(scenario) {
  const context = await scenario.context({ viewport: { width: 320, height: 640 } })
  const page = await lib.open(context, scenario)
  await logIn(page, 'maximiliane-'.repeat(6))
  await lib.audit(page, 'a long name on a phone')
  await page.goto(`${uiUrl}/status/${UNKNOWN}`)
  await page.getByText('This upload is no longer there').waitFor()
}

export async function a_login_without_scripts(scenario) {
  const page = await lib.open(await scenario.context({ javaScriptEnabled: false }), scenario)
  await page.goto(`${uiUrl}/manifest?data_stream_id=dextesting&data_stream_route=testevent1`)
  await lib.fillIn(page, 'plain.csv')
  await page.getByRole('button', { name: 'Next' }).click()
  await page.getByText('Log in with the link at the top').waitFor()
  await page.getByRole('link', { name: 'Log in', exact: true }).click()
  await sayName(page)
  await page.goto(`${uiUrl}/manifest?data_stream_id=dextesting&data_stream_route=testevent1`)
  await lib.fillIn(page, 'plain.csv')
  await page.getByRole('button', { name: 'Next' }).click()
  await page.waitForURL('**/status/**')
  await page.getByText('JavaScript seems to be off').waitFor()
}
