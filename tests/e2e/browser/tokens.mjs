// SPDX-License-Identifier: Apache-2.0
// A service that wants access tokens.
import * as lib from './lib.mjs'

const { equal, uiUrl } = lib

async function giveToken(page) {
  await page.getByLabel('Access token').fill(lib.token)
  await page.getByRole('button', { name: 'Use this token' }).click()
}

export async function a_file_is_sent_with_a_token(scenario) {
  const context = await scenario.context()
  const page = await lib.open(context, scenario)
  const path = lib.makeFile('mine.csv', 50000)
  await lib.chooseStream(page)
  await lib.fillIn(page, 'mine.csv')
  await page.getByRole('button', { name: 'Next' }).click()
  await page.getByLabel('Access token').waitFor()
  await lib.audit(page, 'details, token wanted')
  await giveToken(page)
  await page.waitForURL('**/status/**')
  await page.locator('#d-jurisdiction', { hasText: 'GAA' }).waitFor()
  await lib.give(page, path)
  await lib.arrives(page, path, 'mine.csv')
  // Somebody without the token sees nothing of it.
  const stranger = await lib.open(await scenario.context(), scenario)
  await stranger.goto(page.url())
  await stranger.getByLabel('Access token').waitFor()
  equal(await stranger.locator('#d-sender').textContent(), '', 'what a stranger sees')
  await giveToken(stranger)
  await stranger.getByRole('heading', { level: 1, name: 'mine.csv' }).waitFor()
}

export async function several_files_are_sent_with_a_token(scenario) {
  const page = await lib.open(await scenario.context(), scenario)
  const paths = [1, 2].map((n) => lib.makeFile(`ours-${n}.csv`, 1000, n))
  const query = 'data_stream_id=dextesting&data_stream_route=testevent1&several=1'
  await page.goto(`${uiUrl}/manifest?${query}`)
  await lib.fillIn(page)
  await lib.give(page, ...paths)
  await page.getByRole('button', { name: 'Send 2 files' }).click()
  await giveToken(page)
  await page.waitForFunction(() => document.querySelectorAll('.mark.good').length === 2)
}
