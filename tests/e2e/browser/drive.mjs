// SPDX-License-Identifier: Apache-2.0
// drive.mjs UI API DIRECTORY [TOKEN [login]]: every scenario with one browser; with a token those of a
// service that wants it. SCENARIOS, names with commas between them, chooses some. A line of JSON tells of
// each one: {"name":…,"ms":…,"fault":…}; further ones, {"told":…}, are figures for people.
import * as errors from './errors.mjs'
import { auditCount, inFirefox, launch, slowableContext, token } from './lib.mjs'
import * as login from './login.mjs'
import * as looks from './looks.mjs'
import * as sending from './sending.mjs'
import * as tokens from './tokens.mjs'

const whereTokensAre = process.argv[6] === 'login' ? login : tokens
const scenarios = token ? whereTokensAre : { ...looks, ...sending, ...errors }

function tell(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

const AT_ONCE = 3
const browser = await launch()

async function run(name) {
  const began = Date.now()
  const contexts = []
  const scenario = {
    faults: [],
    tell: (text) => tell({ told: text }),
    async context(options = {}) {
      const viewport = { width: 900, height: 900 }
      const context = inFirefox
        ? await slowableContext(browser, { viewport, ...options })
        : await browser.newContext({ viewport, ...options })
      contexts.push(context)
      return context
    },
  }
  try {
    await scenarios[name](scenario)
  } catch (error) {
    scenario.faults.push(error.stack)
    for (const page of contexts.flatMap((context) => context.pages())) {
      const text = await page.locator('main').innerText().catch(() => '')
      scenario.faults.push(`--- the page at ${page.url()}:\n${text}`)
    }
  }
  for (const context of contexts) await context.close()
  tell({ name, ms: Date.now() - began, fault: scenario.faults.join('\n') || null })
}

const wanted = (process.env.SCENARIOS || '').split(',').filter(Boolean)
const names = wanted.length > 0 ? wanted : Object.keys(scenarios)
// The one that measures time goes alone; the others mostly wait.
const measures = names.indexOf('first_page_is_light_and_quick')
if (measures >= 0) await run(names.splice(measures, 1)[0])
async function work() {
  while (names.length > 0) await run(names.shift())
}
await Promise.all(Array.from({ length: AT_ONCE }, work))
if (!inFirefox) tell({ told: `${auditCount()} states of pages audited by axe` })
await browser.close()
